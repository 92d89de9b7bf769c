"""Initial values: bounds exactly, distributions by a Kolmogorov–Smirnov test, layers' defaults as torch's."""

import math

import numpy as np
import pytest

import tinycnn
from tinycnn import backend, nn
from tinycnn.nn import init


@pytest.fixture(autouse=True)
def _seed():
    tinycnn.manual_seed(0)


def largest_difference(sample, distribution):
    """Kolmogorov–Smirnov: how far the sample's distribution function is from `distribution`, at most.

    For n draws from it, this exceeds 2 / √n once in 1500 times.
    """
    sample = np.sort(np.ravel(sample).astype(np.float64))
    steps = np.arange(len(sample) + 1) / len(sample)
    expected = distribution(sample)
    return max(np.abs(steps[1:] - expected).max(), np.abs(steps[:-1] - expected).max())


def assert_uniform(sample, bound):
    assert np.abs(sample).max() <= bound
    assert np.abs(sample).max() > bound * (1 - 20 / sample.size)
    assert largest_difference(sample, lambda x: (x + bound) / (2 * bound)) < 2 / math.sqrt(sample.size)


def assert_normal(sample, mean, std):
    normal = np.vectorize(lambda x: (1 + math.erf((x - mean) / std / math.sqrt(2))) / 2)
    assert largest_difference(sample, normal) < 2 / math.sqrt(sample.size)


# --- layers -----------------------------------------------------------------------------------------------

LAYERS = {
    "Linear": (lambda nn: nn.Linear(64, 300), 64),
    "Conv1d": (lambda nn: nn.Conv1d(12, 240, 5), 12 * 5),
    "Conv2d": (lambda nn: nn.Conv2d(8, 240, (3, 5)), 8 * 3 * 5),
    "Conv2d in groups": (lambda nn: nn.Conv2d(16, 240, 3, groups=4), 4 * 3 * 3),
    "Conv3d": (lambda nn: nn.Conv3d(4, 240, (2, 3, 2)), 4 * 2 * 3 * 2),
    "ConvTranspose2d": (lambda nn: nn.ConvTranspose2d(40, 240, 3), 240 * 3 * 3),  # torch takes dimension 1 for fan_in
}


@pytest.mark.parametrize("build, fan_in", LAYERS.values(), ids=LAYERS)
def test_weight_and_bias_are_uniform_within_one_over_root_fan_in(build, fan_in):
    layer = build(nn)
    assert_uniform(layer.weight.detach().numpy(), 1 / math.sqrt(fan_in))
    assert_uniform(layer.bias.detach().numpy(), 1 / math.sqrt(fan_in))


@pytest.mark.torch
@pytest.mark.parametrize("build, fan_in", LAYERS.values(), ids=LAYERS)
def test_torch_draws_from_the_same_distribution(build, fan_in):
    """What the other tests expect is what torch does."""
    import torch

    torch.manual_seed(0)
    layer = build(torch.nn)
    assert_uniform(layer.weight.detach().numpy(), 1 / math.sqrt(fan_in))
    assert_uniform(layer.bias.detach().numpy(), 1 / math.sqrt(fan_in))


def test_each_layer_has_values_of_its_own_that_the_seed_repeats():
    first, second = nn.Linear(3, 4), nn.Linear(3, 4)
    assert (first.weight.detach().numpy() != second.weight.detach().numpy()).all()
    tinycnn.manual_seed(0)
    np.testing.assert_array_equal(nn.Linear(3, 4).weight.detach().numpy(), first.weight.detach().numpy())
    again = first.weight.detach().numpy().copy()
    first.reset_parameters()
    assert (first.weight.detach().numpy() != again).all()


def test_float64_layers_have_more_than_float32_digits():
    weight = nn.Linear(30, 30, dtype="float64").weight.detach().numpy()
    assert weight.dtype == np.float64
    assert (weight != weight.astype(np.float32)).mean() > 0.99


def test_norms_start_as_the_identity():
    for layer in (nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3), nn.InstanceNorm1d(3, affine=True)):
        assert layer.weight.tolist() == [1.0] * 3
        assert layer.bias.tolist() == [0.0] * 3


