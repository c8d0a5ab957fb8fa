"""Work on items in processes that can be killed: an item that crashes or hangs its process costs only itself. Imports no torch.

A worker is given a task, some rows with their items. It writes which of them it is at into memory that it shares with this
process, so that no message an item is needed; where it stops there for too long, it is killed, and the task goes on with the next
item in another worker.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection as connections
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from selflabel.base.errors import UserError
from selflabel.decode.limits import Failure, Limits, crashed, failure_of, limit_memory, name_of_end, too_slow

POLL_S = 0.1  # between looks at the workers' progress, and between calls of `tick`
START_S = 60.0  # that a worker may take to start
LAST_S = 2.0  # that a process is given to end
STARTS = 3  # workers in a row that may die before their first item
PRELOADED = ("selflabel.decode.formats", "selflabel.decode.processes")  # by the server, so that its forks start in milliseconds
PR_SET_PDEATHSIG = 1  # of prctl(2)

Task = list[tuple[int, Any]]  # rows and their items
Work = Callable[[int, Any], Any]


def run_tasks(
    work: Work,
    tasks: Iterable[Task],
    workers: int,
    limits: Limits,
    tick: Callable[[int], object] = lambda done: None,
    on_failure: Callable[[int, Failure], None] = lambda row, failure: None,
) -> dict[int, Any]:
    """Call work(row, item) for every item of the tasks, in worker processes.

    Args:
        work: a function, or an object that can be called; it is pickled. Its attribute `libraries` names what workers will need.
        tasks: rows and items; a worker has one task at a time.
        workers: processes at most, 1 or more.
        limits: of one item.
        tick: called several times a second with the number of finished items. What it raises ends the workers at once; where it
            returns true, they end, and what was done is returned.
        on_failure: called with the row of each item that failed, and why.

    Returns:
        Row to what `work` returned, where it is not None, or to a Failure.

    Raises:
        UserError: no worker can be started.
    """
    team = Team(work, deque(task for task in tasks if task), workers, limits, on_failure)
    try:
        while team.is_busy:
            team.give_out()
            team.wait()
            if tick(team.done):
                break
    finally:
        team.end()
    return team.results


class Team:
    """The workers of one call of `run_tasks`, and what is left to do."""

    def __init__(self, work: Work, pending: deque[Task], size: int, limits: Limits, on_failure: Callable[[int, Failure], None]):
        self.work, self.pending, self.size, self.limits, self.on_failure = work, pending, size, limits, on_failure
        self.workers: list[Worker] = []
        self.results: dict[int, Any] = {}
        self.finished = self.failed_starts = 0
        self.last_look = time.monotonic()

    @property
    def is_busy(self) -> bool:
        return bool(self.pending) or any(worker.task for worker in self.workers)

    @property
    def done(self) -> int:
        """Items that are finished."""
        return self.finished + sum(max(0, worker.at.value) for worker in self.workers if worker.task)

    def give_out(self) -> None:
        """A task for every worker that has none, and a worker more where there are tasks for it."""
        for worker in [w for w in self.workers if not w.task]:
            if self.pending:
                worker.give(self.pending.popleft())
        while self.pending and len(self.workers) < self.size:
            self.workers.append(Worker(self.work, self.limits))
            self.workers[-1].give(self.pending.popleft())

    def wait(self) -> None:
        """Wait a moment for messages; take them, and bury the workers that died or stopped."""
        busy = [w for w in self.workers if w.task]
        connections.wait([w.connection for w in busy], POLL_S)
        now = time.monotonic()
        passed, self.last_look = min(now - self.last_look, 1.0), now  # while this process was stopped, so were the workers
        for worker in busy:
            if not worker.read(self.take):
                self.bury(worker, None)
            elif worker.task and worker.stands_still(passed):
                self.bury(worker, too_slow(self.limits))

    def take(self, worker: Worker, message: Any) -> None:
        """A message: (row, result), or None at the end of a task."""
        if message is None:
            self.finished += len(worker.task)
            worker.task, self.failed_starts = [], 0
            return
        row, result = message
        self.results[row] = result
        if isinstance(result, Failure):
            self.on_failure(row, result)

    def bury(self, worker: Worker, failure: Failure | None) -> None:
        """End a worker; the item that it was at has failed, and the rest of its task goes to another one."""
        exit_code = worker.end(is_dead=failure is None)
        worker.read(self.take)  # what it said before it died
        self.workers.remove(worker)
        at, task = worker.at.value, worker.task
        if not task:
            return
        if at < 0:
            self.failed_starts += 1
            if self.failed_starts >= STARTS:
                raise UserError(f"decoding: its processes end as soon as they start ({name_of_end(exit_code)}).")
            self.pending.appendleft(task)
            return
        self.failed_starts = 0
        self.finished += at + 1
        self.take(worker, (task[at][0], failure or crashed(exit_code)))
        if task[at + 1 :]:
            self.pending.appendleft(task[at + 1 :])

    def end(self) -> None:
        for worker in self.workers:
            worker.end()


class Worker:
    """A process that serves tasks; see `serve`."""

    def __init__(self, work: Work, limits: Limits):
        self.limits, self.task = limits, Task()
        self.still_s, self.seen = 0.0, -1
        try:
            with without_main_script():
                self.connection, self.at, self.process = start(work, limits)
        except (OSError, AssertionError) as error:  # a daemon may have no processes of its own
            raise UserError(f"decoding: its processes cannot be started ({error}).") from error

    def give(self, task: Task) -> None:
        self.task, self.at.value = task, -1
        self.still_s, self.seen = 0.0, -1
        with suppress(OSError):  # it died: the next read says so
            self.connection.send(task)

    def read(self, take: Callable[[Worker, Any], None]) -> bool:
        """Take what it sent; whether it still lives."""
        try:
            while self.connection.poll():
                take(self, self.connection.recv())
        except (EOFError, OSError, UnpicklingError):
            return False
        return True

    def stands_still(self, passed_s: float) -> bool:
        """Whether it has been at one item for too long, after another `passed_s` seconds."""
        at = self.at.value
        self.still_s = self.still_s + passed_s if at == self.seen else 0.0
        self.seen = at
        return self.still_s > (self.limits.seconds if at >= 0 else max(START_S, self.limits.seconds))

    def end(self, is_dead: bool = False) -> int | None:
        """Kill it, and return its exit code.

        Args:
            is_dead: whether it died by itself, so that its own exit code is about to come.
        """
        if is_dead:
            self.process.join(LAST_S)
        self.process.kill()
        self.process.join(LAST_S)  # not for ever: one that waits for a broken disk cannot even be killed
        return self.process.exitcode


def start(work: Work, limits: Limits) -> tuple[Any, Any, Any]:
    """(connection, where it is in its task, process) of a new worker: a fork of a small server where the system has them."""
    error: Exception | None = None
    for method in [m for m in ("forkserver", "spawn") if m in multiprocessing.get_all_start_methods()]:
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload([*PRELOADED, *getattr(work, "libraries", ())])
        try:
            ours, theirs = context.Pipe()
            at = context.RawValue(ctypes.c_int64, -1)
            process = context.Process(target=serve, args=(theirs, at, work, limits), daemon=True)  # type: ignore[attr-defined]
            process.start()
            theirs.close()
            return ours, at, process
        except OSError as failed:  # no folder for the server's socket, say
            error = failed
    raise error or OSError("the system has no way to start them")


@contextmanager
def without_main_script() -> Iterator[None]:
    """Keep fresh processes from running the caller's script: one that labels in its first lines would start over in each."""
    main: dict[str, Any] = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
    try:
        main["__spec__"] = None
        main.pop("__file__", None)
        yield
    finally:
        main.update(hidden)


# ------------------------------------------------------------------------------------------------------ in the worker


def serve(connection: Any, at: Any, work: Work, limits: Limits) -> None:
    """Work on tasks until the parent is gone; what a worker runs."""
    settle_in()
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        limit_memory(limits.gb)
        for place, (row, item) in enumerate(task):
            at.value = place
            result = attempt(work, row, item, limits)
            if result is not None:
                connection.send((row, result))
        connection.send(None)


def attempt(work: Work, row: int, item: Any, limits: Limits) -> Any:
    """What `work` returns, or why it failed: decoders raise any exception on broken bytes."""
    try:
        return work(row, item)
    except BaseException as error:
        return failure_of(error, limits)


def settle_in() -> None:
    """Leave Ctrl-C to the parent, end with it, print nothing, dump no core, and be the first to go where memory runs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def end_with_parent() -> None:
    """End this process when its parent ends, in whatever way: a decoder that hangs never hears of it."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # Linux; the parent is the server that forks, which ends, too
    threading.Thread(target=watch_parent, daemon=True).start()


def watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connections.wait([parent.sentinel])
        os._exit(1)
