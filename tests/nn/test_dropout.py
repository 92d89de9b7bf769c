"""Dropout that keeps mean and variance, slopes that are drawn, and clips of integers: what the layer table cannot say,
as it compares what is drawn."""

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.nn import functional as F


def normal(*shape, seed=0):
    return tinycnn.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("layer, shape", [(nn.AlphaDropout, (300, 400)), (nn.FeatureAlphaDropout, (300, 400, 1, 2))])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_mean_and_variance_stay(layer, shape, p):
    tinycnn.manual_seed(0)
    y = layer(p)(normal(*shape)).numpy()
    assert abs(y.mean()) < 0.03
    assert abs(y.var() - 1) < 0.03


def test_two_values_come_of_one():
    tinycnn.manual_seed(0)
    p, alpha = 0.3, 1.7580993408473766
    y = F.alpha_dropout(tinycnn.full((1000,), 2.0, dtype=tinycnn.float64), p, True).numpy()
    a = ((1 - p) * (1 + p * alpha**2)) ** -0.5
    dropped = np.isclose(y, -alpha * a + alpha * a * p)
    assert (dropped | np.isclose(y, 2 * a + alpha * a * p)).all()
    assert 0.2 < dropped.mean() < 0.4


@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_it_does_what_other_dropouts_do(function):
    x = normal(20, 30, 2).float().requires_grad_()
    assert function(x) is x
    assert function(x, 0.0, True) is x
    assert not function(x, 1.0, True).detach().numpy().any()
    y = function(x, 0.5, True)
    assert y.dtype == np.float32
    y.sum().backward()
    np.testing.assert_array_equal(np.unique(x.grad.numpy() != 0), [False, True])
    if function is F.feature_alpha_dropout:
        assert (x.grad.numpy()[..., 0] == x.grad.numpy()[..., 1]).all()
    z = x.detach().clone()
    assert function(z, 0.5, True, inplace=True) is z
    assert not np.array_equal(z.numpy(), x.detach().numpy())
    assert not function(z, 1.0, True, True).numpy().any()
    with pytest.raises(ValueError, match="expected p as a probability from 0 to 1, got 2"):
        function(x, 2, True)
    with pytest.raises(TypeError, match="expected a floating-point Tensor, got int64"):
        function(tinycnn.ones(2, 2, dtype=tinycnn.int64), 0.5, True)


def test_channels_need_two_dimensions():
    with pytest.raises(ValueError, match=r"^feature_alpha_dropout: expected an input \(N, C, \*\), got \(3,\)$"):
        F.feature_alpha_dropout(tinycnn.ones(3), 0.5, True)


def test_slopes_are_drawn():
    tinycnn.manual_seed(0)
    x = tinycnn.full((2000,), -1.0, requires_grad=True)
    layer = nn.RReLU(0.2, 0.6)
    y = layer(x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), -y.detach().numpy())
    slopes = x.grad.numpy()
    assert slopes.min() < 0.22
    assert slopes.max() > 0.58
    assert abs(slopes.mean() - 0.4) < 0.02
    np.testing.assert_allclose(layer.eval()(x).detach().numpy(), -0.4, rtol=1e-6)
    assert repr(layer) == "RReLU(lower=0.2, upper=0.6)"
    with pytest.raises(ValueError, match=r"^rrelu: expected lower of at most upper, got 0.5 and 0.2$"):
        F.rrelu(x, 0.5, 0.2)


def test_integers_are_clipped():
    x = tinycnn.tensor([-5, 0, 3, 9])
    assert F.hardtanh(x, -2.7, 4.9).tolist() == [-2, 0, 3, 4]
    assert F.relu6(x).tolist() == [0, 0, 3, 6]
    assert F.relu6(x).dtype == np.int64
    assert F.relu6(x.to(tinycnn.uint8)).tolist() == [6, 0, 3, 6]
    with pytest.raises(ValueError, match="hardtanh: expected min_val of at least 0 for uint8, got -1.0"):
        F.hardtanh(x.to(tinycnn.uint8))
    with pytest.raises(TypeError, match="hardtanh: expected"):
        F.hardtanh(x > 0)


@pytest.mark.parametrize("target, error, message", [
    (np.array([[0.0, 1.0]]), TypeError, "expected target as integers, got float64"),
    (np.array([[0, 2]]), ValueError, r"expected classes from 0 to 1, or -1, got \[\[0, 2\]\]"),
    (np.array([0, 1]), ValueError, r"expected target of the input's shape \(1, 2\), got \(2,\)"),
])  # fmt: skip
def test_classes_that_cannot_be(target, error, message):
    with pytest.raises(error, match=f"^multilabel_margin_loss: {message}$"):
        F.multilabel_margin_loss(tinycnn.ones(1, 2), tinycnn.tensor(target))


@pytest.mark.torch
def test_integers_are_clipped_as_by_torch():
    import torch

    for dtype in ("int8", "int32", "uint8"):
        for limits in ((0, 6), (0.9, 6.7), (2, 2)):
            found = [
                F_.hardtanh(lib.tensor([3, 0, 9], dtype=getattr(lib, dtype)), *limits)
                for lib, F_ in ((tinycnn, F), (torch, torch.nn.functional))
            ]
            assert found[0].tolist() == found[1].tolist()
            assert str(found[0].dtype) in str(found[1].dtype)
