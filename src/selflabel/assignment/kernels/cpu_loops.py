"""The loops of the CPU kernels in numba: each row is read from memory once, and processed while it is in the first-level cache.

A row of scores is added to the potentials, exponentiated, normalised and added to the column sums while it is in the cache. The
exponential is written out (a polynomial and a shift of the exponent bits), because the library's keeps the compiler from
vectorising a loop; so is the maximum, on integers in the order of the floats, for the same reason. Relative error below 1e-6.

Everything that is compiled is in this one file: numba's cache notices a change of a function's own file only.
"""

# Numba's intrinsics are called with other arguments than they are defined with.
# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

FAST = {"reassoc", "nsz", "contract", "arcp", "nnan", "ninf"}
f32, i32, u32 = np.float32, np.int32, np.uint32
FLUSH_ROWS = 256  # rows summed in float32 before they are added to the float64 sums
PREFETCH_COLUMNS, LINE_ENTRIES = 256, 32  # columns between prefetches; two-byte numbers in a cache line
VECTOR, PADDING = 32, f32(-1e38)  # columns that are compared at once; the value beyond the last column
NO_SCALES, NO_LABELS = np.empty(0, f32), np.empty(0, np.int64)

LOG2E = f32(1.4426950408889634)
P1, P2, P3, P4, P5, P6 = (f32(math.log(2) ** n / math.factorial(n)) for n in range(1, 7))  # 2^f on [-1/2, 1/2]


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
def prefetch(typing_context, array, index):
    """Prefetch the cache line of array[index], which may be beyond the end."""

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
def sums_above(typing_context, a, b, first, bound):
    """Which of the VECTOR sums a + b from index `first` on are above the bound: one bit each, the first is the lowest bit."""

    def generate(context, builder, signature, args):
        vector, number = ir.VectorType(ir.FloatType(), VECTOR), ir.IntType(32)

        def load_vector(i):
            data = context.make_array(signature.args[i])(context, builder, args[i]).data
            return builder.load(builder.bitcast(builder.gep(data, [args[2]]), vector.as_pointer()), align=4)

        undefined = ir.Constant(vector, ir.Undefined)
        single = builder.insert_element(undefined, args[3], number(0))
        bounds = builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(number, VECTOR), [0] * VECTOR))
        above = builder.fcmp_ordered(">", builder.fadd(load_vector(0), load_vector(1)), bounds)
        return builder.bitcast(above, number)

    return types.uint32(a, b, types.int64, types.float32), generate


@intrinsic
def trailing_zeros(typing_context, x):
    def generate(context, builder, signature, args):
        return builder.zext(builder.cttz(args[0], ir.IntType(1)(1)), ir.IntType(64))

    return types.int64(types.uint32), generate


@njit(inline="always")
def exponential(x):
    """exp(x) for x <= 0; below -87 the smallest normal float32."""
    y = max(x * LOG2E, f32(-126.0))
    n = i32(y - f32(0.5))
    f = y - f32(n)
    p = f32(1) + f * (P1 + f * (P2 + f * (P3 + f * (P4 + f * (P5 + f * P6)))))
    return p * float_of_bits((n + i32(127)) << i32(23))


@njit(inline="always")
def float_to_ordered(x):
    """An integer; integers have the order of their floats."""
    bits = bits_of_float(x)
    return bits ^ ((bits >> i32(31)) & i32(0x7FFFFFFF))


@njit(inline="always")
def ordered_to_float(j):
    return float_of_bits(j ^ ((j >> i32(31)) & i32(0x7FFFFFFF)))


@njit(inline="always")
def bfloat16_to_float(u):
    return float_of_bits(i32(u) << i32(16))


@njit(inline="always")
def load_row(scores_K, scale, v, row):
    """Fill row with scale * s + v; return the highest."""
    top = i32(-2147483648)
    for k in range(len(row)):
        x = f32(scores_K[k]) * scale + v[k]
        row[k] = x
        top = max(top, float_to_ordered(x))
    return ordered_to_float(top)


