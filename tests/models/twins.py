"""Checks of a net: beside its twin, the same forward pass written in functions of torch, against finite differences,
and through a file.

A twin is `twin(lib, state, x)`, with `lib` tinycnn or torch, `state` the net's parameters by name, and x the pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinycnn
from tinycnn import nn

Twin = Callable[[Any, dict[str, Any], Any], Any]


def pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def targets(scores: Any) -> np.ndarray:
    """Some class for each picture or pixel."""
    shape = (scores.shape[0], *scores.shape[2:])
    return (np.arange(int(np.prod(shape))) * 7 % scores.shape[1]).reshape(shape)


def loss_of(lib: Any, scores: Any) -> Any:
    return lib.nn.functional.cross_entropy(scores, lib.tensor(targets(scores)))


def check_twin(net: nn.Module, twin: Twin, lib: Any, x: np.ndarray) -> None:
    """In float64 the scores and the gradient of each parameter are those of the twin."""
    net = net.double()
    scores = net(tinycnn.tensor(x))
    loss_of(tinycnn, scores).backward()

    state = {name: lib.tensor(p.detach().numpy().copy(), requires_grad=True) for name, p in net.named_parameters()}
    expected = twin(lib, state, lib.tensor(x))
    loss_of(lib, expected).backward()

    np.testing.assert_allclose(scores.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-10)
    for name, parameter in net.named_parameters():
        gradient = state[name].grad.numpy()
        assert np.abs(gradient).max() > 1e-12, name  # each parameter is of use
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-7, atol=1e-10, err_msg=name)


def check_gradients(net: nn.Module, x: np.ndarray) -> None:
    """The slope of the loss along a random direction of all parameters is what the gradients say."""
    net, pixels, step = net.double(), tinycnn.tensor(x), 1e-6
    loss_of(tinycnn, net(pixels)).backward()
    rng = np.random.default_rng(1)
    values = {name: p.detach().numpy().copy() for name, p in net.named_parameters()}
    count = sum(value.size for value in values.values())
    direction = {name: rng.standard_normal(value.shape) / count**0.5 for name, value in values.items()}
    expected = sum((p.grad.numpy() * direction[name]).sum() for name, p in net.named_parameters())

    def loss_at(distance: float) -> float:
        moved = {name: tinycnn.tensor(value + distance * direction[name]) for name, value in values.items()}
        net.load_state_dict(moved, strict=False)  # batch normalisation's statistics stay
        return loss_of(tinycnn, net(pixels)).item()

    slope = (loss_at(step) - loss_at(-step)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def check_file(net: nn.Module, other: nn.Module, x: np.ndarray, path: Path) -> None:
    """`other` gives the scores of `net` once it has loaded its state from a file."""
    pixels = tinycnn.tensor(x.astype(np.float32))
    expected = net.eval()(pixels).detach().numpy()
    assert not np.array_equal(other.eval()(pixels).detach().numpy(), expected)
    tinycnn.save(net.state_dict(), path)
    other.load_state_dict(tinycnn.load(path))
    np.testing.assert_array_equal(other(pixels).detach().numpy(), expected)