# --- functions --------------------------------------------------------------------------------------------

SHAPE = (60, 40, 3, 2)  # fan_in 240, fan_out 360


@pytest.mark.parametrize(
    "function, bound",
    [
        (lambda w: init.uniform_(w, -0.5, 0.5), 0.5),
        (lambda w: init.kaiming_uniform_(w), math.sqrt(2) * math.sqrt(3 / 240)),
        (lambda w: init.kaiming_uniform_(w, a=0.5), math.sqrt(2 / 1.25) * math.sqrt(3 / 240)),
        (lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(2) * math.sqrt(3 / 360)),
        (lambda w: init.kaiming_uniform_(w, nonlinearity="tanh"), 5 / 3 * math.sqrt(3 / 240)),
        (lambda w: init.xavier_uniform_(w), math.sqrt(6 / 600)),
        (lambda w: init.xavier_uniform_(w, gain=3.0), 3 * math.sqrt(6 / 600)),
    ],
)
def test_uniform(function, bound):
    weight = tinycnn.empty(*SHAPE, dtype="float64")
    assert function(weight) is weight
    assert_uniform(weight.numpy(), bound)


class Extremes:
    """A generator that draws the smallest and the largest numbers only: 0 and 1, or −1 and 1."""

    def random(self, shape, dtype):
        return (np.arange(np.prod(shape)) % 2).reshape(shape).astype(dtype)

    def standard_normal(self, shape, dtype):
        return 2 * self.random(shape, dtype) - 1


# Linear, Conv1d to Conv3d: (outputs, inputs, *kernel_size), with fan_in and fan_out.
FANS = {(6, 4): (4, 6), (6, 4, 5): (20, 30), (6, 4, 3, 2): (24, 36), (6, 4, 3, 2, 2): (48, 72)}
GAINS = {"linear": 1, "conv2d": 1, "conv_transpose3d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": 2**0.5, "selu": 0.75}


@pytest.mark.parametrize("shape", FANS)
def test_scales_of_every_dimension_mode_and_nonlinearity(shape, monkeypatch):
    """Exactly, by the extremes of a uniform distribution and the standard deviation of a normal one."""
    monkeypatch.setattr(backend, "random_generator", lambda device: Extremes())

    def largest(draw, **options):
        found = set(np.ravel(getattr(init, draw)(tinycnn.empty(*shape, dtype="float64"), **options).numpy()))
        assert len(found) == 2
        assert min(found) == pytest.approx(-max(found), rel=1e-12)
        return pytest.approx(max(found), rel=1e-12)

    fan_in, fan_out = FANS[shape]
    assert init.fans(tinycnn.empty(*shape)) == FANS[shape]
    for mode, fan in {"fan_in": fan_in, "fan_out": fan_out}.items():
        for nonlinearity, gain in GAINS.items():
            assert largest("kaiming_uniform_", mode=mode, nonlinearity=nonlinearity) == gain * math.sqrt(3 / fan)
            assert largest("kaiming_normal_", mode=mode, nonlinearity=nonlinearity) == gain / math.sqrt(fan)
        for a in (0, 0.5, -2, math.sqrt(5)):
            gain = math.sqrt(2 / (1 + a * a))
            assert largest("kaiming_uniform_", a=a, mode=mode) == gain * math.sqrt(3 / fan)
            assert largest("kaiming_normal_", a=a, mode=mode) == gain / math.sqrt(fan)
    for gain in (1.0, 3.0):
        assert largest("xavier_uniform_", gain=gain) == gain * math.sqrt(6 / (fan_in + fan_out))
        assert largest("xavier_normal_", gain=gain) == gain * math.sqrt(2 / (fan_in + fan_out))
    weight, bias = tinycnn.empty(*shape, dtype="float64"), tinycnn.empty(6, dtype="float64")
    init.layer_default_(weight, bias)
    for drawn in (weight, bias):
        assert drawn.numpy().max() == pytest.approx(1 / math.sqrt(fan_in), rel=1e-12)
        assert drawn.numpy().min() == pytest.approx(-1 / math.sqrt(fan_in), rel=1e-12)


