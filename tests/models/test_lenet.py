"""LeNet-5: its shapes, and that it trains step for step as torch's."""

import json
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.lenet import OPTIMIZERS, losses, torch_lenet
from tinycnn import tensor
from tinycnn.models import LeNet5

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "lenet_trajectory.json"

STATE = {
    "features.0.weight": (6, 1, 5, 5),
    "features.0.bias": (6,),
    "features.3.weight": (16, 6, 5, 5),
    "features.3.bias": (16,),
    "classifier.1.weight": (120, 400),
    "classifier.1.bias": (120,),
    "classifier.3.weight": (84, 120),
    "classifier.3.bias": (84,),
    "classifier.5.weight": (10, 84),
    "classifier.5.bias": (10,),
}


def test_shapes():
    net = LeNet5()
    assert {name: value.shape for name, value in net.state_dict().items()} == STATE
    assert sum(parameter.numel() for parameter in net.parameters()) == 61_706
    assert net(tensor(np.zeros((3, 1, 28, 28), np.float32))).shape == (3, 10)
    assert LeNet5(7, image_size=32)(tensor(np.zeros((2, 1, 32, 32), np.float32))).shape == (2, 7)


def test_a_padded_image_and_a_padding_net_agree():
    padded, padding = LeNet5(image_size=32), LeNet5(image_size=28)
    padded.load_state_dict(padding.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype(np.float32)
    expected = padding(tensor(x)).detach().numpy()
    larger = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    np.testing.assert_allclose(padded(tensor(larger)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="LeNet5: expected image_size 28 or 32, got 30"):
        LeNet5(image_size=30)
    with pytest.raises(ValueError, match=r"expected input \(N, 1, H, W\), got \(2, 3, 28, 28\)"):
        LeNet5()(tensor(np.zeros((2, 3, 28, 28), np.float32)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_trains_as_recorded_from_torch(optimizer):
    expected = json.loads(FIXTURE.read_text())["losses"][optimizer]
    assert expected[-1] < expected[0] / 10  # it does learn
    np.testing.assert_allclose(losses(tinycnn, LeNet5(), optimizer), expected, rtol=1e-9)


@pytest.mark.torch
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_trains_as_torch(optimizer):
    import torch

    torch.set_num_threads(1)
    np.testing.assert_allclose(losses(tinycnn, LeNet5(), optimizer), losses(torch, torch_lenet(), optimizer), rtol=1e-9)


@pytest.mark.torch
def test_same_state_and_repr_as_torch():
    ours, theirs = LeNet5(), torch_lenet()
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    assert repr(ours) == repr(theirs)
