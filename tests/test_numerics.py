"""Sums, statistics and losses keep their digits: errors in float16 and float32 against torch's."""

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.numerics import CASES, LOOSER, ULPS, errors
from tinycnn import Tensor, autograd, tensor
from tinycnn.nn import functional as F

FIXTURE = Path(__file__).parent / "fixtures" / "numerics.json"
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def assert_no_worse(ours: dict[str, float], theirs: dict[str, float], case) -> None:
    allowed = LOOSER.get(case.name.split()[0], ULPS)
    for name, error in ours.items():
        assert error <= 2 * theirs[name] + allowed, f"{name}: {error:.1f} units in the last place, torch {theirs[name]}"


@pytest.fixture(scope="module")
def recorded():
    """torch's errors, by case and result."""
    return json.loads(FIXTURE.read_text())


@each_case
def test_no_worse_than_torch_was(case, recorded):
    assert case.name in recorded, "not recorded: run tests/fixtures/record_numerics.py"
    assert_no_worse(errors(case, tinycnn), recorded[case.name], case)


@pytest.mark.torch
@each_case
def test_no_worse_than_torch(case):
    import torch

    assert_no_worse(errors(case, tinycnn), errors(case, torch), case)


# --- long sums --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape, dim", [((1 << 22, 2), 0), ((1 << 22,), 0), ((2, 1 << 21, 2), 1), ((1 << 21, 1, 2), 0)])
@pytest.mark.parametrize("value", [0.1, 1.0])
def test_a_mean_of_millions_is_that_of_few(shape, dim, value):
    assert np.abs(tensor(np.full(shape, value, np.float32)).mean(dim).numpy() / np.float32(value) - 1).max() < 1e-6


def test_ones_are_counted_beyond_the_range_of_whole_numbers():
    assert tensor(np.ones((1 << 25, 1), np.float32)).expand(-1, 2).sum(0).tolist() == [1 << 25] * 2
    assert tensor(np.ones((), np.float32)).expand(1 << 25).sum().item() == 1 << 25
    assert tensor(np.ones((5000, 2), np.float16)).sum(0).tolist() == [5000] * 2


def test_a_gradient_of_many_rows_is_summed_as_exactly():
    bias = tensor(np.zeros(3, np.float32), requires_grad=True)
    (tensor(np.zeros((1 << 21, 3), np.float32)) + bias).backward(tensor(np.full((1 << 21, 3), 0.1, np.float32)))
    assert np.abs(bias.grad.numpy() / (0.1 * (1 << 21)) - 1).max() < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_memory_order_and_choice_of_dimensions(dtype):
    rng = np.random.default_rng(0)
    memory = rng.random((6, 140, 5, 134)).astype(dtype)
    views = [memory, memory.transpose(3, 1, 0, 2), memory[::-1, ::2, :, ::-1], memory[:, :1], memory[:, :, :, :0]]
    views += [np.broadcast_to(memory[:, :, :1], memory.shape), np.asfortranarray(memory), memory[:, :, 1:3, ::3]]
    for x in views:
        for chosen in range(16):
            dims = tuple(d for d in range(4) if chosen >> d & 1)
            for keepdim in (False, True):
                expected = x.astype(np.float64).sum(axis=dims, keepdims=keepdim) if dims else x.astype(np.float64)
                found = tinycnn.from_numpy(x.copy(order="K")).sum(dims, keepdim) if dims else tensor(x)
                np.testing.assert_allclose(found.numpy(), expected, rtol=2e-6 if dtype == "float32" else 1e-12)


# --- float16 ----------------------------------------------------------------------------------------------


def half(values) -> Tensor:
    return tensor(np.asarray(values), dtype="float16")


@pytest.mark.parametrize(
    "found, expected",
    [
        (lambda: half(np.full(5000, 0.1)).sum(0), 500.0),
        (lambda: half(np.full(1000, 100.0)).mean(), 100.0),
        (lambda: F.mse_loss(half(np.full(1000, 300.0)), half(np.full(1000, 100.0))), 40000.0),
        (lambda: half(np.full((1000, 2), [300.0, 100.0])).var(0, correction=0).sum(), 0.0),
        (lambda: F.adaptive_avg_pool1d(half(np.full((1, 1, 7), 20000.0)), 1).sum(), 20000.0),
        (lambda: F.avg_pool1d(half(np.full((1, 1, 7), 20000.0)), 7).sum(), 20000.0),
        (lambda: half(np.full(100, 300.0)).norm(), 3000.0),
        (lambda: F.cross_entropy(half(np.zeros((70_000, 2))), tensor(np.zeros(70_000, int))), np.log(2)),
        (lambda: half(np.full((1, 4000), 1.0)) @ half(np.full((4000, 1), 1.0)), 4000.0),
    ],
)
def test_sums_of_float16(found, expected):
    result = found()
    assert result.dtype == np.float16
    np.testing.assert_allclose(result.item(), expected, rtol=1e-3)


def test_mixed_operands_are_promoted_as_ever():
    x, t = half([1.0, 2.0]), tensor(np.zeros(2), dtype="float32")
    assert F.mse_loss(x, t).dtype == np.float32
    assert F.mse_loss(x.float(), t.double()).dtype == np.float64
    assert (x * t).dtype == np.float32


def test_gradients_of_any_order_are_of_the_dtype_of_their_input():
    x = half([0.5, -1.0, 2.0]).requires_grad_()
    y = (x.tanh() * x).softmax(0).log().sum() + x.var() + x.logsumexp(0)
    (first,) = autograd.grad(y, x, create_graph=True)
    (second,) = autograd.grad(first.sum(), x)
    assert first.dtype == second.dtype == np.float16
    assert all(map(math.isfinite, second.tolist()))


# Those that only move elements, choose among them, change a sign or a dtype: they round nothing.
EXACT = {
    "Abs", "Cast", "Cat", "Clone", "Contiguous", "Diagonal", "Expand", "Extremum", "Flip", "Gather",
    "GatherTaps", "GetItem", "Im2col", "IndexSelect", "Masked", "MaxPool", "Maximum", "Minimum", "Neg", "Overwrite",
    "Pad", "Permute", "Relu", "Reshape", "SlidingWindows", "ToDevice", "Unpool", "Where",
}  # fmt: skip
# Nodes that call functions of others, or hand gradients on.
NODES = {"JointNode", "_Application", "_Checkpoint", "_End", "_Gate", "_OfCapturedStep", "_Once", "_Output"}


def test_every_operator_computes_in_float32_or_is_exact():
    def below(kind):
        return {kind, *(lower for child in kind.__subclasses__() for lower in below(child))}

    for name in ("utils.checkpoint", "_capture"):  # are loaded when they are used
        importlib.import_module(f"tinycnn.{name}")
    operators = {kind for kind in below(autograd.Function) if kind.__module__.startswith("tinycnn.")}
    assert {kind.__name__ for kind in operators - {autograd.Function} if not kind.in_float32} == EXACT | NODES