@njit(inline="always")
def add_soft_label(row, peak, per_epsilon, part):
    """Add the row's soft label to part; return its logsumexp. `per_epsilon` is 1 / epsilon."""
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
def n_rows(scores, step):
    """Rows of scores of which every step-th is one."""
    return (len(scores) + step - 1) // step


@njit(inline="always")
def flush(part, sums):
    """Move float32 part sums into the float64 sums."""
    for k in range(len(part)):
        sums[k] += part[k]
        part[k] = f32(0)


@njit(nogil=True, fastmath=FAST, cache=True)
def score_rows(scores, step, scales, v, per_epsilon, sums, labels):
    """Soft-label sums of float32 scores without scales, or of 16-bit ones with a scale per row; fills labels if not empty."""
    n, K = n_rows(scores, step), scores.shape[1]
    row, part, logs = np.empty(K, f32), np.zeros(K, f32), 0.0
    for i in range(n):
        peak = load_row(scores[i * step], scales[i] if len(scales) else f32(1), v, row)
        if len(labels):
            first = i32(2147483647)
            for k in range(K):
                first = min(first, i32(k) if row[k] >= peak else i32(2147483647))
            labels[i] = first
        logs += add_soft_label(row, peak, per_epsilon, part)
        if i % FLUSH_ROWS == FLUSH_ROWS - 1:
            flush(part, sums)
    flush(part, sums)
    return logs


@njit(nogil=True, fastmath=FAST, cache=True)
def fill_packed(scores, step, out, scales):
    """Pack scores into out (n, K) uint16, a step per row into scales (n,)."""
    n, K = out.shape
    for i in range(n):
        top, bottom = i32(-2147483648), i32(2147483647)
        for k in range(K):
            x = float_to_ordered(scores[i * step, k])
            top, bottom = max(top, x), min(bottom, x)
        lowest = ordered_to_float(bottom)
        scales[i] = max((ordered_to_float(top) - lowest) / f32(65535), f32(1e-30))
        steps = f32(1) / scales[i]
        for k in range(K):
            out[i, k] = np.uint16(i32((scores[i * step, k] - lowest) * steps + f32(0.5)))


@njit(nogil=True, fastmath=FAST, cache=True)
def fill_dense(scores, step, v, per_epsilon, out):
    """Store the Gibbs kernel in out (n, K), bfloat16 as uint16; return the sum of peak / epsilon."""
    n, K = out.shape
    row, peaks = np.empty(K, f32), 0.0
    for i in range(n):
        peak = load_row(scores[i * step], f32(1), v, row)
        for k in range(K):
            bits = bits_of_float(exponential((row[k] - peak) * per_epsilon))
            out[i, k] = np.uint16((bits + i32(0x8000)) >> i32(16))
        peaks += peak * per_epsilon
    return peaks


@njit(inline="always")
def scaled_sums(k0, k1, k2, k3, b):
    """The sums of four rows of a stored kernel, columns scaled by b."""
    z0, z1, z2, z3 = f32(0), f32(0), f32(0), f32(0)
    for k in range(len(b)):
        z0 += bfloat16_to_float(k0[k]) * b[k]
        z1 += bfloat16_to_float(k1[k]) * b[k]
        z2 += bfloat16_to_float(k2[k]) * b[k]
        z3 += bfloat16_to_float(k3[k]) * b[k]
    return z0, z1, z2, z3


@njit(inline="always")
def add_shares(k0, k1, k2, k3, z0, z1, z2, z3, part):
    """Add four rows to part, each times its own factor."""
    for k in range(len(part)):
        first_two = bfloat16_to_float(k0[k]) * z0 + bfloat16_to_float(k1[k]) * z1
        part[k] += first_two + bfloat16_to_float(k2[k]) * z2 + bfloat16_to_float(k3[k]) * z3