def test_range_and_spread(monkeypatch):
    monkeypatch.setattr(backend, "random_generator", lambda device: Extremes())
    pair = tinycnn.empty(2, dtype="float64")
    assert init.uniform_(pair).tolist() == [0.0, np.nextafter(1.0, 0.0)]
    assert init.uniform_(pair, -0.25, 3.0).tolist() == [-0.25, np.nextafter(3.0, 0.0)]
    assert init.normal_(pair).tolist() == [-1.0, 1.0]
    assert init.normal_(pair, 2.0, 0.5).tolist() == [1.5, 2.5]
    assert init.trunc_normal_(pair, 2.0, 0.5, 1.5, 2.5).tolist() == [1.5, 2.5]
    assert init.trunc_normal_(pair).tolist() == [-1.0, 1.0]


def test_layers_of_transposed_convolution_take_dimension_1_for_fan_in(monkeypatch):
    monkeypatch.setattr(backend, "random_generator", lambda device: Extremes())
    for build, fan_in in [
        (lambda: nn.ConvTranspose1d(4, 6, 5), 6 * 5),
        (lambda: nn.ConvTranspose2d(4, 6, (3, 2), groups=2), 3 * 3 * 2),
        (lambda: nn.ConvTranspose3d(4, 6, (3, 2, 1)), 6 * 3 * 2),
        (lambda: nn.Conv2d(4, 6, (3, 2), groups=2), 2 * 3 * 2),
        (lambda: nn.Linear(5, 6), 5),
    ]:
        layer = build()
        for drawn in (layer.weight, layer.bias):
            assert drawn.detach().numpy().max() == pytest.approx(1 / math.sqrt(fan_in), rel=1e-6)


@pytest.mark.parametrize(
    "function, mean, std",
    [
        (lambda w: init.normal_(w), 0, 1),
        (lambda w: init.normal_(w, 2.0, 0.3), 2, 0.3),
        (lambda w: init.kaiming_normal_(w), 0, math.sqrt(2 / 240)),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="linear"), 0, math.sqrt(1 / 360)),
        (lambda w: init.xavier_normal_(w, gain=2.0), 0, 2 * math.sqrt(2 / 600)),
    ],
)
def test_normal(function, mean, std):
    weight = tinycnn.empty(*SHAPE, dtype="float64")
    assert function(weight) is weight
    assert_normal(weight.numpy(), mean, std)


def test_constants():
    weight = tinycnn.empty(2, 3)
    assert init.zeros_(weight).tolist() == [[0.0] * 3] * 2
    assert init.ones_(weight).tolist() == [[1.0] * 3] * 2
    assert init.constant_(weight, 0.25).tolist() == [[0.25] * 3] * 2


def test_normal_cut_off():
    weight = init.trunc_normal_(tinycnn.empty(*SHAPE, dtype="float64"), mean=1.0, std=2.0, a=0.5, b=4.0).numpy()
    assert ((weight >= 0.5) & (weight <= 4.0)).all()
    # Not clipped: few numbers lie within 1 % of the bounds, and none on them.
    assert ((weight < 0.535) | (weight > 3.965)).mean() < 0.03


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (3, 2, 2)])
def test_orthogonal(shape):
    weight = init.orthogonal_(tinycnn.empty(*shape, dtype="float64"), gain=3.0).numpy().reshape(shape[0], -1) / 3
    shorter = weight if weight.shape[0] <= weight.shape[1] else weight.T
    np.testing.assert_allclose(shorter @ shorter.T, np.eye(len(shorter)), atol=1e-12)


def test_orthogonal_of_nothing():
    assert init.orthogonal_(tinycnn.empty(0, 3)).shape == (0, 3)


