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

from selflabel.assignment import kernels
from selflabel.assignment.kernels import cpu, kernels_for, reference

MODULES = {"reference": reference, "cpu": cpu}
if find_spec("triton"):
    from selflabel.assignment.kernels import gpu

    MODULES["gpu"] = gpu
DEVICES = {"gpu": "cuda" if torch.cuda.is_available() else "cpu"}


def random_scores(n, k, scale=3.0):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(n + k)) * scale


def with_a_dominant_label():
    scores = random_scores(300, 40)
    scores[:, 7] += 1e3
    return scores


def with_an_empty_label():
    scores = random_scores(300, 40)
    scores[:, 5] -= 1e4
    return scores


SCORES = {
    "ordinary": random_scores(700, 65),
    "spread of 1e4": random_scores(300, 33, scale=1e4 / 6),
    "ties": random_scores(500, 40).round(),
    "all equal": torch.zeros(300, 48),
    "one label dominates": with_a_dominant_label(),
    "one label that no item prefers": with_an_empty_label(),
    "one label": random_scores(50, 1),
    "one item": random_scores(1, 37),
    "two items, many labels": random_scores(2, 1500),
}


def formula(scores, v, epsilon):
    x = (scores.cpu().double().numpy() + v.numpy()) / epsilon
    peak = x.max(axis=1, keepdims=True)
    soft = np.exp(x - peak)
    z = soft.sum(axis=1, keepdims=True)
    return (soft / z).sum(axis=0), float((peak + np.log(z)).sum())


def potentials(k, far=1.0):
    return torch.linspace(-far, far, k, dtype=torch.float64)


def assert_close(result, expected, mass=2e-5, log=2e-6):
    sums, logs = result
    n = expected[0].sum()
    assert np.abs(sums.numpy() - expected[0]).max() <= mass * n
    assert abs(logs - expected[1]) <= log * max(n, abs(expected[1]))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("epsilon", [1.0, 0.1, 1 / 25])
def test_sums_from_scores_equal_the_formula(name, kind, epsilon):
    scores = SCORES[kind].to(DEVICES.get(name, "cpu"))
    labels = torch.full((len(scores),), -1, device=scores.device)
    v = potentials(scores.shape[1])
    result = MODULES[name].score_sums(scores, v, epsilon, labels)
    # float32 scores of 1e4 are exact to 5e-4, and their softmax to that over epsilon
    exact_to = max(2e-5, float(scores.abs().max()) * 1.2e-7 / epsilon)
    assert_close(result, formula(scores, v, epsilon), mass=exact_to, log=exact_to)
    assert torch.equal(labels, (scores + v.to(scores).float()).argmax(dim=1))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
def test_sums_from_a_dense_kernel_are_within_bfloat16_of_the_formula(name, kind):
    scores, module, epsilon = SCORES[kind].to(DEVICES.get(name, "cpu")), MODULES[name], 0.5
    v, x = potentials(scores.shape[1]), potentials(scores.shape[1], far=2.0)
    kernel = torch.empty(scores.shape, dtype=torch.bfloat16, device=scores.device)
    peaks = module.dense_kernel(scores, v, epsilon, kernel)
    sums, logs = module.dense_sums(kernel, x)
    assert_close((sums, logs + peaks), formula(scores, v + epsilon * x, epsilon), mass=4e-3, log=4e-3)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
def test_sums_from_packed_scores_are_within_a_step_of_the_formula(name, kind):
    scores, module = SCORES[kind].to(DEVICES.get(name, "cpu")), MODULES[name]
    epsilon, v = 0.1, potentials(scores.shape[1])
    packed, scales = (
        torch.empty(scores.shape, dtype=torch.int16, device=scores.device),
        torch.empty(len(scores), device=scores.device),
    )
    module.pack(scores, packed, scales)
    sums, logs = module.packed_sums(packed, scales, v, epsilon)
    logs += float(scores.double().amin(dim=1).sum()) / epsilon
    within = max(2e-5, float(scales.max()) / epsilon)
    assert_close((sums, logs), formula(scores, v, epsilon), mass=within, log=within)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
