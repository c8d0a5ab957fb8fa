"""What a person does in the browser, and how a test waits for what follows."""

from selflabel.runs.run import Run

FOCUSED_ITEM = "document.querySelector('.grid [role=option]').textContent"


def labels_of(run):
    """(N,) labels with the edits on disk applied."""
    return Run.open(run.folder).labels["label"].to_numpy()


def names_of(run):
    """Cluster -> name, with the edits on disk applied."""
    return Run.open(run.folder).edited().names


def wait_for(page, test, what="the change"):
    for _ in range(160):
        if test():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{what} did not come")


def until(page, expression):
    """Wait for an expression to hold (the page's policy forbids the way in which playwright would wait by itself)."""
    wait_for(page, lambda: page.evaluate(expression), expression)


def wait_for_items(page, n=None):
    """Wait until a grid has its items, n of them if that is given."""
    page.wait_for_selector(".items .grid")
    until(page, f"{FOCUSED_ITEM}.includes(' of {'' if n is None else f'{n:,}'}')")


def open_cluster(page, number):
    page.click(f".card[data-id='{number}'] .cover")
    wait_for_items(page)


def tile(page, index):
    """The middle of a tile of the grid, in the window."""
    return page.evaluate(
        """(index) => {
            const box = document.querySelector('.grid'), canvas = box.querySelector('canvas').getBoundingClientRect();
            const width = box.clientWidth - 12, side = 96, columns = Math.max(1, Math.floor((width + 6) / (side + 6)));
            const step = (width + 6) / columns, column = index % columns, line = Math.floor(index / columns);
            return [canvas.left + 6 + (column + 0.45) * step, canvas.top + 6 + (line + 0.45) * step];
        }""",
        index,
    )


def click_tile(page, index, keys=()):
    x, y = tile(page, index)
    for key in keys:
        page.keyboard.down(key)
    page.mouse.click(x, y)
    for key in keys:
        page.keyboard.up(key)
