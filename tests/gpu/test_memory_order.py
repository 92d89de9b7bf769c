"""Results of elementwise operators lie in memory as NumPy's do: batch innermost for batch-innermost activations."""

import numpy as np
import pytest

import tinycnn
from tests.gpu import on_gpu
from tests.layouts import LAYOUTS, batch_innermost
from tinycnn import autograd
from tinycnn.autograd import wrap
from tinycnn.grad_mode import thread_mode
from tinycnn.nn import functional as F

pytestmark = pytest.mark.gpu

SHAPE = (5, 3, 4, 2)
ONE = {  # with operators that are made of others in between
    "neg": lambda x: -x, "abs": abs, "exp": lambda x: x.exp(), "log": lambda x: x.log(), "sqrt": lambda x: x.sqrt(),
    "tanh": lambda x: x.tanh(), "sigmoid": lambda x: x.sigmoid(), "relu": lambda x: x.relu(), "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(), "log1p": lambda x: x.log1p(), "expm1": lambda x: x.expm1(), "sign": lambda x: x.sign(),
    "clamp": lambda x: x.clamp(0.5, 1), "floor": lambda x: x.floor(), "isnan": lambda x: x.isnan(),
    "clone": lambda x: x.clone(), "float64": lambda x: x.double(), "int32": lambda x: x.int(),
    "invert": lambda x: ~(x > 1),
    "number on the right": lambda x: [x + 1, x - 1, x * 2, x / 2, x**2, x % 2, x // 2, x == 1, x < 1],
    "number on the left": lambda x: [1 + x, 1 - x, 2 * x, 2 / x, 2**x, 2 % x, 2 // x, x > 0],
    "activations": lambda x: [getattr(tinycnn.nn, name)()(x) for name in ("ELU", "GELU", "Hardswish", "LeakyReLU",
                              "LogSigmoid", "SiLU", "Softplus")],
    "binary cross-entropy": lambda x: F.binary_cross_entropy(x.sigmoid(), x.tanh(), reduction="none"),
    "along channels": lambda x: [x.softmax(1), x.log_softmax(1)],
    "like": lambda x: [tinycnn.zeros_like(x), tinycnn.ones_like(x)],
    "of NumPy's names": lambda x: [x.tan(), x.log2(), x.rsqrt(), x.exp2()],
    "clipped": lambda x: [F.hardtanh(x), F.relu6(x)],
    "truncated": lambda x: [tinycnn.div(x, 0.7, rounding_mode="trunc"), x.fmod(0.7)],
}  # fmt: skip
TWO = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b, "remainder": lambda a, b: a % b, "floor_divide": lambda a, b: a // b,
    "maximum": lambda a, b: a.maximum(b), "minimum": lambda a, b: a.minimum(b), "isclose": lambda a, b: a.isclose(b),
    "compare": lambda a, b: [a == b, a != b, a < b, a <= b, a > b, a >= b],
    "logic": lambda a, b: [(a > 1) & (b > 1), (a > 1) | (b > 1), (a > 1) ^ (b > 1)],
    "two of NumPy's names": lambda a, b: [a.atan2(b), a.fmod(b), a.logaddexp(b), a.lerp(b, 0.3)],
    "where": lambda a, b: tinycnn.where(a > b, a, b), "masked_fill": lambda a, b: (a + 0 * b).masked_fill(a > 1, 0.0),
}  # fmt: skip
SECOND = {
    "same order": SHAPE,
    "per channel": (3, 1, 1),
    "per sample": (5, 1, 1, 1),
    "per column": (2,),
    "one number": (),
}


def strides(y):
    """In elements, where they matter."""
    return [step // y._array.itemsize if size > 1 else 0 for step, size in zip(y._array.strides, y.shape, strict=True)]


def outputs_and_gradients(function, inputs):
    outputs = function(*[x.requires_grad_() for x in inputs])
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    differentiable = [y for y in outputs if y.requires_grad]
    if differentiable:
        outputs += autograd.grad(differentiable, inputs, [y.detach() for y in differentiable], allow_unused=True)
    return outputs


def check(function, arrays):
    expected = outputs_and_gradients(function, [wrap(a) for a in arrays])
    found = outputs_and_gradients(function, [wrap(on_gpu(a)) for a in arrays])
    for y, z in zip(found, expected, strict=True):
        if z is not None:
            assert strides(y) == strides(z)
            np.testing.assert_allclose(y.detach().cpu().numpy(), z.detach().numpy(), rtol=1e-5, atol=1e-5)


def sample(*shape):
    return np.random.default_rng(len(shape)).uniform(0.5, 2, shape).astype(np.float32)


@pytest.mark.parametrize("layout", ["row-major", "column-major", "batch innermost", "channels last"])
@pytest.mark.parametrize("name", ONE)
def test_of_one_operand(name, layout):
    check(ONE[name], [LAYOUTS[layout](sample(*SHAPE))])


@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("name", TWO)
def test_of_two_operands(name, second, swapped):
    a, b = batch_innermost(sample(*SHAPE)), sample(*SECOND[second])
    b = batch_innermost(b + 0.1) if b.ndim == 4 else b
    check(TWO[name], [b, a] if swapped else [a, b])


def test_every_elementwise_operator_is_here():
    seen = set()

    class Watch:
        def forward(self, function, arrays, output):
            seen.add(type(function))

        def backward(self, function, grad_output):
            return function.backward(grad_output)

    thread_mode.anomaly = Watch()
    try:
        x = tinycnn.tensor(sample(*SHAPE))
        for function in ONE.values():
            function(x)
        for function in TWO.values():
            function(x, x)
    finally:
        thread_mode.anomaly = None
    missing = {
        f.__name__ for f in autograd.Function.__subclasses__() if f.elementwise and f.__module__[:7] == "tinycnn"
    }
    assert missing - {f.__name__ for f in seen} == set()


def test_moving_keeps_the_order():
    x = wrap(batch_innermost(sample(*SHAPE)))
    there = x.to("cuda:0")
    assert strides(there) == strides(there.to("cuda:1")) == strides(there.cpu()) == strides(x)
    np.testing.assert_array_equal(there.cpu().numpy(), x.numpy())


@pytest.mark.parametrize("dim", [None, 0, 1, 3, (0, 2, 3), (1,), (3, 0), (0, 1, 2, 3)])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reductions(dim, keepdim, layout):
    x = LAYOUTS[layout](np.random.default_rng(0).integers(-3, 4, SHAPE).astype(np.float64))
    on_cpu, there = wrap(x), wrap(on_gpu(x))
    several = {name: lambda t, name=name: getattr(t, name)(dim, keepdim) for name in ("sum", "mean", "amax", "amin")
               if dim is not None or name in ("sum", "mean")}  # fmt: skip
    several |= {name: lambda t, name=name: getattr(t > 0, name)(dim, keepdim) for name in ("all", "any", "sum")}
    if dim is None or isinstance(dim, int):  # which of equal elements is the first depends on the order of the axes
        several |= {name: lambda t, name=name: getattr(t, name)(dim, keepdim) for name in ("argmax", "argmin")}
    for name, function in several.items():
        found, expected = function(there), function(on_cpu)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), name
        np.testing.assert_array_equal(found.cpu().numpy(), expected.numpy(), err_msg=name)
