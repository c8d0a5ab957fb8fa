"""The passes in numba: one read of memory a turn, row by row in the first cache, over all cores.

A row of scores is added to the potentials, exponentiated, normalised and added to the column sums while it lies in the
cache. The exponential is written out (a polynomial and a shift of the exponent bits), because the library's keeps a loop
from being vectorised; so is the maximum, on the order-keeping integers of the floats, for the same reason. Relative
error below 1e-6. Threads are Python's own: the loops release the lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from selflabel.assignment.kernels.reference import column_type

FAST = {"reassoc", "nsz", "contract", "arcp", "nnan", "ninf"}
FLUSH = 256  # rows summed in float32 before they are added to the float64 sums
STRETCH, LINE = 256, 32  # columns between prefetches, and two-byte numbers in a cache line
WIDE, NOTHING = 32, np.float32(-1e38)  # columns that are looked at together; what stands beyond the last
KEPT = 1 << 20  # entries that room is made for at a time
f32, i32, u32 = np.float32, np.int32, np.uint32
NO_SCALES, NO_LABELS = np.empty(0, f32), np.empty(0, np.int64)

LOG2E = f32(1.4426950408889634)
P1, P2, P3, P4, P5, P6 = (f32(math.log(2) ** n / math.factorial(n)) for n in range(1, 7))  # of 2^f on [-1/2, 1/2]


@intrinsic
def float_of_bits(typing_context, x):
    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


@intrinsic
def bits_of_float(typing_context, x):
    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(types.int32))

    return types.int32(types.float32), generate


@intrinsic
def prefetch(typing_context, array, at):
    """Ask for the cache line of array[at], which may lie beyond the end."""

    def generate(context, builder, signature, args):
        byte, i32_ = ir.IntType(8), ir.IntType(32)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        size = signature.args[0].dtype.bitwidth // 8
        where = builder.gep(builder.bitcast(data, byte.as_pointer()), [builder.mul(args[1], args[1].type(size))])
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), i32_, i32_, i32_])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(fetch, [where, i32_(0), i32_(3), i32_(1)])  # to read, to stay in the first cache, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def sums_above(typing_context, a, b, at, bound):
    """Which of the WIDE sums a + b from `at` on are above the bound: a bit each, the first the lowest."""

    def generate(context, builder, signature, args):
        wide, number = ir.VectorType(ir.FloatType(), WIDE), ir.IntType(32)

        def from_there(i):
            data = context.make_array(signature.args[i])(context, builder, args[i]).data
            return builder.load(builder.bitcast(builder.gep(data, [args[2]]), wide.as_pointer()), align=4)

        nowhere = ir.Constant(wide, ir.Undefined)
        one = builder.insert_element(nowhere, args[3], number(0))
        everywhere = builder.shuffle_vector(one, nowhere, ir.Constant(ir.VectorType(number, WIDE), [0] * WIDE))
        higher = builder.fcmp_ordered(">", builder.fadd(from_there(0), from_there(1)), everywhere)
        return builder.bitcast(higher, number)

    return types.uint32(a, b, types.int64, types.float32), generate


@intrinsic
def trailing_zeros(typing_context, x):
    def generate(context, builder, signature, args):
        return builder.zext(builder.cttz(args[0], ir.IntType(1)(1)), ir.IntType(64))

    return types.int64(types.uint32), generate


@njit(inline="always")
def exponential(x):
    """exp(x) for x <= 0; below -87 the least normal float32."""
    y = max(x * LOG2E, f32(-126.0))
    n = i32(y - f32(0.5))
    f = y - f32(n)
    p = f32(1) + f * (P1 + f * (P2 + f * (P3 + f * (P4 + f * (P5 + f * P6)))))
    return p * float_of_bits((n + i32(127)) << i32(23))


@njit(inline="always")
def ordered(x):
    """Integers in the order of the floats."""
    bits = bits_of_float(x)
    return bits ^ ((bits >> i32(31)) & i32(0x7FFFFFFF))


@njit(inline="always")
def of_ordered(j):
    return float_of_bits(j ^ ((j >> i32(31)) & i32(0x7FFFFFFF)))


@njit(inline="always")
def of_bfloat16(u):
    return float_of_bits(i32(u) << i32(16))


@njit(inline="always")
def loaded(scores_K, scale, v, row):
    """Fill row with scale * s + v; the highest."""
    top = i32(-2147483648)
    for k in range(len(row)):
        x = f32(scores_K[k]) * scale + v[k]
        row[k] = x
        top = max(top, ordered(x))
    return of_ordered(top)


@njit(inline="always")
def given_away(row, peak, per_epsilon, part):
    """Add the row's soft label to part; its logsumexp."""
    z = f32(0)
    for k in range(len(row)):
        e = exponential((row[k] - peak) * per_epsilon)
        row[k] = e
        z += e
    share = f32(1) / z
    for k in range(len(row)):
        part[k] += row[k] * share
    return peak * per_epsilon + math.log(z)


