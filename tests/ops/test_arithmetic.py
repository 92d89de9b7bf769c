"""Element-wise operators, beyond the operator table: broadcasting by properties, extremes of floating point."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import tinycnn
from tinycnn import tensor

INF, NAN = float("inf"), float("nan")
operands = mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=4, min_side=0, max_side=4)
seeds = st.integers(0, 1000)


def pair(shapes, seed):
    rng = np.random.default_rng(seed)
    return [tensor(rng.uniform(0.5, 2.0, shape), requires_grad=True) for shape in shapes.input_shapes]


def sum_over_broadcast(gradient, shape):
    """By brute force: the gradient of every copy of an element added to that element."""
    result = np.zeros(shape)
    for place in np.ndindex(*gradient.shape):
        own = place[len(place) - len(shape) :]
        result[tuple(0 if size == 1 else i for i, size in zip(own, shape))] += gradient[place]
    return result


@given(operands, seeds)
def test_broadcasting_forward_and_backward(shapes, seed):
    a, b = pair(shapes, seed)
    x, y = a._array, b._array
    u = np.random.default_rng(seed + 1).standard_normal(shapes.result_shape)
    for result, value, grad_a, grad_b in [
        (a + b, x + y, u, u),
        (a - b, x - y, u, -u),
        (a * b, x * y, u * y, u * x),
        (a / b, x / y, u / y, -u * x / y**2),
        (a**b, x**y, u * y * x ** (y - 1), u * x**y * np.log(x)),
    ]:
        assert result.shape == shapes.result_shape
        np.testing.assert_allclose(result._array, value)
        found_a, found_b = tinycnn.grad(result, (a, b), tensor(u))
        np.testing.assert_allclose(
            found_a._array, sum_over_broadcast(np.broadcast_to(grad_a, u.shape), x.shape), atol=1e-12
        )
        np.testing.assert_allclose(
            found_b._array, sum_over_broadcast(np.broadcast_to(grad_b, u.shape), y.shape), atol=1e-12
        )


@given(st.lists(st.integers(1, 3), max_size=4).map(tuple), st.lists(st.integers(1, 3), max_size=4).map(tuple))
def test_shapes_that_numpy_refuses_are_refused_by_name(left, right):
    a, b = tinycnn.zeros(*left), tinycnn.zeros(*right)
    try:
        expected = np.broadcast_shapes(left, right)
    except ValueError:
        for operation in (
            lambda: a + b,
            lambda: tinycnn.maximum(a, b),
            lambda: tinycnn.where(a > 0, a, b),
            lambda: a < b,
        ):
            with pytest.raises(ValueError, match="do not broadcast") as refusal:
                operation()
            assert str(left) in str(refusal.value)
            assert str(right) in str(refusal.value)
    else:
        assert (a + b).shape == (a < b).shape == tinycnn.where(a > 0, a, b).shape == expected


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_extremes_are_those_of_ieee():
    x = tensor([0.0, -0.0, INF, -INF, NAN, 1.0])
    assert (1 / x).tolist()[:4] == [INF, -INF, 0.0, 0.0]
    np.testing.assert_array_equal(x.relu()._array, [0, 0, INF, 0, NAN, 1])
    np.testing.assert_array_equal(x.clamp(-1, 1)._array, [0, 0, 1, -1, NAN, 1])
    np.testing.assert_array_equal(x.sigmoid()._array[2:5], [1, 0, NAN])
    np.testing.assert_array_equal(x.tanh()._array[2:5], [1, -1, NAN])
    np.testing.assert_array_equal(tinycnn.maximum(x, tensor(0.5))._array, [0.5, 0.5, INF, 0.5, NAN, 1])
    np.testing.assert_array_equal(tinycnn.minimum(x, tensor(0.5))._array, [0, 0, 0.5, -INF, NAN, 0.5])
    np.testing.assert_array_equal(x.sign()._array, [0, 0, 1, -1, 0, 1])


def test_sigmoid_neither_overflows_nor_loses_digits():
    with np.errstate(all="raise", under="ignore"):
        y = tensor([-1000.0, -90.0, 90.0, 1000.0], dtype="float64").sigmoid()
    np.testing.assert_allclose(y._array, [0, np.exp(-90.0), 1, 1], rtol=1e-14)


def test_log_and_sqrt_outside_their_domain_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tensor([0.0]).log().tolist() == [-INF]
        assert np.isnan(tensor([-1.0]).log().item())
        assert np.isnan(tensor([-1.0]).sqrt().item())


def test_division_does_not_overflow_in_backward():
    a = tensor(np.float32([1e30]), requires_grad=True)
    b = tensor(np.float32([1e25]), requires_grad=True)
    (a / b).backward()
    np.testing.assert_allclose(b.grad._array, [-1e-20], rtol=1e-6)


def test_where_stops_gradients_of_what_it_did_not_choose():
    x = tensor([0.0, 4.0], requires_grad=True)
    safe = tinycnn.where(x > 0, x, 1.0)
    tinycnn.where(x > 0, safe.sqrt(), 0.0).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_infinite_upstream_gradient_does_not_leak_through_a_relu_that_is_off():
    x = tensor([-1.0, 2.0], requires_grad=True)
    x.relu().backward(tensor([INF, 1.0]))
    assert x.grad.tolist() == [0.0, 1.0]


def test_ties_of_maximum_share_the_gradient():
    a, b = (tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    tinycnn.maximum(a, b).backward(tensor([4.0, 6.0]))
    assert a.grad.tolist() == b.grad.tolist() == [2.0, 3.0]


def test_python_bounds_of_clamp():
    n = tensor([0, 1, 2, 3])
    assert n.clamp(1, 2).tolist() == [1, 1, 2, 2]
    assert n.clamp(1, 2).dtype == np.int64
    assert n.clamp(0.5, 2.5).tolist() == [0.5, 1.0, 2.0, 2.5]
    assert tensor([1.0]).clamp(3, 1).tolist() == [1.0]  # as in torch, max wins


@pytest.mark.parametrize("operator", ["exp", "tanh", "sigmoid", "relu", "sqrt"])
def test_what_keeps_its_output_does_not_keep_its_input(operator):
    x = tensor(np.ones(3), requires_grad=True)
    y = getattr(x * 1.0, operator)()
    assert y._node._inputs is None
    assert y._node._output is y._array


def test_layouts_survive():
    """(N, C, H, W) arrays that lie as (H, C, W, N) stay so: mixing orders is slow."""
    x = tensor(np.ones((4, 3, 5, 2), np.float32).transpose(3, 1, 0, 2), requires_grad=True)
    y = ((x.relu() * 2.0 + 1.0).tanh() - x.sigmoid()).clamp(0.0, 1.0)
    y = tinycnn.where(y > 0.5, y, 0.0)
    y.backward(tinycnn.ones_like(y))
    assert y._array.strides == x._array.strides == x.grad._array.strides


def test_comparisons_are_not_differentiable():
    x = tensor([1.0], requires_grad=True)
    for y in (x == x, x < 2, x != x, ~(x > 0)):
        assert y.dtype == bool
        assert not y.requires_grad


def test_a_number_is_cut_to_the_dtype_it_is_put_into():
    mask = tensor([True, False])
    assert tensor([7, 2]).masked_fill(mask, -1.5).tolist() == [-1, 2]
    assert tensor([7, 2], dtype="uint8").masked_fill(mask, -1).tolist() == [255, 2]
    assert tensor([False, True]).masked_fill(mask, 0.5).tolist() == [True, True]
    assert tensor([7, 2], dtype="uint8").fill_(-255).tolist() == [1, 1]
    assert tinycnn.full((2,), -1, dtype="uint8").tolist() == [255, 255]
    assert tensor([1, 6], dtype="uint8").clamp(-1, 5).tolist() == [5, 5]
    for number in (-0.75, -256, 256, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="masked_fill: expected value from 0 to 255 for uint8, got"):
            tensor([7, 2], dtype="uint8").masked_fill(mask, number)


def test_an_int_is_wrapped_round_as_an_operand():
    x = tensor([1, 200], dtype="uint8")
    for result, expected in [
        (x + 300, [45, 244]), (x - -1, [2, 201]), (-3 - x, [252, 53]), (x * -1, [255, 56]), (x // -1, [0, 0]),
        (x == -56, [False, True]), (x & -2, [0, 200]), (x / -1, [-1.0, -200.0]), (x / tensor(-1), [-1.0, -200.0]),
        (x + 127, [128, 71]), (x + 128, [129, 72]), (tensor([1], dtype="int8") + 128, [-127]),
        (tensor([1]) + 2**40, [2**40 + 1]),
    ]:  # fmt: skip
        assert result.tolist() == expected


def test_second_derivative_of_a_power_after_one_by_the_exponent_alone():
    x, p = (tensor(values, dtype="float64", requires_grad=True) for values in ([1.15, 2.0], [1.0, 3.0]))
    (by_p,) = tinycnn.autograd.grad((x**p).sum(), p, create_graph=True)  # xᵖ ln x
    (mixed,) = tinycnn.autograd.grad(by_p.sum(), x)
    a, b = x.detach().numpy(), p.detach().numpy()
    np.testing.assert_allclose(mixed.numpy(), a ** (b - 1) * (b * np.log(a) + 1))


def test_integers_to_negative_powers():
    base = tensor([1, -1, -1, 2, 0, -3])
    assert (base ** tensor([-1, -1, -2, -2, -1, 3])).tolist() == [1, -1, 1, 0, 0, -27]
    assert (2 ** tensor([-1, 2])).tolist() == [0, 4]
    assert (tensor([True, False]) ** tensor([-1, 2])).tolist() == [1, 0]
    power = tensor([True, False]) ** True
    assert (power.tolist(), power.dtype) == ([True, False], bool)


def test_alpha_keeps_the_dtype():
    for x, other, alpha, expected in [
        (tensor(1.0, dtype="float16"), 0.5, 2, 2.0), (tensor(1.0, dtype="float16"), tensor(2), 0.5, 2.0),
        (tensor(True), tensor(True), -1, True), (tensor(False), True, 0, False),
        (tensor(1, dtype="int32"), tensor(True), 2, 3), (tensor(1, dtype="uint8"), tensor(1, dtype="uint8"), -1, 0),
    ]:  # fmt: skip
        result = x.add(other, alpha=alpha)
        assert (result.item(), result.dtype) == (expected, x.dtype)
    with pytest.raises(TypeError, match="add: expected alpha as an int for integers and booleans, got 0.5"):
        tensor([1]).add(tensor([True]), alpha=0.5)
    with pytest.raises(TypeError, match="sub: not defined for boolean tensors and True or False"):
        tensor([1.0]) - True


def test_tolerances_of_allclose():
    """|a − b| <= atol + rtol · |b|, on both sides of the limit, which belongs to it."""
    a, b = tensor([1.5, 0.0]), tensor([2.0, 0.0])
    for options, close in [
        ({"rtol": 0.25, "atol": 0.0}, True),
        ({"rtol": 0.249, "atol": 0.0}, False),
        ({"rtol": 0.0, "atol": 0.5}, True),
        ({"rtol": 0.0, "atol": 0.499}, False),
        ({"rtol": 0.125, "atol": 0.25}, True),
        ({"rtol": 0.125, "atol": 0.249}, False),
    ]:
        assert tinycnn.allclose(a, b, **options) is close
        assert a.isclose(b, **options).tolist() == [close, True]
    assert not b.allclose(a, rtol=0.25, atol=0.0)  # the tolerance is a share of the second
    nan = tensor([float("nan"), 1.0])
    assert nan.allclose(nan, equal_nan=True)
    assert not nan.allclose(nan)


def test_allclose():
    x = tensor([1.0, 2.0])
    assert x.allclose(x + 1e-6) is True
    assert tinycnn.allclose(x, x + 1e-3) is False


def test_power_with_a_boolean_exponent():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x ** tensor([True, False, True])).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("other", ["text", None, [1]])
def test_comparisons_with_what_cannot_be_compared(other):
    x = tensor([1.0, 2.0])
    assert (x == other) is False
    assert (x != other) is True
    with pytest.raises(TypeError, match="eq: expected a Tensor, an array or a number"):
        tinycnn.eq(x, other)
    with pytest.raises(TypeError):
        x < other  # noqa: B015


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "sign", "eq", "lt", "bitwise_not", "bitwise_and", "all",
                                  "any", "argmax", "argmin", "masked_fill", "isclose"])  # fmt: skip
@pytest.mark.parametrize("value", [None, "text", 5, np.ones(2)], ids=["None", "str", "int", "ndarray"])
def test_what_is_no_tensor_is_refused(name, value):
    others = {"eq": [1.0], "lt": [1.0], "bitwise_and": [1], "masked_fill": [tensor([True, False]), 0.0],
              "isclose": [tensor([1.0, 2.0])]}  # fmt: skip
    with pytest.raises(TypeError, match="expected"):
        getattr(tinycnn, name)(value, *others.get(name, []))
