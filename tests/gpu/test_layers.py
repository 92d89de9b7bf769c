"""Every row of the layer table on the GPU: values and gradients as on the CPU, in any memory order, each time."""

import zlib

import numpy as np
import pytest

from tests.gpu import assert_close
from tests.layers import CASES, state_of
from tests.layouts import LAYOUTS
from tests.nn.test_layers import assert_nothing_changes_unseen
from tinycnn import nn
from tinycnn.autograd import grad, wrap

pytestmark = pytest.mark.gpu
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def run(case, device, dtype="float64", layout=np.asarray):
    """Outputs, first- and second-order gradients and buffers, by name, as NumPy arrays."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    layer = case.build(nn)
    state = state_of(layer, rng)
    layer.load_state_dict(state)
    layer.to(device, dtype)

    def tensor(array):
        array = np.asarray(array, dtype if np.asarray(array).dtype.kind == "f" else None)
        return wrap(layout(array)).to(device)

    x = tensor(rng.standard_normal(case.input)).requires_grad_()
    others = [tensor(sampler(rng)) for sampler in case.others]
    y = layer(x, *others)
    upstream = tensor(rng.standard_normal(y.shape)).requires_grad_()
    names, leaves = zip(("input", x), *layer.named_parameters(), strict=True)
    first = grad(y, leaves, upstream, create_graph=True)
    total = sum((g * tensor(rng.standard_normal(g.shape))).sum() for g in first)
    second = grad(total, [*leaves, upstream], allow_unused=True)
    found = {"output": y} | {f"buffer {name}": buffer for name, buffer in layer.named_buffers()}
    found |= {f"gradient of {name}": g for name, g in zip(names, first, strict=True)}
    found |= {f"second of {n}": g for n, g in zip([*names, "upstream"], second, strict=True) if g is not None}
    if any("running" in name for name, _ in layer.named_buffers()):
        found["output of eval"] = layer.eval()(x, *others)
    assert {y.device.type for y in found.values()} == {device}
    return {name: y.detach().cpu().numpy() for name, y in found.items()}


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5)])
@each_case
def test_same_as_on_the_cpu(case, dtype, tolerance):
    assert_close(run(case, "cuda", dtype), run(case, "cpu", dtype), tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("reversed", "sliced")])
@pytest.mark.parametrize("case", [case for case in CASES if len(case.input) > 2], ids=lambda case: case.name)
def test_memory_order_does_not_matter(case, layout):
    def laid_out(array):
        return LAYOUTS[layout](array) if array.ndim == len(case.input) else array

    assert_close(run(case, "cuda", layout=laid_out), run(case, "cpu"), 1e-10)


@each_case
def test_same_bits_twice(case):
    first, second = run(case, "cuda", "float32"), run(case, "cuda", "float32")
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("twice", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["first", "second"])
@each_case
def test_what_a_layer_keeps_does_not_change_unseen(case, twice):
    for after in ("forward", "backward") if twice else ("forward",):
        assert_nothing_changes_unseen(case, after, True, "gpu", twice)
