"""LeNet-5 of 1998: the parameters that the paper counts, its table, its layers as loops, and its twin."""

import warnings

import numpy as np
import pytest

import tinycnn
from tests.models.twins import check_file, check_gradients, check_twin, pictures
from tinycnn import tensor
from tinycnn.models import LeNet5Original, lenet5_1998
from tinycnn.models.lenet_1998 import C3_INPUTS, PartialConv2d, Subsampling, prototypes, squash

# Table I as it is printed: a row for each map of S2, a column for each of C3.
TABLE = [
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
]
COLUMNS = tuple(tuple(row for row in range(6) if TABLE[row][column] == "X") for column in range(16))


def twin(lib, p, x):
    F = lib.nn.functional

    def squashed(x):
        return 1.7159 * lib.tanh(2 * x / 3)

    def halved(x, name):
        weight, bias = (p[f"{name}.{kind}"].reshape(1, -1, 1, 1) for kind in ("weight", "bias"))
        return weight * 4 * F.avg_pool2d(x, 2) + bias

    x = squashed(F.conv2d(x, p["c1.weight"], p["c1.bias"], padding=2))
    x = squashed(halved(x, "s2"))
    maps, start = [], 0
    for column, inputs in enumerate(COLUMNS):
        kernels = p["c3.weight"][start : start + len(inputs)].unsqueeze(0)
        maps.append(F.conv2d(x[:, list(inputs)], kernels, p["c3.bias"][column : column + 1]))
        start += len(inputs)
    x = squashed(halved(squashed(lib.cat(maps, 1)), "s4"))
    x = squashed(x.flatten(1) @ p["c5.weight"].flatten(1).T + p["c5.bias"])
    x = squashed(x @ p["f6.weight"].T + p["f6.bias"])
    if "output.weight" in p:
        return x @ p["output.weight"].T + p["output.bias"]
    centres = lib.tensor(prototypes().numpy().astype(np.float64))
    return 2 * x @ centres.T - (x**2).sum(1, keepdim=True) - 84


def test_the_paper_counts_60_000_parameters():
    net = lenet5_1998()
    counts = {name: sum(p.numel() for p in layer.parameters()) for name, layer in net.named_children()}
    assert counts == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 0}
    assert sum(counts.values()) == 60_000
    assert [*net.state_dict()] == [f"{name}.{kind}" for name in [*counts][:-1] for kind in ("weight", "bias")]


def test_the_table_of_connections():
    assert C3_INPUTS == COLUMNS


def test_prototypes():
    """Ten different pictures in ink and paper; each unit is needed, and the ends of the squashing are not reached."""
    found = prototypes().numpy()
    assert found.shape == (10, 84)
    assert set(found.ravel()) == {-1, 1}
    distances = ((found[:, None] - found) ** 2).sum(2)
    assert distances[~np.eye(10, dtype=bool)].min() >= 4 * 5  # two digits differ in five pixels at least
    np.testing.assert_array_equal(found[1].reshape(12, 7)[0], [-1, -1, -1, 1, 1, -1, -1])  # the top of a one


def test_squashing():
    """f(±1) = ±1, where the curvature is largest."""
    x = np.array([-1.0, 0, 1, 100])
    np.testing.assert_allclose(squash(tensor(x)).numpy(), [-1, 0, 1, 1.7159], atol=1e-5)
    points = tensor(np.linspace(0, 3, 301))
    second = np.diff(squash(points).numpy(), 2)
    assert abs(points.numpy()[np.abs(second).argmax() + 1] - 1) < 0.02


def test_subsampling_is_a_sum_of_four():
    layer = Subsampling(3).double()
    x = pictures(2, 3, 4, 6)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    expected = np.empty((2, 3, 2, 3))
    for n, c, i, j in np.ndindex(expected.shape):
        four = x[n, c, 2 * i, 2 * j] + x[n, c, 2 * i + 1, 2 * j] + x[n, c, 2 * i, 2 * j + 1]
        expected[n, c, i, j] = weight[c] * (four + x[n, c, 2 * i + 1, 2 * j + 1]) + bias[c]
    np.testing.assert_allclose(layer(tensor(x)).detach().numpy(), expected, rtol=1e-12)


