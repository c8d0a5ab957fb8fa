"""Every kernel against the plain formula in float64, on scores that break careless arithmetic."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # Triton's kernels run without a GPU, in its interpreter

from selflabel.assignment.kernels import cpu, reference

MODULES = {"reference": reference, "cpu": cpu}
if find_spec("triton"):
    from selflabel.assignment.kernels import gpu

    MODULES["gpu"] = gpu
DEVICES = {"gpu": "cuda" if torch.cuda.is_available() else "cpu"}


def drawn(n, k, scale=3.0):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(n + k)) * scale


def dominated():
    scores = drawn(300, 40)
    scores[:, 7] += 1e3
    return scores


def emptied():
    scores = drawn(300, 40)
    scores[:, 5] -= 1e4
    return scores


SCORES = {
    "ordinary": drawn(700, 65),
    "spread of 1e4": drawn(300, 33, scale=1e4 / 6),
    "ties": drawn(500, 40).round(),
    "all equal": torch.zeros(300, 48),
    "one label dominates": dominated(),
    "a column that nobody wants": emptied(),
    "one label": drawn(50, 1),
    "one item": drawn(1, 37),
    "two items, many labels": drawn(2, 1500),
}


def plainly(scores, v, epsilon):
    x = (scores.cpu().double().numpy() + v.numpy()) / epsilon
    peak = x.max(axis=1, keepdims=True)
    soft = np.exp(x - peak)
    z = soft.sum(axis=1, keepdims=True)
    return (soft / z).sum(axis=0), float((peak + np.log(z)).sum())


def moved(k, far=1.0):
    return torch.linspace(-far, far, k, dtype=torch.float64)


def close(found, expected, mass=2e-5, log=2e-6):
    sums, logs = found
    n = expected[0].sum()
    assert np.abs(sums.numpy() - expected[0]).max() <= mass * n
    assert abs(logs - expected[1]) <= log * max(n, abs(expected[1]))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("epsilon", [1.0, 0.1, 1 / 25])
def test_a_turn_from_scores_is_the_formula(name, kind, epsilon):
    scores = SCORES[kind].to(DEVICES.get(name, "cpu"))
    labels = torch.full((len(scores),), -1, device=scores.device)
    v = moved(scores.shape[1])
    found = MODULES[name].score_turn(scores, v, epsilon, labels)
    # float32 scores of 1e4 are known to 5e-4: their softmax at 1/25 to no better than that over epsilon
    exact_to = max(2e-5, float(scores.abs().max()) * 1.2e-7 / epsilon)
    close(found, plainly(scores, v, epsilon), mass=exact_to, log=exact_to)
    assert torch.equal(labels, (scores + v.to(scores).float()).argmax(dim=1))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
def test_a_turn_from_stored_exponentials_is_within_bfloat16_of_the_formula(name, kind):
    scores, work, epsilon = SCORES[kind].to(DEVICES.get(name, "cpu")), MODULES[name], 0.5
    v, x = moved(scores.shape[1]), moved(scores.shape[1], far=2.0)
    kernel = torch.empty(scores.shape, dtype=torch.bfloat16, device=scores.device)
    peaks = work.dense_kernel(scores, v, epsilon, kernel)
    sums, logs = work.dense_turn(kernel, x)
    close((sums, logs + peaks), plainly(scores, v + epsilon * x, epsilon), mass=4e-3, log=4e-3)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
def test_a_turn_from_packed_scores_is_within_a_step_of_the_formula(name, kind):
    scores, work = SCORES[kind].to(DEVICES.get(name, "cpu")), MODULES[name]
    epsilon, v = 0.1, moved(scores.shape[1])
    packed, scales = (
        torch.empty(scores.shape, dtype=torch.int16, device=scores.device),
        torch.empty(len(scores), device=scores.device),
    )
    work.pack(scores, packed, scales)
    sums, logs = work.packed_turn(packed, scales, v, epsilon)
    logs += float(scores.double().amin(dim=1).sum()) / epsilon
    within = max(2e-5, float(scales.max()) / epsilon)
    close((sums, logs), plainly(scores, v, epsilon), mass=within, log=within)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
def test_a_turn_from_kept_entries_misses_no_more_than_was_dropped(name, kind):
    """However labels move within their leeways, some of which are wider than others."""
    scores, work, epsilon = SCORES[kind].to(DEVICES.get(name, "cpu")), MODULES[name], 0.1
    k = scores.shape[1]
    leeway = torch.linspace(1.0, 20.0, k, dtype=torch.float64).flip(0)
    v, x = moved(k), moved(k, far=1.0) * leeway
    counts, columns, logs, peaks = work.sparse_kernel(scores, v, epsilon, float(np.log(k / 1e-4)), leeway)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cpu().cumsum(0)])
    sums, total = work.sparse_turn(starts, columns, logs, x)
    exact_to = max(2e-4, float(scores.abs().max()) * 1.2e-7 / epsilon)
    close((sums, total + peaks), plainly(scores, v + epsilon * x, epsilon), mass=exact_to, log=exact_to)
    assert (counts >= 1).all()


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
def test_entries_kept_of_packed_scores_are_those_of_the_scores_they_stand_for(name, kind):
    scores, work = SCORES[kind].to(DEVICES.get(name, "cpu")), MODULES[name]
    n, k = scores.shape
    packed, scales = torch.empty(n, k, dtype=torch.int16, device=scores.device), torch.empty(n, device=scores.device)
    work.pack(scores, packed, scales)
    given = moved(k), 0.1, 8.0, torch.linspace(0.5, 5.0, k, dtype=torch.float64)
    counts, columns, logs, peaks = work.sparse_kernel(packed, *given, scales)
    expected = reference.sparse_kernel(reference.unpacked(packed, scales), *given)
    near = max(1e-4, float(scores.abs().max()) * 1.2e-7 / 0.1)
    found, known = torch.full((2, n, k), -torch.inf, device=scores.device)
    found[torch.arange(n, device=scores.device).repeat_interleave(counts.to(scores.device)), columns.long()] = logs
    known[torch.arange(n, device=scores.device).repeat_interleave(expected[0]), expected[1].long()] = expected[2]
    both = found.isfinite() & known.isfinite()
    assert float((found - known)[both].abs().max()) <= 10 * near
    assert int((found.isfinite() ^ known.isfinite()).sum()) <= 1e-3 * n * k  # at the very edge float32 may differ
    assert peaks == pytest.approx(expected[3], rel=1e-5, abs=n * near)


@pytest.mark.parametrize("name", MODULES)
def test_labels_are_the_first_of_equals(name):
    scores = torch.zeros(4, 5, device=DEVICES.get(name, "cpu"))
    labels = torch.empty(4, dtype=torch.int64, device=scores.device)
    MODULES[name].score_turn(scores, torch.zeros(5, dtype=torch.float64), 0.1, labels)
    assert labels.tolist() == [0, 0, 0, 0]


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from selflabel.assignment.kernels import gpu

shared = {"sums": "*fp32", "logs": "*fp64", "N": "i32", "K": "i32"}
flags = {"R": "constexpr", "W": "constexpr"}
for capability in (80, 90):
    for R, W in ((256, 16), (1, 4096)):
        tile, target = {"R": R, "W": W}, GPUTarget("cuda", capability, 32)
        dense = {"kernel": "*bf16", "scale": "*fp32", **shared, **flags}
        triton.compile(ASTSource(gpu.dense_tiles, dense, tile), target=target, options={"num_warps": 8})
        logit = {"scores": "*fp32", "scales": "*fp32", "v": "*fp32", "labels": "*i64", **shared, "per_epsilon": "fp32", **flags}
        logit |= {"PACKED": "constexpr", "LABELS": "constexpr"}
        for kind, packed in (("*fp32", False), ("*i16", True)):
            source = ASTSource(gpu.logit_tiles, logit | {"scores": kind}, {**tile, "PACKED": packed, "LABELS": not packed})
            assert triton.compile(source, target=target, options={"num_warps": 8}).asm["ptx"]
"""


@pytest.mark.skipif("gpu" not in MODULES, reason="Triton is not installed")
def test_the_kernels_for_gpus_compile_for_them():
    without = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=without, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
