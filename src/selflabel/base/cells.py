"""Cells of a CSV file that a spreadsheet would take for formulas."""

FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r\n")  # in full width too, as Excel takes them in some languages


def plain_cell(text: str) -> str:
    """A text with an apostrophe before it where a spreadsheet would run it as a formula; as it is otherwise.

    For text that people type, such as the names of clusters. Paths stay as they are, since programs find files by them.

    Example:
        >>> plain_cell("=HYPERLINK(0)"), plain_cell("cats = dogs")
        ("'=HYPERLINK(0)", 'cats = dogs')
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