def test_partial_connections_as_loops():
    inputs = [(0, 2), (1,), (0, 1, 2)]
    layer = PartialConv2d(3, inputs, 2).double()
    x = pictures(2, 3, 4, 5)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    expected = np.empty((2, 3, 3, 4))
    for n, c, i, j in np.ndindex(expected.shape):
        first = sum(len(maps) for maps in inputs[:c])
        window = x[n, :, i : i + 2, j : j + 2]
        products = [(weight[first + k] * window[origin]).sum() for k, origin in enumerate(inputs[c])]
        expected[n, c, i, j] = sum(products) + bias[c]
    np.testing.assert_allclose(layer(tensor(x)).detach().numpy(), expected, rtol=1e-12)


def test_first_values_lie_within_the_papers_bounds():
    """±2.4 / fan-in, and they reach most of it."""
    tinycnn.manual_seed(0)
    net = LeNet5Original(output="linear")
    fan_ins = {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "f6": 120, "output": 84}
    for name, fan_in in fan_ins.items():
        values = np.concatenate([p.detach().numpy().ravel() for p in getattr(net, name).parameters()])
        for end in (values.max(), -values.min()):
            assert 0.7 < end * fan_in / 2.4 <= 1, name
    weight, start = net.c3.weight.detach().numpy(), 0
    for maps, bias in zip(C3_INPUTS, net.c3.bias.detach().numpy()):
        scale = 25 * len(maps) / 2.4
        assert 0.8 < np.abs(weight[start : start + len(maps)]).max() * scale <= 1
        assert abs(bias) * scale <= 1
        start += len(maps)


@pytest.mark.parametrize("output", ["rbf", "linear"])
def test_twin(output):
    check_twin(LeNet5Original(output=output), twin, tinycnn, pictures(3, 1, 28, 28))


@pytest.mark.torch
@pytest.mark.parametrize("output", ["rbf", "linear"])
def test_twin_in_torch(output):
    import torch

    check_twin(LeNet5Original(output=output), twin, torch, pictures(3, 1, 28, 28))


def test_gradients():
    check_gradients(LeNet5Original(), pictures(2, 1, 28, 28))


def test_file(tmp_path):
    check_file(LeNet5Original(), LeNet5Original(), pictures(2, 1, 28, 28), tmp_path / "net.safetensors")


def test_a_picture_of_a_prototype_scores_zero():
    """Distances are to the prototypes, and 0 is the best score."""
    net = LeNet5Original()
    scores = net.output(prototypes()).numpy()
    np.testing.assert_array_equal(np.diag(scores), 0)
    assert (scores.argmax(1) == np.arange(10)).all()


def test_options():
    x = tinycnn.zeros(2, 1, 32, 32)
    assert LeNet5Original(image_size=32)(x).shape == (2, 10)
    assert LeNet5Original(3, 32, "linear")(x).shape == (2, 3)
    for options, message in [
        ({"image_size": 30}, "LeNet5Original: expected image_size 28 or 32, got 30"),
        ({"output": "RBF"}, "LeNet5Original: expected output as 'rbf' or 'linear', got 'RBF'"),
        ({"num_classes": 26}, "LeNet5Original: output='rbf' has 10 classes, got num_classes=26"),
    ]:
        with pytest.raises(ValueError, match=message):
            LeNet5Original(**options)


@pytest.mark.gpu
def test_a_step_is_captured():
    """The table of connections lies on the GPU: a copy from the host would end the capture, with a warning."""
    tinycnn.manual_seed(0)
    net = LeNet5Original().to("cuda")
    optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.001)

    @tinycnn.cuda.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = tinycnn.nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    x, labels = tinycnn.randn(4, 1, 28, 28, device="cuda"), tensor([3, 1, 4, 1], device="cuda")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = [step(x, labels).item() for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
