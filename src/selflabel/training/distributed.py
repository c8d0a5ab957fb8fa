"""Ranks under torchrun. In a single process everything here does nothing."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from selflabel.base.container import usable_cores

LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "ncclRemoteError")  # backends, of a lost rank
PATIENCE = timedelta(minutes=30)  # with a rank that comes late to something in common


@dataclass(frozen=True)
class Ranks:
    """The number of this process, and of all processes."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def shard(self, n: int) -> slice:
        """This rank's slice of n rows. Slices differ by one row at most, and no row is dropped."""
        return slice(self.rank * n // self.world, (self.rank + 1) * n // self.world)

    def gather_rows(self, part: Tensor, n: int) -> Tensor:
        """All n rows, in order, from every rank's shard."""
        if self.world == 1:
            return part
        import torch.distributed as dist

        sizes = [(r + 1) * n // self.world - r * n // self.world for r in range(self.world)]
        padded = part.new_zeros(max(sizes), *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.world)]
        dist.all_gather(parts, padded)
        return torch.cat([p[:size] for p, size in zip(parts, sizes)])

    def gather_batch(self, part: Tensor, n: int, stacked: int = 1) -> Tensor:
        """The rows of a whole batch from every rank's part of it, in order. Every rank computes the loss of the whole batch.

        Gradients go to this rank's rows only. They are scaled so that their sum over ranks, weighted by shares of the batch, is
        the gradient of the whole batch's loss.

        Args:
            part: (stacked * B * G, ...) this rank's rows.
            n: groups of the whole batch.
            stacked: blocks in `part`, one after the other, as of several views.
        """
        if self.world == 1:
            return part
        whole = part.float() if part.is_floating_point() else part  # gloo has no bfloat16
        return torch.cat([GatherBatch.apply(x, self, n) for x in whole.chunk(stacked)])  # type: ignore[no-untyped-call]

    def broadcast_state(self, module: nn.Module) -> None:
        """Copy the first rank's parameters and buffers to every rank."""
        if self.world == 1:
            return
        import torch.distributed as dist

        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank, so that all ranks stop together."""
        if self.world == 1:
            return flag
        gathered: list = [None] * self.world
        torch.distributed.all_gather_object(gathered, flag)
        return any(gathered)

    def from_first(self, value: Any) -> Any:
        """The first rank's value, on every rank."""
        if self.world == 1:
            return value
        gathered: list = [None] * self.world
        torch.distributed.all_gather_object(gathered, value)
        return gathered[0]

    def parallel(self, module: nn.Module, share: Share) -> nn.Module:
        """The module, whose gradients torch's DistributedDataParallel sums over the ranks while they are computed.

        Args:
            module: its forward is called once for each backward; parameters that no rank's forward uses keep no gradient.
            share: the weight of this rank's gradients, which is set before each backward.
        """
        if self.world == 1 or not any(p.requires_grad for p in module.parameters()):
            return module
        # batch statistics are each rank's own until the end of a phase; methods use parts of their networks in a phase
        wrapped = nn.parallel.DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=True)
        wrapped.register_comm_hook(share, sum_weighted)
        return wrapped

    def barrier(self) -> None:
        if self.world > 1:
            torch.distributed.barrier()


@dataclass
class Share:
    """This rank's share of a batch, in [0, 1]; shares of all ranks sum to 1."""

    value: float = 1.0


def sum_weighted(share, bucket):  # type: ignore[no-untyped-def]  # torch compares annotations with its own classes, not with strings
    """The sum over ranks of each rank's gradients times its share, as a future; see DistributedDataParallel.register_comm_hook.

    Weights come after the backward pass: a factor on the loss would change how gradients are rounded in bfloat16.
    """
    import torch.distributed as dist

    work = dist.all_reduce(bucket.buffer().mul_(share.value), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


class GatherBatch(torch.autograd.Function):
    """See `Ranks.gather_batch`."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks, n: int) -> Tensor:
        own = ranks.shard(n)
        ctx.own, ctx.n, ctx.shape = own, n, part.shape
        groups = part.unflatten(0, (max(1, own.stop - own.start), -1))  # a rank without a share shows one group
        return ranks.gather_rows(groups[: own.stop - own.start].contiguous(), n).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        count = ctx.own.stop - ctx.own.start
        if not count:
            return gradients[0].new_zeros(ctx.shape), None, None
        return gradients[0].unflatten(0, (ctx.n, -1))[ctx.own].reshape(ctx.shape) * (ctx.n / count), None, None


def join(device: torch.device) -> Ranks:
    """Join the processes that torchrun started; a single process where it started none."""
    if usable_cores() < torch.get_num_threads() and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores())  # torch knows nothing of the quota of a container
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks()
    import torch.distributed as dist

    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        store, rank, world = next(iter(dist.rendezvous("env://", timeout=PATIENCE)))
        # after a restart the store still has the addresses of the processes before, so each start has keys of its own
        store = dist.PrefixStore(f"start {restarts()}", store)
        dist.init_process_group(backend, timeout=PATIENCE, store=store, rank=rank, world_size=world)
        if backend == "gloo":
            atexit.register(leave)
    return Ranks(dist.get_rank(), dist.get_world_size())


@contextmanager
def losing_no_rank(ranks: Ranks) -> Iterator[None]:
    """Raise UserError instead of what a backend says where another rank has ended in the middle of something in common."""
    from selflabel.base.errors import UserError

    try:
        yield
    except RuntimeError as error:
        if ranks.world == 1 or not any(word in str(error) for word in LOST):
            raise
        raise UserError(
            "another process of torchrun has ended, see its own error; the same command with --resume goes on."
        ) from error


def restarts() -> int:
    """How often torchrun started the ranks again after one of them died (`--max-restarts`)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def leave() -> None:
    """End gloo's threads before the interpreter ends: a thread that frees a tensor later aborts the process (pytorch #179291)."""
    import torch.distributed as dist

    gc.collect()  # objects that still hold the group
    if dist.is_initialized():
        dist.destroy_process_group()


def pick_device(name: str) -> torch.device:
    """The device for `--device auto|cpu|cuda|mps`; each rank uses its own GPU.

    Raises:
        UserError: there is no such device.
    """
    from selflabel.base.errors import UserError

    local = int(os.environ.get("LOCAL_RANK", "0"))
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; use --device auto or cpu.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: torch finds no Apple GPU here; use --device auto or cpu.")
    if name not in ("cpu", "cuda", "mps"):
        raise UserError(f"--device {name}: use auto, cpu, cuda or mps.")
    return torch.device(f"cuda:{local}" if name == "cuda" else name)


@cache
def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    try:
        flags = open("/proc/cpuinfo").read(20_000)  # noqa: PTH123, SIM115
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