@njit(inline="always")
def rows_in(scores, step):
    return (len(scores) + step - 1) // step


@njit(inline="always")
def flushed(part, sums):
    for k in range(len(part)):
        sums[k] += part[k]
        part[k] = f32(0)


@njit(nogil=True, fastmath=FAST, cache=True)
def score_rows(scores, step, scales, v, per_epsilon, sums, labels):
    """float32 scores with no scales, or 16-bit ones with a scale a row; labels are filled where there is room."""
    n, K = rows_in(scores, step), scores.shape[1]
    row, part, logs = np.empty(K, f32), np.zeros(K, f32), 0.0
    for i in range(n):
        peak = loaded(scores[i * step], scales[i] if len(scales) else f32(1), v, row)
        if len(labels):
            first = i32(2147483647)
            for k in range(K):
                first = min(first, i32(k) if row[k] >= peak else i32(2147483647))
            labels[i] = first
        logs += given_away(row, peak, per_epsilon, part)
        if i % FLUSH == FLUSH - 1:
            flushed(part, sums)
    flushed(part, sums)
    return logs


@njit(nogil=True, fastmath=FAST, cache=True)
def fill_packed(scores, step, out, scales):
    n, K = out.shape
    for i in range(n):
        top, bottom = i32(-2147483648), i32(2147483647)
        for k in range(K):
            x = ordered(scores[i * step, k])
            top, bottom = max(top, x), min(bottom, x)
        least = of_ordered(bottom)
        scales[i] = max((of_ordered(top) - least) / f32(65535), f32(1e-30))
        steps = f32(1) / scales[i]
        for k in range(K):
            out[i, k] = np.uint16(i32((scores[i * step, k] - least) * steps + f32(0.5)))


@njit(nogil=True, fastmath=FAST, cache=True)
def fill_dense(scores, step, v, per_epsilon, out):
    n, K = out.shape
    row, peaks = np.empty(K, f32), 0.0
    for i in range(n):
        peak = loaded(scores[i * step], f32(1), v, row)
        for k in range(K):
            bits = bits_of_float(exponential((row[k] - peak) * per_epsilon))
            out[i, k] = np.uint16((bits + i32(0x8000)) >> i32(16))
        peaks += peak * per_epsilon
    return peaks


@njit(inline="always")
def scaled_sums(k0, k1, k2, k3, b):
    z0, z1, z2, z3 = f32(0), f32(0), f32(0), f32(0)
    for k in range(len(b)):
        z0 += of_bfloat16(k0[k]) * b[k]
        z1 += of_bfloat16(k1[k]) * b[k]
        z2 += of_bfloat16(k2[k]) * b[k]
        z3 += of_bfloat16(k3[k]) * b[k]
    return z0, z1, z2, z3


@njit(inline="always")
def add_shares(k0, k1, k2, k3, z0, z1, z2, z3, part):
    for k in range(len(part)):
        part[k] += of_bfloat16(k0[k]) * z0 + of_bfloat16(k1[k]) * z1 + of_bfloat16(k2[k]) * z2 + of_bfloat16(k3[k]) * z3


