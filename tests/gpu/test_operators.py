"""Every row of the operator table on the GPU: values and gradients as on the CPU, in any memory order, each time."""

import numpy as np
import pytest

import tinycnn
from tests.gpu import assert_close, lib, on_gpu
from tests.operators import CASES, gradients
from tests.test_operators import (
    assert_nothing_changes_unseen,
    batch_innermost,
    by_method,
    column_major,
    reversed_memory,
    strided,
    upstream_rng,
)
from tinycnn.autograd import wrap
from tinycnn.nn import functional as F

pytestmark = pytest.mark.gpu
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}


def cast(arrays, dtype):
    return [a.astype(dtype, order="K") if a.dtype.kind == "f" else a for a in arrays]


def run(library, case, arrays):
    """All outputs and gradients, by name, as NumPy arrays."""
    inputs = [wrap(a) for a in arrays]
    inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
    outputs = case.run(library, inputs)
    found = {f"output{i}": y for i, y in enumerate(outputs)}
    found |= gradients(case, library, inputs, outputs, upstream_rng(case))
    devices = {x.device for x in inputs}
    assert {y.device for y in found.values()} <= devices
    return {name: y.detach().cpu().numpy() for name, y in found.items()}


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
@each_case
def test_same_as_on_the_cpu(case, dtype):
    arrays = cast(case.inputs(), dtype)
    found = run(lib, case, [on_gpu(a) for a in arrays])
    assert_close(found, run(tinycnn, case, arrays), TOLERANCE[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("layout", [
    pytest.param(strided, marks=pytest.mark.slow), reversed_memory, pytest.param(column_major, marks=pytest.mark.slow),
    batch_innermost])  # fmt: skip
@pytest.mark.parametrize("case", [c for c in CASES if any(x.ndim for x in c.inputs())], ids=lambda case: case.name)
def test_memory_order_does_not_matter(case, layout):
    arrays = case.inputs()
    laid_out = [on_gpu(layout(a)) for a in arrays]
    assert_close(run(lib, case, laid_out), run(tinycnn, case, arrays), TOLERANCE[np.float64])


@pytest.mark.parametrize("twice", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["first", "second"])
@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=lambda case: case.name)
def test_what_a_graph_keeps_does_not_change_unseen(case, twice):
    assert_nothing_changes_unseen(case, by_method, twice, "gpu")


@each_case
def test_same_bits_twice_and_inputs_unchanged(case):
    inputs = [on_gpu(a) for a in cast(case.inputs(), np.float32)]
    first, second = run(lib, case, inputs), run(lib, case, inputs)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name
    for x, original in zip(inputs, cast(case.inputs(), np.float32), strict=True):
        np.testing.assert_array_equal(x.get(), original)


def test_a_structs_fields_are_not_described_at_every_launch(monkeypatch):
    """For CuPy asks NumPy to, and it takes 17 µs."""
    from tinycnn.backend.gpu import launch

    given, kernel = [], launch.kernel

    def noting(*which):
        return lambda grid, block, arguments: given.extend(arguments) or kernel(*which)(grid, block, arguments)

    monkeypatch.setattr(launch, "kernel", noting)
    layer = tinycnn.nn.Sequential(
        tinycnn.nn.Conv2d(2, 3, 3), tinycnn.nn.BatchNorm2d(3), tinycnn.nn.ReLU(), tinycnn.nn.MaxPool2d(2)
    ).gpu()
    loss = F.cross_entropy(layer(tinycnn.randn(2, 2, 8, 8, device="gpu")).flatten(1), tinycnn.zeros(2).long().gpu())
    loss.backward()
    tinycnn.optim.Adam(layer.parameters()).step()
    structs = [argument for argument in given if type(argument) is np.ndarray]
    assert len(structs) > 20
    assert [struct.dtype for struct in structs if struct.dtype.names] == []


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_functions_keep_the_dtype(dtype):
    x = tinycnn.tensor([0.5, 0.25], dtype=dtype, device="gpu", requires_grad=True)
    for function in (F.gelu, F.softplus, F.silu, F.elu, F.leaky_relu, tinycnn.exp, tinycnn.log1p, tinycnn.sigmoid):
        for y in (function(x), function(x.detach().cpu())):
            assert y.dtype == dtype, function.__name__
        function(x).sum().backward()


def test_gradients_of_repeated_indices_are_the_same_bits_each_time():
    rng = np.random.default_rng(0)
    index = on_gpu(rng.integers(0, 3, 20_000))
    upstream = wrap(on_gpu(rng.standard_normal((20_000, 2), np.float32)))

    def gradient():
        x = wrap(on_gpu(np.zeros((3, 2), np.float32))).requires_grad_()
        x[wrap(index)].backward(upstream)
        return x.grad.cpu().numpy().tobytes()

    assert len({gradient() for _ in range(10)}) == 1
