"""Lazy layers: before, in and after their first forward."""

import copy

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, optim

LAZY = {
    "LazyLinear": (lambda nn: nn.LazyLinear(3), (2, 5)),
    "LazyConv1d": (lambda nn: nn.LazyConv1d(4, 3, groups=2), (2, 6, 5)),
    "LazyConv2d": (lambda nn: nn.LazyConv2d(4, (2, 3), bias=False), (6, 5, 4)),
    "LazyConv3d": (lambda nn: nn.LazyConv3d(2, 2), (1, 2, 3, 3, 3)),
    "LazyConvTranspose1d": (lambda nn: nn.LazyConvTranspose1d(4, 3), (2, 6, 5)),
    "LazyConvTranspose2d": (lambda nn: nn.LazyConvTranspose2d(4, 3, groups=2), (2, 6, 5, 4)),
    "LazyConvTranspose3d": (lambda nn: nn.LazyConvTranspose3d(2, 2), (1, 2, 3, 3, 3)),
    "LazyBatchNorm1d": (lambda nn: nn.LazyBatchNorm1d(), (4, 3)),
    "LazyBatchNorm2d": (lambda nn: nn.LazyBatchNorm2d(affine=False), (4, 3, 2, 2)),
    "LazyBatchNorm3d": (lambda nn: nn.LazyBatchNorm3d(track_running_stats=False), (4, 3, 2, 2, 2)),
    "LazyInstanceNorm1d": (lambda nn: nn.LazyInstanceNorm1d(), (4, 3, 5)),
    "LazyInstanceNorm2d": (lambda nn: nn.LazyInstanceNorm2d(), (4, 3, 5, 2)),
    "LazyInstanceNorm3d": (lambda nn: nn.LazyInstanceNorm3d(affine=False), (4, 3, 5, 2, 2)),
}
each_layer = pytest.mark.parametrize("name", LAZY)


def story(name, lib):
    """How the layer prints, and what its state is, before and after the first forward; and loading."""
    build, shape = LAZY[name]
    layer = build(lib.nn)
    state = layer.state_dict()
    before = [repr(layer), list(state), [repr(x) for key, x in state.items() if "num" not in key]]
    layer(lib.ones(*shape))
    state = layer.state_dict()
    after = [repr(layer), type(layer).__name__, {key: tuple(x.shape) for key, x in state.items()}]
    return before, after, repr(build(lib.nn).load_state_dict(state))


@pytest.mark.torch
@each_layer
def test_it_becomes_the_usual_layer_as_in_torch(name):
    import torch

    assert story(name, tinycnn) == story(name, torch)


@each_layer
def test_a_state_that_is_loaded_before_the_first_forward_stays(name):
    """And the layer knows how many inputs it has, which torch's forget."""
    build, shape = LAZY[name]
    layer, loaded, x = build(nn), build(nn), tinycnn.ones(*shape)
    layer(x)
    loaded.load_state_dict(copy.deepcopy(layer.state_dict()))
    assert repr(loaded).startswith("Lazy")
    np.testing.assert_array_equal(loaded(x).detach().numpy(), layer(x).detach().numpy())
    assert repr(loaded) == repr(layer)


@each_layer
def test_it_is_drawn_as_the_usual_layer_is(name):
    build, shape = LAZY[name]
    layer = build(nn)
    tinycnn.manual_seed(3)
    layer(tinycnn.ones(*shape))
    drawn = copy.deepcopy(layer.state_dict())
    tinycnn.manual_seed(3)
    layer.reset_parameters()
    for key, value in layer.state_dict().items():
        if "running" not in key and "num" not in key:
            np.testing.assert_array_equal(value.numpy(), drawn[key].numpy())


def test_an_optimizer_made_before_trains_it():
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1))
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    kept = list(net.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        (net(tinycnn.ones(2, 3)) ** 2).sum().backward()
        optimizer.step()
    assert [p is q for p, q in zip(kept, net.parameters(), strict=True)] == [True] * 4
    assert [type(p) for p in kept] == [nn.Parameter] * 4


def test_conversions_before_the_first_forward():
    net = nn.Sequential(nn.LazyConv2d(2, 2), nn.LazyBatchNorm2d()).double()
    assert net[0].weight.dtype == np.float64
    y = net(tinycnn.ones(2, 3, 4, 4, dtype="float64"))
    assert y.dtype == np.float64
    assert net[1].running_mean.dtype == np.float64


def test_a_copy_before_the_first_forward_is_a_layer_of_its_own():
    layer = nn.LazyLinear(2)
    twin = copy.deepcopy(layer)
    layer(tinycnn.ones(1, 3))
    assert twin(tinycnn.ones(1, 5)).shape == (1, 2)
    assert (layer.in_features, twin.in_features) == (3, 5)


def test_what_has_no_elements_says_so():
    layer = nn.LazyLinear(2)
    message = "^UninitializedParameter: it has no shape and no elements yet: call the net"
    for use in (lambda: layer.weight.shape, layer.weight.numel, lambda: layer.weight + 1, layer.weight.tolist):
        with pytest.raises(ValueError, match=message):
            use()
    assert repr(layer.weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="Linear.load_state_dict: weight has no shape yet"):
        nn.Linear(3, 2).load_state_dict(layer.state_dict())
    assert layer.has_uninitialized_params()


@pytest.mark.parametrize("layer, shape, message", [
    (lambda: nn.LazyConv2d(4, 2, groups=2), (1, 3, 5, 5), "LazyConv2d: groups=2 does not divide in_channels=3"),
    (lambda: nn.LazyConv2d(4, 2), (5, 5), "LazyConv2d: expected 4 dimensions, or one less without N, got (5, 5)"),
    (lambda: nn.LazyLinear(4), (), "LazyLinear: expected input (*, in_features), got ()"),
    (lambda: nn.LazyBatchNorm2d(), (2, 3), "LazyBatchNorm2d: expected input (N, C, H, W), got (2, 3)"),
])  # fmt: skip
def test_an_input_that_does_not_fit_leaves_it_lazy(layer, shape, message):
    layer = layer()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        layer(tinycnn.ones(*shape))
    assert str(caught.value) == message
    assert layer.has_uninitialized_params()
    assert type(layer).__name__.startswith("Lazy")
