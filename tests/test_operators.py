"""Every row of the operator table: values and gradients against torch and against finite differences."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.operators import CASES, OpCase, gradients

FIXTURE = Path(__file__).parent / "fixtures" / "operators.npz"

# Sums in another order differ in the last digits only.
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_smooth_case = pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.differentiable and not c.kinks and any(x.dtype.kind == "f" and x.size for x in c.inputs())],
    ids=lambda case: case.name,
)


def tensors(arrays: list[np.ndarray]) -> list[tinycnn.Tensor]:
    """Around the arrays themselves, so that their memory order is kept."""
    result = [tinycnn.from_numpy(a) for a in arrays]
    return [x.requires_grad_() if x.is_floating_point() else x for x in result]


def run(case: OpCase, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """All outputs and gradients by name."""
    inputs = tensors(arrays)
    outputs = case.run(tinycnn, inputs)
    found = {f"output{i}": y for i, y in enumerate(outputs)}
    found |= gradients(case, tinycnn, inputs, outputs, upstream_rng(case))
    return {name: y.detach().numpy() for name, y in found.items()}


def upstream_rng(case: OpCase) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(case.name.encode()) + 1)


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype), name
        exact = value.dtype.kind != "f"
        close = {"rtol": 1e-6, "atol": 1e-7} if value.dtype.itemsize < 8 else CLOSE
        np.testing.assert_allclose(found[name], value, err_msg=name, **({"rtol": 0} if exact else close))


@pytest.mark.torch
@each_case
def test_agrees_with_torch(case):
    import torch

    arrays = case.inputs()
    inputs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    outputs = case.run(torch, inputs)
    expected = {f"output{i}": y for i, y in enumerate(outputs)}
    expected |= gradients(case, torch, inputs, outputs, upstream_rng(case))
    assert_same(run(case, arrays), {name: y.numpy(force=True) for name, y in expected.items()})


@pytest.fixture(scope="module")
def recorded():
    """Inputs, outputs and gradients that torch gave, by case and name, unpacked from one long array."""
    with np.load(FIXTURE) as file:
        layout, values = json.loads(str(file["layout"])), file["values"]
    position, result = 0, {}
    for case_name, names in layout.items():
        result[case_name] = arrays = {}
        for name, (dtype, shape) in names.items():
            size = int(np.prod(shape))
            arrays[name] = values[position : position + size].reshape(shape).astype(dtype)
            position += size
    assert position == len(values)
    return result


@each_case
def test_agrees_with_what_torch_gave(case, recorded):
    assert case.name in recorded, "not recorded: run tests/fixtures/record_operators.py"
    expected = dict(recorded[case.name])
    inputs = [expected.pop(f"input{i}") for i in range(len(case.samplers))]
    for x, recorded_input in zip(case.inputs(), inputs):
        np.testing.assert_array_equal(x, recorded_input, "the row has changed: run tests/fixtures/record_operators.py")
    assert_same(run(case, inputs), expected)


@each_smooth_case
def test_gradients_are_those_of_finite_differences(case):
    inputs = tensors(case.inputs())

    def function(*inputs):
        return tuple(y for y in case.run(tinycnn, list(inputs)) if y.is_floating_point())

    assert tinycnn.gradcheck(function, inputs)
    if case.twice:
        assert tinycnn.gradgradcheck(function, inputs)


@pytest.mark.parametrize("case", [c for c in CASES if not c.differentiable], ids=lambda case: case.name)
def test_what_has_no_gradient_asks_for_none(case):
    assert not any(y.requires_grad for y in case.run(tinycnn, tensors(case.inputs())))


def strided(x: np.ndarray) -> np.ndarray:
    """Every second element of a larger array."""
    larger = x
    for axis in range(x.ndim):
        larger = np.repeat(larger, 2, axis)
    return larger[(..., *[slice(None, None, 2)] * x.ndim)]


def reversed_memory(x: np.ndarray) -> np.ndarray:
    """With negative strides."""
    backwards = (..., *[slice(None, None, -1)] * x.ndim)
    return x[backwards].copy()[backwards]


def column_major(x: np.ndarray) -> np.ndarray:
    return x.copy(order="F")


def batch_innermost(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) as a transposed view of (H, C, W, N) memory; with fewer dimensions, N last."""
    if x.ndim < 2:
        return x.copy()
    if x.ndim < 4:
        return np.ascontiguousarray(np.moveaxis(x, 0, -1)).transpose(x.ndim - 1, *range(x.ndim - 1))
    return np.ascontiguousarray(x.transpose(2, 1, *range(3, x.ndim), 0)).transpose(
        x.ndim - 1, 1, 0, *range(2, x.ndim - 1)
    )


@pytest.mark.parametrize("layout", [strided, reversed_memory, column_major, batch_innermost])
@pytest.mark.parametrize("case", [c for c in CASES if any(x.ndim for x in c.inputs())], ids=lambda case: case.name)
def test_memory_order_does_not_matter(case, layout):
    arrays = case.inputs()
    laid_out = [layout(a) for a in arrays]
    for a, b in zip(arrays, laid_out):
        np.testing.assert_array_equal(a, b)
    assert_same(run(case, laid_out), run(case, arrays))


@each_case
def test_same_bits_twice_and_inputs_unchanged(case):
    arrays = case.inputs()
    first, second = run(case, arrays), run(case, arrays)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name
    for x, original in zip(arrays, case.inputs()):
        np.testing.assert_array_equal(x, original)


@each_case
def test_float32_in_float32_out(case):
    """Outputs that are float64 for float64 inputs are float32 for float32 inputs, and so are the gradients."""
    arrays = case.inputs()
    in_double = run(case, arrays)
    in_single = run(case, [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays])
    if case.name.startswith("cast/") or not any(a.dtype.kind == "f" for a in arrays):
        in_double = {name: value for name, value in in_double.items() if value.dtype != np.float64}
    for name, value in in_double.items():
        expected = np.float32 if value.dtype == np.float64 else value.dtype
        assert in_single[name].dtype == expected, name