@njit(nogil=True, fastmath=FAST, cache=True)
def dense_rows(kernel, b, sums):
    """Four rows share the loads of b and of the sums, and the next four are fetched meanwhile."""
    n, K = kernel.shape
    flat, part, logs, i = kernel.reshape(-1), np.zeros(K, f32), 0.0, 0
    while i + 4 <= n:
        z0, z1, z2, z3 = f32(0), f32(0), f32(0), f32(0)
        ahead = (i + 4) * K
        for c in range(0, K, STRETCH):
            end = min(c + STRETCH, K)
            for j in range(2 * c, 2 * end, LINE):
                prefetch(flat, ahead + j)
            y0, y1, y2, y3 = scaled_sums(
                kernel[i, c:end], kernel[i + 1, c:end], kernel[i + 2, c:end], kernel[i + 3, c:end], b[c:end]
            )
            z0, z1, z2, z3 = z0 + y0, z1 + y1, z2 + y2, z3 + y3
        logs += math.log(z0) + math.log(z1) + math.log(z2) + math.log(z3)
        z0, z1, z2, z3 = f32(1) / z0, f32(1) / z1, f32(1) / z2, f32(1) / z3
        ahead += 2 * K
        for c in range(0, K, STRETCH):
            end = min(c + STRETCH, K)
            for j in range(2 * c, 2 * end, LINE):
                prefetch(flat, ahead + j)
            add_shares(
                kernel[i, c:end], kernel[i + 1, c:end], kernel[i + 2, c:end], kernel[i + 3, c:end], z0, z1, z2, z3, part[c:end]
            )
        i += 4
        if i % FLUSH == 0:
            flushed(part, sums)
    while i < n:
        z = f32(0)
        for k in range(K):
            z += of_bfloat16(kernel[i, k]) * b[k]
        logs += math.log(z)
        z = f32(1) / z
        for k in range(K):
            part[k] += of_bfloat16(kernel[i, k]) * z
        i += 1
    flushed(part, sums)
    for k in range(K):
        sums[k] *= b[k]
    return logs


@njit(nogil=True, fastmath=FAST, cache=True)
def kept_rows(scores, step, scales, v, leeway, per_epsilon, least, counts, columns, logs):
    """Fill columns and logs from the first rows on, as many as there is room for; the rows, their entries, their peaks' sum.

    leeway and least: in the units of the scores.
    """
    n, K = len(counts), len(v)
    padded, free = np.full(K + WIDE, NOTHING), np.zeros(K + WIDE, f32)
    row, at, peaks = padded[:K], 0, 0.0
    free[:K] = leeway
    for i in range(n):
        if at + K > len(columns):
            return i, at, peaks
        peak, began, best = loaded(scores[i * step], scales[i] if len(scales) else f32(1), v, row), at, i32(2147483647)
        for k in range(K):
            best = min(best, i32(k) if row[k] >= peak else i32(2147483647))
        bound = peak - least - leeway[best]
        for c in range(0, K, WIDE):
            above = sums_above(padded, free, c, bound)
            while above:
                k = c + trailing_zeros(above)
                columns[at], logs[at] = k, (row[k] - peak) * per_epsilon
                above, at = above & (above - u32(1)), at + 1
        counts[i], peaks = at - began, peaks + peak
    return n, at, peaks


@njit(nogil=True, fastmath=FAST, cache=True)
def sparse_rows(starts, columns, kept, x, sums):
    logs, longest = 0.0, 1
    for i in range(len(starts) - 1):
        longest = max(longest, starts[i + 1] - starts[i])
    row = np.empty(longest, f32)
    for i in range(len(starts) - 1):
        first, last = starts[i], starts[i + 1]
        peak = f32(-np.inf)
        for j in range(first, last):
            row[j - first] = kept[j] + x[columns[j]]
            peak = max(peak, row[j - first])
        z = f32(0)
        for j in range(last - first):
            row[j] = exponential(row[j] - peak)
            z += row[j]
        share = f32(1) / z
        for j in range(first, last):
            sums[columns[j]] += row[j - first] * share
        logs += peak + math.log(z)
    return logs


# ----------------------------------------------------------------------------------- the same calls as in `reference`


def score_turn(block: Tensor, v: Tensor, epsilon: float, labels: Tensor | None = None) -> tuple[Tensor, float]:
    scores, shift, scale = Rows(block), v.float().numpy(), f32(1 / epsilon)
    found = NO_LABELS if labels is None else labels.numpy()
    return summed(lambda rows, sums: score_rows(*scores[rows], NO_SCALES, shift, scale, sums, found[rows]), len(block), len(v))


def dense_kernel(block: Tensor, v: Tensor, epsilon: float, out: Tensor) -> float:
    scores, shift, stored, scale = Rows(block), v.float().numpy(), halves(out), f32(1 / epsilon)
    return sum(in_threads(lambda rows: fill_dense(*scores[rows], shift, scale, stored[rows]), len(block)))


def dense_turn(kernel: Tensor, x: Tensor) -> tuple[Tensor, float]:
    top = float(x.max())
    stored, scale = halves(kernel), torch.exp(x - top).float().numpy()
    sums, logs = summed(lambda rows, sums: dense_rows(stored[rows], scale, sums), len(stored), len(x))
    return sums, logs + len(stored) * top