@njit(nogil=True, fastmath=FAST, cache=True)
def dense_rows(kernel, b, sums):
    """Soft-label sums of a stored kernel. Four rows share the loads of b and of the sums; the next four are prefetched."""
    n, K = kernel.shape
    flat, part, logs, i = kernel.reshape(-1), np.zeros(K, f32), 0.0, 0
    while i + 4 <= n:
        z0, z1, z2, z3 = f32(0), f32(0), f32(0), f32(0)
        ahead = (i + 4) * K
        for c in range(0, K, PREFETCH_COLUMNS):
            end = min(c + PREFETCH_COLUMNS, K)
            for j in range(2 * c, 2 * end, LINE_ENTRIES):
                prefetch(flat, ahead + j)
            y0, y1, y2, y3 = scaled_sums(
                kernel[i, c:end], kernel[i + 1, c:end], kernel[i + 2, c:end], kernel[i + 3, c:end], b[c:end]
            )
            z0, z1, z2, z3 = z0 + y0, z1 + y1, z2 + y2, z3 + y3
        logs += math.log(z0) + math.log(z1) + math.log(z2) + math.log(z3)
        z0, z1, z2, z3 = f32(1) / z0, f32(1) / z1, f32(1) / z2, f32(1) / z3
        ahead += 2 * K
        for c in range(0, K, PREFETCH_COLUMNS):
            end = min(c + PREFETCH_COLUMNS, K)
            for j in range(2 * c, 2 * end, LINE_ENTRIES):
                prefetch(flat, ahead + j)
            add_shares(
                kernel[i, c:end], kernel[i + 1, c:end], kernel[i + 2, c:end], kernel[i + 3, c:end], z0, z1, z2, z3, part[c:end]
            )
        i += 4
        if i % FLUSH_ROWS == 0:
            flush(part, sums)
    while i < n:
        z = f32(0)
        for k in range(K):
            z += bfloat16_to_float(kernel[i, k]) * b[k]
        logs += math.log(z)
        z = f32(1) / z
        for k in range(K):
            part[k] += bfloat16_to_float(kernel[i, k]) * z
        i += 1
    flush(part, sums)
    for k in range(K):
        sums[k] *= b[k]
    return logs


@njit(nogil=True, fastmath=FAST, cache=True)
def select_entries(scores, step, scales, v, leeway, per_epsilon, cutoff, counts, columns, logs):
    """Fill columns and logs from the first rows on, as many rows as fit; return those rows, their entries, their peaks' sum.

    leeway and cutoff are in the units of the scores.
    """
    n, K = len(counts), len(v)
    padded, free = np.full(K + VECTOR, PADDING), np.zeros(K + VECTOR, f32)
    row, filled, peaks = padded[:K], 0, 0.0
    free[:K] = leeway
    for i in range(n):
        if filled + K > len(columns):
            return i, filled, peaks
        peak, start, best = load_row(scores[i * step], scales[i] if len(scales) else f32(1), v, row), filled, i32(2147483647)
        for k in range(K):
            best = min(best, i32(k) if row[k] >= peak else i32(2147483647))
        bound = peak - cutoff - leeway[best]
        for c in range(0, K, VECTOR):
            above = sums_above(padded, free, c, bound)
            while above:
                k = c + trailing_zeros(above)
                columns[filled], logs[filled] = k, (row[k] - peak) * per_epsilon
                above, filled = above & (above - u32(1)), filled + 1
        counts[i], peaks = filled - start, peaks + peak
    return n, filled, peaks


@njit(nogil=True, fastmath=FAST, cache=True)
def sparse_rows(starts, columns, entries, x, sums):
    """Soft-label sums of selected entries (logarithms), potentials having moved by x (K,) epsilons."""
    logs, longest = 0.0, 1
    for i in range(len(starts) - 1):
        longest = max(longest, starts[i + 1] - starts[i])
    row = np.empty(longest, f32)
    for i in range(len(starts) - 1):
        first, last = starts[i], starts[i + 1]
        peak = f32(-np.inf)
        for j in range(first, last):
            row[j - first] = entries[j] + x[columns[j]]
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
