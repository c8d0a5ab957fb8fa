"""A tutorial of docs/ as a test follows it: its commands are typed, its steps are done in a browser, in order."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


class Tutorial:
    """A page of docs/.

    Attributes:
        text: of the page.
        steps: its numbered steps, in order.
        shell: the lines of its shell blocks, without comments.
        tables: its text blocks, such as tables that a reader writes.
    """

    def __init__(self, name):
        self.text = (DOCS / name).read_text()
        self.steps = re.findall(r"^\d+\. (.*(?:\n   .*)*)", self.text, re.M)
        blocks = re.findall(r"```sh\n(.*?)```", self.text, re.S)
        self.shell = [line.split("  #")[0].rstrip() for block in blocks for line in block.splitlines()]
        self.tables = re.findall(r"```text\n(.*?)```", self.text, re.S)

    def missing_files(self):
        """Files that its links and pictures name and that are not there."""
        return [file for file in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", self.text) if not (DOCS / file).exists()]

    def follow(self, acts, first=0):
        """Do steps. acts: pairs of the words with which a step begins, and what is then done; first: the number of the first
        step. Returns the number of the step after them.
        """
        for step, (words, act) in zip(self.steps[first:], acts, strict=False):
            assert step.startswith(words), step
            act()
        return first + len(acts)


def typed(selflabel, line, cwd, code=0):
    """What a line prints on standard output; where it is to fail, what it says on standard error.

    Args:
        selflabel: runs a command in a process of its own (see tests/fork_server.py).
        line: of a tutorial.
        cwd: the folder in which it is typed.
        code: with which it is to end.
    """
    done = selflabel(*words_of(line), cwd=cwd, timeout=600)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def words_of(line):
    """The words of a line of a tutorial after the command's name."""
    name, *words = shlex.split(line)
    assert name == "selflabel", line
    return words


def command_of(line):
    """A line of a tutorial as words for this Python."""
    return [sys.executable, "-m", "selflabel.cli", *words_of(line)]


@contextmanager
def browsing(line, cwd, visit_address):
    """Type a line with `browse`; a browser page that has opened the address that it printed, until Ctrl-C."""
    process = subprocess.Popen(command_of(line), stdout=subprocess.PIPE, text=True, cwd=cwd, env={**os.environ, "DISPLAY": ""})
    try:
        yield visit_address(process.stdout.readline().strip())
    finally:
        visit_address.close()
        process.send_signal(2)
        process.wait(20)