def pack(block: Tensor, out: Tensor, scales: Tensor) -> None:
    scores, stored, steps = Rows(block), halves(out), scales.numpy()
    in_threads(lambda rows: fill_packed(*scores[rows], stored[rows], steps[rows]), len(block))


def packed_turn(packed: Tensor, scales: Tensor, v: Tensor, epsilon: float) -> tuple[Tensor, float]:
    stored, steps, shift, scale = halves(packed), scales.numpy(), v.float().numpy(), f32(1 / epsilon)
    return summed(lambda rows, sums: score_rows(stored[rows], 1, steps[rows], shift, scale, sums, NO_LABELS), len(stored), len(v))


def sparse_kernel(
    block: Tensor, v: Tensor, epsilon: float, least: float, leeway: Tensor, scales: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, float]:
    (n, K), given = block.shape, Rows(block) if scales is None else None
    kind, size = column_type(K), max(KEPT, K)
    stored, steps = (np.empty((0, K), np.uint16), NO_SCALES) if scales is None else (halves(block), scales.numpy())
    numbers = v.float().numpy(), (epsilon * leeway).float().numpy(), f32(1 / epsilon), f32(epsilon * least)
    counts = torch.empty(n, dtype=torch.int64)

    def kept(rows: slice) -> tuple[list[Tensor], list[Tensor], float]:
        columns, logs, peaks, at = [], [], 0.0, rows.start
        while at < rows.stop:
            left = slice(at, rows.stop)
            scores = (*given[left], NO_SCALES) if given is not None else (stored[left], 1, steps[left])
            c, x = torch.empty(size, dtype=kind), torch.empty(size)
            done, entries, peak = kept_rows(*scores, *numbers, counts[left].numpy(), c.numpy(), x.numpy())
            at, peaks = at + done, peaks + peak
            columns.append(c[:entries].clone())
            logs.append(x[:entries].clone())
        return columns, logs, peaks

    columns, logs, peaks = zip(*in_threads(kept, n))
    return (
        counts,
        torch.cat(list(chain(*columns))),
        torch.cat(list(chain(*logs))),
        sum(peaks) / epsilon,
    )


def sparse_turn(starts: Tensor, columns: Tensor, logs: Tensor, x: Tensor) -> tuple[Tensor, float]:
    s, c, kept, shift = starts.numpy(), columns.numpy(), logs.numpy(), x.float().numpy()

    def part(rows: slice, sums: np.ndarray) -> float:
        return sparse_rows(s[rows.start : rows.stop + 1], c, kept, shift, sums)

    return summed(part, len(s) - 1, len(x))


def summed(part: Callable[[slice, np.ndarray], float], n: int, K: int) -> tuple[Tensor, float]:
    """Sums and logs of all stretches of rows, each with sums of its own."""

    def alone(rows: slice) -> tuple[np.ndarray, float]:
        sums = np.zeros(K)
        return sums, part(rows, sums)

    found = in_threads(alone, n)
    return torch.from_numpy(sum(s for s, _ in found)), sum(logs for _, logs in found)


def in_threads(work: Callable[[slice], Any], n: int) -> list[Any]:
    """work(rows) for as many stretches of the rows as there are threads."""
    threads = max(1, min(torch.get_num_threads(), n))
    stretches = [slice(t * n // threads, (t + 1) * n // threads) for t in range(threads)]
    if threads == 1:
        return [work(stretches[0])]
    return list(pool(threads).map(work, stretches))


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="assignment")


class Rows:
    """A block of scores as the loops read it: the memory that its rows lie in, and every how-many-th row is one of them."""

    def __init__(self, block: Tensor):
        x = block.detach().float()
        n, K = x.shape
        apart = n > 1 and x.stride(1) == 1 and x.stride(0) % K == 0 and x.stride(0) > 0
        self.step = x.stride(0) // K if apart else 1
        self.memory = (x.as_strided(((n - 1) * self.step + 1, K), (K, 1)) if apart else x.contiguous()).numpy()

    def __getitem__(self, rows: slice) -> tuple[np.ndarray, int]:
        return self.memory[rows.start * self.step : max(0, (rows.stop - 1) * self.step + 1)], self.step


def halves(x: Tensor) -> np.ndarray:
    """Two-byte numbers as the unsigned integers that numba can read."""
    return x.view(torch.int16).numpy().view(np.uint16)