def test_sums_from_selected_entries_miss_no_more_than_was_left_out(name, kind):
    """However labels move within their leeways, some of which are wider than others."""
    scores, module, epsilon = SCORES[kind].to(DEVICES.get(name, "cpu")), MODULES[name], 0.1
    k = scores.shape[1]
    leeway = torch.linspace(1.0, 20.0, k, dtype=torch.float64).flip(0)
    v, x = potentials(k), potentials(k, far=1.0) * leeway
    counts, columns, logs, peaks = module.sparse_kernel(scores, v, epsilon, float(np.log(k / 1e-4)), leeway)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cpu().cumsum(0)])
    sums, total = module.sparse_sums(starts, columns, logs, x)
    exact_to = max(2e-4, float(scores.abs().max()) * 1.2e-7 / epsilon)
    assert_close((sums, total + peaks), formula(scores, v + epsilon * x, epsilon), mass=exact_to, log=exact_to)
    assert (counts >= 1).all()


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", SCORES)
def test_entries_selected_from_packed_scores_are_those_of_the_scores(name, kind):
    scores, module = SCORES[kind].to(DEVICES.get(name, "cpu")), MODULES[name]
    n, k = scores.shape
    packed, scales = torch.empty(n, k, dtype=torch.int16, device=scores.device), torch.empty(n, device=scores.device)
    module.pack(scores, packed, scales)
    given = potentials(k), 0.1, 8.0, torch.linspace(0.5, 5.0, k, dtype=torch.float64)
    counts, columns, logs, peaks = module.sparse_kernel(packed, *given, scales)
    expected = reference.sparse_kernel(reference.unpack(packed, scales), *given)
    near = max(1e-4, float(scores.abs().max()) * 1.2e-7 / 0.1)
    result, known = torch.full((2, n, k), -torch.inf, device=scores.device)
    result[torch.arange(n, device=scores.device).repeat_interleave(counts.to(scores.device)), columns.long()] = logs
    known[torch.arange(n, device=scores.device).repeat_interleave(expected[0]), expected[1].long()] = expected[2]
    both = result.isfinite() & known.isfinite()
    assert float((result - known)[both].abs().max()) <= 10 * near
    assert int((result.isfinite() ^ known.isfinite()).sum()) <= 1e-3 * n * k  # at the threshold float32 may differ
    assert peaks == pytest.approx(expected[3], rel=1e-5, abs=n * near)


@pytest.mark.parametrize("name", MODULES)
def test_labels_are_the_first_of_equal_scores(name):
    scores = torch.zeros(4, 5, device=DEVICES.get(name, "cpu"))
    labels = torch.empty(4, dtype=torch.int64, device=scores.device)
    MODULES[name].score_sums(scores, torch.zeros(5, dtype=torch.float64), 0.1, labels)
    assert labels.tolist() == [0, 0, 0, 0]


def test_few_scores_are_left_to_torch_and_many_go_to_compiled_kernels():
    device = torch.device("cpu")
    assert kernels_for(device, kernels.MIN_COMPILED_ENTRIES - 1) is reference
    assert kernels_for(device, kernels.MIN_COMPILED_ENTRIES) is cpu


def test_threads_get_every_row_once_and_sums_do_not_depend_on_how_many_there_are():
    scores, v = random_scores(1001, 20), potentials(20)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert [i for rows in cpu.in_threads(lambda rows: rows, 10) for i in range(10)[rows]] == list(range(10))
            results.append(cpu.score_sums(scores, v, 0.1))
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(results[0][0], results[1][0], rtol=1e-5) and results[0][1] == pytest.approx(results[1][1])


@pytest.mark.parametrize("step", [1, 3])
def test_a_block_of_every_third_row_is_read_in_place(step):
    whole = random_scores(90, 12)
    block = whole[::step]
    rows = cpu.RowBlock(block)
    memory, apart = rows[slice(2, 5)]
    assert apart == step and np.shares_memory(memory, whole.numpy())
    assert np.array_equal(memory[::apart], block[2:5].numpy())
    assert np.array_equal(cpu.RowBlock(whole.T)[slice(0, 4)][0], whole.T[:4].numpy())  # other layouts are copied


def test_entries_are_selected_in_parts_where_the_buffer_is_small(monkeypatch):
    scores, args = random_scores(60, 30), (potentials(30), 0.1, 8.0, torch.full((30,), 2.0).double())
    whole = cpu.sparse_kernel(scores, *args)
    monkeypatch.setattr(cpu, "ENTRY_BUFFER", 70)
    parts = cpu.sparse_kernel(scores, *args)
    assert all(torch.equal(a, b) for a, b in zip(whole[:3], parts[:3])) and whole[3] == pytest.approx(parts[3])


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


@pytest.mark.slow
@pytest.mark.skipif("gpu" not in MODULES, reason="Triton is not installed")
def test_the_triton_kernels_compile_for_two_generations_of_gpus():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
