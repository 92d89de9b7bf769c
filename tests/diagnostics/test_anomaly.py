"""Anomaly mode: the first nan is named, with its layer and the line that called the operator."""

import re

import numpy as np
import pytest

import tinycnn
from tinycnn import nn


class Root(nn.Module):
    """The square root of a linear map: nan for negative numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

    def forward(self, x):
        y = self.body(x)
        return (y - 1).sqrt()  # the line to be named


def net() -> Root:
    model = Root().double()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def test_forward_names_operator_layer_and_line():
    expected = (
        r"Sqrt produced the first nan, in layer Root\(\), "
        r"called at .*test_anomaly\.py:\d+: return \(y - 1\)\.sqrt\(\)"
    )
    with pytest.raises(RuntimeError, match=expected), tinycnn.detect_anomaly():
        net()(tinycnn.ones(4, 2, dtype="float64"))


def test_forward_names_a_nested_layer_by_its_path():
    model = net().requires_grad_(False)
    model.body[0].weight[0, 1] = np.inf
    x = tinycnn.zeros(4, 2, dtype="float64")  # 0 · inf
    expected = r"Linear produced the first nan, in layer body\.0 = Linear\(in_features=2, .*y = self\.body\(x\)"
    with np.errstate(invalid="ignore"), pytest.raises(RuntimeError, match=expected), tinycnn.detect_anomaly():
        model(x)


def test_backward_names_the_forward_line():
    x = tinycnn.tensor([0.0, 4.0], requires_grad=True)
    with np.errstate(all="ignore"), tinycnn.detect_anomaly():
        y = x.sqrt() * 0.0  # gradient 0 / (2 · √0)
        with pytest.raises(RuntimeError, match="the gradient of Sqrt is the first nan") as caught:
            y.sum().backward()
    assert re.search(r"called at .*test_anomaly\.py:\d+: y = x\.sqrt\(\) \* 0\.0", str(caught.value))


def test_nan_in_the_input_is_nobodys_fault():
    with tinycnn.detect_anomaly():
        assert tinycnn.tensor([np.nan]).sqrt().isnan().all()


def test_off_again_after_the_block_and_usable_as_decorator():
    with pytest.raises(RuntimeError, match="first nan"), tinycnn.detect_anomaly():
        tinycnn.tensor([-1.0]).sqrt()
    assert tinycnn.tensor([-1.0]).sqrt().isnan().all()
    with pytest.raises(RuntimeError, match="first nan"):
        tinycnn.detect_anomaly()(lambda: tinycnn.tensor([-1.0]).sqrt())()


def test_integers_are_not_searched():
    with tinycnn.detect_anomaly():
        assert (tinycnn.tensor([1, 2]) + 1).tolist() == [2, 3]


def test_one_object_may_be_used_within_itself_and_for_generators():
    watch = tinycnn.detect_anomaly()
    with watch:
        with watch:
            pass
        with pytest.raises(RuntimeError, match="first nan"):
            tinycnn.tensor([-1.0]).sqrt()
    assert tinycnn.tensor([-1.0]).sqrt().isnan().all()

    @watch
    def roots():
        yield tinycnn.tensor([1.0]).sqrt()
        yield tinycnn.tensor([-1.0]).sqrt()

    steps = roots()
    next(steps)
    assert tinycnn.tensor([-1.0]).sqrt().isnan().all(), "off between the steps"
    with pytest.raises(RuntimeError, match="first nan"):
        next(steps)
