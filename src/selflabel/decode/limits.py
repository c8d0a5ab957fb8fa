"""What one item may cost while it is decoded, and what became of one that cost more. Imports no torch."""

from __future__ import annotations

import errno
import math
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from selflabel.decode.image import Undecodable

LONGEST_REASON = 200  # characters


@dataclass(frozen=True)
class Limits:
    """What one item may cost.

    Args:
        seconds: until its worker is killed.
        gb: memory in GiB, beyond what the worker takes for itself. Only Linux can hold a process to it.
    """

    seconds: float = 30.0
    gb: float = 1.0


DEFAULT_LIMITS, ALWAYS_TRIED = Limits(), Limits(0, 0)


@dataclass(frozen=True)
class Failure:
    """Why an item was not decoded.

    Args:
        reason: a few words for the user.
        limits: those it failed under; None where it would fail under any.
    """

    reason: str
    limits: Limits | None = None

    def may_pass(self, limits: Limits) -> bool:
        """Whether it is worth another try under these limits."""
        return self.limits is not None and (limits.seconds > self.limits.seconds or limits.gb > self.limits.gb)


def failure_of(error: BaseException, limits: Limits) -> Failure:
    """What an exception of a decoder says about its item."""
    if is_out_of_memory(error):
        hint = f"--set item_gb={2 * limits.gb:g} allows more"
        return Failure(f"needs more than {limits.gb:g} GB of memory ({hint})", Limits(math.inf, limits.gb))
    if isinstance(error, Undecodable):
        return Failure(one_line(str(error)))
    if isinstance(error, OSError) and type(error).__module__ == "builtins":  # a decoder's own may say so of broken bytes
        return Failure(one_line(f"cannot be read ({error.strerror or error})"), ALWAYS_TRIED)
    return Failure(one_line(f"cannot be decoded ({type(error).__name__}: {error})"))


def too_slow(limits: Limits) -> Failure:
    """Of an item that took too long."""
    hint = f"--set item_seconds={2 * limits.seconds:g} allows more"
    return Failure(f"took more than {limits.seconds:g} s ({hint})", Limits(limits.seconds, math.inf))


def crashed(exit_code: int | None) -> Failure:
    """Of an item whose worker died."""
    return Failure(f"the decoder crashed on it ({name_of_end(exit_code)})", ALWAYS_TRIED)


def name_of_end(exit_code: int | None) -> str:
    """What ended a process: the name of a signal, or its exit code."""
    try:
        return signal.Signals(-(exit_code or 0)).name
    except ValueError:
        return f"exit code {exit_code}"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that led to it, says that there was no memory."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def one_line(text: str) -> str:
    """The text without line breaks, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."


def limit_memory(gb: float) -> None:
    """Let this process take so many GiB more than it has now; memory maps of files do not count. Without effect outside Linux."""
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii")
        allowed = int(status.split("VmData:")[1].split()[0]) * 1024 + int(gb * (1 << 30))
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (allowed if hard == resource.RLIM_INFINITY else min(allowed, hard), hard))
