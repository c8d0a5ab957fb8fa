"""A process that has imported torch and forks one for every command, so that no command of a test waits for imports.

A line on its standard input is an order, the answer is a line with the exit code. The fork runs the order as `python -m MODULE`
or `python FILE` would, to the end of the interpreter, with the environment and the folder of the test.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


class ForkServer:
    """The tests' side of it. The process starts on first use."""

    def __init__(self):
        self.process = None

    def run(self, *words, module="selflabel.cli", file=None, cwd=None, timeout=300):
        """Run a module, or a script, with these words; what subprocess.run gives. A SIGKILL of itself is code -9, as there."""
        if self.process is None:
            command = [sys.executable, "-m", "tests.fork_server"]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        words = [str(word) for word in words]
        with tempfile.TemporaryDirectory() as folder:
            printed = [Path(folder, name) for name in ("out", "err")]
            order = {"module": module, "file": file and str(file), "words": words, "cwd": str(cwd or Path.cwd())}
            order |= {"environment": dict(os.environ), "printed": list(map(str, printed)), "timeout": timeout}
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            return subprocess.CompletedProcess(words, code, *(file.read_text() for file in printed))

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(60)


def serve():
    """Fork for every order; in the fork, return the order."""
    import selflabel.jobs.label
    import selflabel.jobs.predict
    import selflabel.jobs.score  # noqa: F401  and with them torch

    while line := sys.stdin.readline():
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            return order
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def carry_out(order):
    """Become the program that was ordered. SIGALRM ends it after its time."""
    signal.alarm(order["timeout"])
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for number, file in enumerate((os.devnull, *order["printed"])):
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = [order["file"] or order["module"], *order["words"]]
    if order["file"]:
        runpy.run_path(order["file"], run_name="__main__")
    else:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__" and (order := serve()) is not None:
    carry_out(order)