def test_identities():
    assert init.eye_(tinycnn.empty(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    x = tinycnn.randn(1, 4, 6, 5, dtype="float64")
    weight = init.dirac_(tinycnn.empty(4, 2, 3, 3, dtype="float64"), groups=2)
    np.testing.assert_array_equal(nn.functional.conv2d(x, weight, padding=1, groups=2).numpy(), x.numpy())


def test_dirac_of_every_dimension():
    """With more inputs than outputs, fewer, and in groups; an even kernel's centre is the later of the two."""
    for shape, groups in [((2, 3, 3), 1), ((3, 2, 2, 4), 1), ((4, 3, 3, 1, 2), 2), ((4, 1, 5), 4)]:
        weight = init.dirac_(tinycnn.ones(*shape), groups).numpy()
        expected = np.zeros(shape)
        for output in range(shape[0]):
            channel = output % (shape[0] // groups)
            if channel < shape[1]:
                expected[(output, channel, *(size // 2 for size in shape[2:]))] = 1
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("sparsity, zeros", [(0.0, 0), (0.01, 1), (0.5, 5), (1.0, 10)])
def test_sparse_of_none_to_all(sparsity, zeros):
    weight = init.sparse_(tinycnn.empty(10, 3, dtype="float64"), sparsity).numpy()
    assert ((weight == 0).sum(0) == zeros).all()
    assert np.abs(weight).max() < 0.1


def test_sparse():
    weight = init.sparse_(tinycnn.empty(10, 6, dtype="float64"), 0.25, std=2.0).numpy()
    assert ((weight == 0).sum(0) == 3).all()  # a quarter of ten, rounded up, in each column
    assert len({tuple(column) for column in (weight == 0).T}) > 1


def test_parameters_are_written_in_place_and_outside_the_graph():
    layer = nn.Linear(3, 4)
    for function in (init.kaiming_normal_, init.xavier_uniform_, init.zeros_):
        weight = layer.weight
        assert function(layer.weight) is weight
        assert weight.is_leaf
        assert weight.requires_grad
    y = layer(tinycnn.tensor(np.ones((2, 3), np.float32), requires_grad=True)).sum()
    init.ones_(layer.weight)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_fans_and_gains():
    assert init.fans(tinycnn.empty(5, 3)) == (3, 5)
    assert init.fans(tinycnn.empty(*SHAPE)) == (240, 360)
    assert [init.calculate_gain(name) for name in ("linear", "sigmoid", "conv2d", "tanh", "relu", "selu")] == [
        1, 1, 1, 5 / 3, math.sqrt(2), 0.75,
    ]  # fmt: skip
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)


def test_errors():
    with pytest.raises(ValueError, match=r"at least 2 dimensions, got shape \(3,\)"):
        init.kaiming_uniform_(tinycnn.empty(3))
    with pytest.raises(ValueError, match="kaiming_normal_: expected mode as 'fan_in' or 'fan_out', got 'fan_on'"):
        init.kaiming_normal_(tinycnn.empty(3, 3), mode="fan_on")
    for message, call in {
        "trunc_normal_: expected a < b, got a=1.0 and": lambda: init.trunc_normal_(tinycnn.empty(2), a=1.0, b=1.0),
        "trunc_normal_: nearly nothing of mean=9.0": lambda: init.trunc_normal_(tinycnn.empty(2), mean=9.0),
        "orthogonal_: expected at least 2 dimensions": lambda: init.orthogonal_(tinycnn.empty(2)),
        "eye_: expected a matrix": lambda: init.eye_(tinycnn.empty(2)),
        "dirac_: expected a convolution's weight": lambda: init.dirac_(tinycnn.empty(2, 2)),
        "dirac_: groups=2 does not divide the 3 output": lambda: init.dirac_(tinycnn.empty(3, 2, 1), groups=2),
        "sparse_: expected a matrix": lambda: init.sparse_(tinycnn.empty(2), 0.1),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="calculate_gain: expected nonlinearity as .*, got 'rleu'"):
        init.calculate_gain("rleu")


def test_tensors_of_one_number_or_none():
    assert abs(init.trunc_normal_(tinycnn.empty(())).item()) <= 2
    assert init.xavier_uniform_(tinycnn.empty(4, 2, 0)).shape == (4, 2, 0)
    assert init.xavier_normal_(tinycnn.empty(0, 0)).shape == (0, 0)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["linear", "conv1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_same_gains_as_torch(name):
    import torch

    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
