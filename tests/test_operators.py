"""Every row of the operator table: values and gradients against torch and against finite differences."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.gpu import lib
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


def tensors(arrays: list[np.ndarray], device: str = "cpu") -> list[tinycnn.Tensor]:
    """Around the arrays themselves, so that their memory order is kept; or on another device."""
    result = [tinycnn.from_numpy(a).to(device) for a in arrays]
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


@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=lambda case: case.name)
def test_gradients_are_the_same_whether_they_are_recorded_or_not(case):
    """Where nothing is recorded, a backward may take a shorter way."""
    inputs = tensors(case.inputs())
    outputs = [y for y in case.run(tinycnn, inputs) if y.requires_grad]
    asked = [x for x in inputs if x.requires_grad]
    if outputs:
        upstream = [tinycnn.tensor(upstream_rng(case).standard_normal(y.shape), dtype=y.dtype) for y in outputs]
        recorded = tinycnn.grad(outputs, asked, upstream, create_graph=True, allow_unused=True)
        again = [y for y in case.run(tinycnn, inputs) if y.requires_grad]
        plain = tinycnn.grad(again, asked, upstream, allow_unused=True)
        for a, b in zip(recorded, plain):
            found = {} if b is None else {"gradient": b.numpy()}
            assert_same(found, {} if a is None else {"gradient": a.detach().numpy()})


# --- memory ---------------------------------------------------------------------------------------------------


@each_case
def test_results_are_views_or_copies_as_the_table_says(case):
    arrays = case.inputs()
    outputs = [y.detach().numpy() for y in case.run(tinycnn, tensors(arrays))]
    assert case.view == any(np.may_share_memory(y, x) for y in outputs for x in arrays if x.size)


@pytest.mark.torch
@each_case
def test_the_table_says_views_where_torch_has_views(case):
    import torch

    inputs = [torch.tensor(a) for a in case.inputs()]
    memory = {x.untyped_storage().data_ptr() for x in inputs}
    outputs = [y for y in case.run(torch, inputs) if y.numel()]
    assert case.view == any(y.untyped_storage().data_ptr() in memory for y in outputs)


def overwritten(x: np.ndarray) -> np.ndarray:
    """Other values that could be in the place of these."""
    if x.dtype == bool:
        return ~x
    return x * 0.5 + 0.1 if x.dtype.kind == "f" else np.zeros_like(x)


def by_method(x: tinycnn.Tensor, array: np.ndarray) -> None:
    with tinycnn.no_grad():
        x.copy_(tinycnn.tensor(overwritten(array)))


def from_outside(x: tinycnn.Tensor, array: np.ndarray) -> None:
    array[...] = overwritten(array)


def gradients_with_changes(
    case: OpCase, change=None, place: int = 0, after: str = "", twice: bool = True, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """First gradients, and second ones if `twice`, where argument `place` (an input, or, beyond them, an upstream
    gradient) is overwritten by `change` after the pass of that name."""
    rng, arrays = upstream_rng(case), case.inputs()
    inputs = tensors(arrays, device)
    kept = [y for y in case.run(tinycnn if device == "cpu" else lib, inputs) if y.requires_grad]
    asked = [x for x in inputs if x.requires_grad]
    arrays += [rng.standard_normal(y.shape).astype(y.dtype) for y in kept]
    upstream = tensors(arrays[len(inputs) :], device)
    if after == "forward":
        change([*inputs, *upstream][place], arrays[place])
    twice = twice and case.twice
    first = tinycnn.autograd.grad(kept, asked, upstream, create_graph=twice, allow_unused=True)
    found = {f"first{i}": g.detach().cpu().numpy().copy() for i, g in enumerate(first) if g is not None}
    used = [g for g in first if g is not None and g.requires_grad]
    if twice and used:
        weights = [tinycnn.tensor(rng.standard_normal(g.shape), dtype=g.dtype, device=device) for g in used]
        if after == "backward":
            change([*inputs, *upstream][place], arrays[place])
        second = tinycnn.autograd.grad(used, [*asked, *upstream], weights, allow_unused=True)
        found |= {f"second{i}": g.cpu().numpy() for i, g in enumerate(second) if g is not None}
    return found


def unless_refused(function, *arguments):
    """The result, or None where the graph refuses to use what was changed."""
    try:
        return function(*arguments)
    except RuntimeError as error:
        if "was changed in place" not in str(error):
            raise
        return None


@pytest.mark.parametrize("change", [by_method, from_outside])
@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=lambda case: case.name)
def test_what_a_graph_keeps_does_not_change_unseen(case, change):
    assert_nothing_changes_unseen(case, change)


def assert_nothing_changes_unseen(case, change, twice=True, device="cpu"):
    expected = gradients_with_changes(case, twice=twice, device=device)
    outputs = sum(y.requires_grad for y in case.run(tinycnn, tensors(case.inputs())))
    for after in ("forward", "backward") if twice and case.twice else ("forward",):
        count = len(case.samplers) + (outputs if after == "backward" else 0)
        for place in range(count):
            found = unless_refused(gradients_with_changes, case, change, place, after, twice, device)
            for name, value in ({} if found is None else expected).items():
                np.testing.assert_allclose(found[name], value, err_msg=f"{name}, argument {place} after {after}")


# --- other memory orders and dtypes ---------------------------------------------------------------------------


several_inputs = [c for c in CASES if c.differentiable and sum(x.dtype.kind == "f" for x in c.inputs()) > 1]


@pytest.mark.parametrize("case", several_inputs, ids=lambda case: case.name)
def test_gradients_asked_for_one_by_one_are_those_asked_for_together(case):
    inputs = tensors(case.inputs())
    kept = [y for y in case.run(tinycnn, inputs) if y.requires_grad]
    asked = [x for x in inputs if x.requires_grad]
    upstream = [tinycnn.tensor(upstream_rng(case).standard_normal(y.shape), dtype=y.dtype) for y in kept]
    options = {"create_graph": case.twice, "retain_graph": True, "allow_unused": True}
    together = tinycnn.grad(kept, asked, upstream, **options)
    for x, expected in zip(asked, together):
        (found,) = tinycnn.grad(kept, [x], upstream, **options)
        if expected is None or not case.twice or not expected.requires_grad:
            assert_same({} if found is None else {"": found.detach().numpy()},
                        {} if expected is None else {"": expected.detach().numpy()})  # fmt: skip
            continue
        second = [tinycnn.grad(g.sum(), asked, retain_graph=True, allow_unused=True) for g in (found, expected)]
        for a, b in zip(*second):
            assert_same({} if a is None else {"": a.numpy()}, {} if b is None else {"": b.numpy()})


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
