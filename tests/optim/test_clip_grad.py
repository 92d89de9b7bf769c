"""Clipping of gradients: by hand-made values, and against live torch."""

import math

import numpy as np
import pytest

from tinycnn import optim, tensor
from tinycnn.autograd import wrap
from tinycnn.nn import utils


def with_gradients(*gradients):
    params = []
    for gradient in gradients:
        param = tensor(np.zeros(np.shape(gradient)), requires_grad=True)
        param.grad = None if gradient is None else tensor(np.asarray(gradient))
        params.append(param)
    return params


def test_norm_is_that_of_one_long_vector():
    params = with_gradients([[3.0, 0.0]], None, [4.0, 12.0])
    norm = optim.clip_grad_norm_(params, 6.5)
    assert norm.shape == ()
    assert norm.item() == pytest.approx(13, rel=1e-15)
    np.testing.assert_allclose(params[0].grad.tolist(), [[1.5, 0]], rtol=1e-6)
    np.testing.assert_allclose(params[2].grad.tolist(), [2, 6], rtol=1e-6)


def test_smaller_gradients_are_left_alone():
    (param,) = with_gradients([3.0, 4.0])
    for max_norm in 5.1, math.inf:
        assert optim.clip_grad_norm_(param, max_norm).item() == 5
        assert param.grad.tolist() == [3, 4]


def test_nothing_to_clip():
    assert optim.clip_grad_norm_([], 1.0).item() == 0
    assert optim.clip_grad_norm_(with_gradients(None), 1.0).item() == 0
    optim.clip_grad_value_(with_gradients(None), 1.0)


def test_non_finite_norm():
    (param,) = with_gradients([1.0, math.nan])
    message = "clip_grad_norm_: expected a finite norm of the gradients, got nan: look for a loss"
    with pytest.raises(RuntimeError, match=message):
        optim.clip_grad_norm_(param, 1.0, error_if_nonfinite=True)
    assert param.grad.tolist()[0] == 1
    optim.clip_grad_norm_(param, 1.0)
    assert np.isnan(param.grad.numpy()).all()


def test_value():
    params = with_gradients([[3.0, -0.1]], [-2.0, 0.5])
    optim.clip_grad_value_(iter(params), 0.4)
    assert params[0].grad.tolist() == [[0.4, -0.1]]
    assert params[1].grad.tolist() == [-0.4, 0.4]


def test_limits_of_zero_and_of_the_size_of_the_guard():
    """The factor is max_norm / (norm + 1e-6), at most 1."""
    rows = [(3.0, 0, 0.0), (1e-6, 1e-6, 5e-7), (1.0, 1.0, 1 / (1 + 1e-6)), (0.0, 1.0, 0.0)]
    for gradient, max_norm, expected in rows:
        (param,) = with_gradients(np.array([gradient]))
        assert optim.clip_grad_norm_(param, max_norm).item() == gradient
        assert param.grad.item() == pytest.approx(expected, rel=1e-9)
    (param,) = with_gradients([3.0, -0.1])
    optim.clip_grad_value_(param, 0)
    assert param.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_gradients_change_in_place_in_float32(clip):
    param = tensor(np.zeros((3, 4), np.float32), requires_grad=True)
    array = np.full((4, 3), 2, np.float32).T
    param.grad = wrap(array)
    weight = tensor(np.ones((3, 4), np.float32), requires_grad=True)
    loss = (param.grad * weight).sum()
    result = clip(param, 0.5)
    assert param.grad._array is array
    assert (array < 1).all()
    assert result is None or result.dtype == np.float32
    with pytest.raises(RuntimeError, match="changed in place"):  # the graph of loss needs the gradient as it was
        loss.backward()


BAD = [
    (optim.clip_grad_norm_, (3, 1.0), TypeError, "parameters as a list of Tensors, got int"),
    (optim.clip_grad_norm_, ([3], 1.0), TypeError, "parameter 0 as a Tensor, got int"),
    (optim.clip_grad_norm_, ([], -1), ValueError, "max_norm of at least 0, got -1"),
    (optim.clip_grad_norm_, ([], "1"), TypeError, "max_norm as a number, got '1' (str)"),
    (optim.clip_grad_norm_, ([], 1, None), TypeError, "norm_type as a number, got None (NoneType)"),
    (optim.clip_grad_norm_, ([], 1, 2, 1), TypeError, "error_if_nonfinite as True or False, got 1 (int)"),
    (optim.clip_grad_value_, ("ab", 1), TypeError, "parameters as a list of Tensors, got str"),
    (optim.clip_grad_value_, ([], -1), ValueError, "clip_value of at least 0, got -1"),
    (optim.clip_grad_value_, ([], None), TypeError, "clip_value as a number, got None (NoneType)"),
]


@pytest.mark.parametrize("function, arguments, error, message", BAD)
def test_bad_arguments(function, arguments, error, message):
    with pytest.raises(error) as caught:
        function(*arguments)
    assert str(caught.value) == f"{function.__name__}: expected {message}"


# --- live torch -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.torch
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, 0.5, math.inf, -math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 0.3, 5.0, 1e9])
def test_norm_equals_torchs(torch, norm_type, max_norm):
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal(shape) for shape in [(3, 4), (), (5,), (2, 3, 1, 4)]]
    gradients[0] = gradients[0].copy(order="F")
    ours = with_gradients(*gradients, None)
    theirs = [torch.zeros(np.shape(g), dtype=torch.float64, requires_grad=True) for g in gradients]
    for param, gradient in zip(theirs, gradients, strict=True):
        param.grad = torch.tensor(gradient)
    got = optim.clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    for our, their in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(our.grad.tolist(), their.grad.tolist(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
def test_the_norm_alone(p):
    tensors = [tensor([3.0, -4.0]), tensor([[1.0], [2.0]])]
    expected = np.linalg.norm([3.0, -4.0, 1.0, 2.0], p)
    np.testing.assert_allclose(utils.get_total_norm(tensors, p).item(), expected, rtol=1e-6)
    assert utils.get_total_norm([]).item() == 0
    with pytest.raises(RuntimeError, match="get_total_norm: expected a finite norm of the gradients, got nan"):
        utils.get_total_norm([tensor([float("nan")])], p, True)
