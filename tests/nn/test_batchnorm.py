"""Batch normalisation as a layer: the running statistics, and what training, eval and the options do with them."""

import numpy as np
import pytest

import tinycnn
from tinycnn import gradcheck, nn, tensor
from tinycnn.teaching import reference

rng = np.random.default_rng(0)
BATCHES = [rng.standard_normal((4, 3, 5, 2)) * 2 + 1 for _ in range(3)]
PER_CHANNEL = (0, 2, 3)


def layer_of(**options):
    layer = nn.BatchNorm2d(3, **options).double()
    if layer.affine:
        layer.load_state_dict({"weight": np.array([0.5, 2.0, -1.0]), "bias": np.array([1.0, 0.0, 3.0])}, strict=False)
    return layer


def test_training_uses_the_batch():
    layer = layer_of()
    y = layer(tensor(BATCHES[0]))
    expected = reference.batch_norm(BATCHES[0], *(p.detach().numpy() for p in (layer.weight, layer.bias)))
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)


def test_running_statistics_move_towards_each_batch():
    layer = layer_of(momentum=0.3)
    mean, var = np.zeros(3), np.ones(3)
    for i, batch in enumerate(BATCHES):
        layer(tensor(batch))
        mean = 0.7 * mean + 0.3 * batch.mean(PER_CHANNEL)
        var = 0.7 * var + 0.3 * batch.var(PER_CHANNEL, ddof=1)  # unbiased, other than what normalises
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, atol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), var, atol=1e-12)
        assert layer.num_batches_tracked.item() == i + 1


def test_without_momentum_they_are_plain_averages():
    layer = layer_of(momentum=None)
    for batch in BATCHES:
        layer(tensor(batch))
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([b.mean(PER_CHANNEL) for b in BATCHES], 0))
    np.testing.assert_allclose(layer.running_var.numpy(), np.mean([b.var(PER_CHANNEL, ddof=1) for b in BATCHES], 0))


def test_momentum_of_zero_moves_nothing():
    layer = layer_of(momentum=0.0)
    layer(tensor(BATCHES[0]))
    assert layer.running_mean.tolist() == [0.0] * 3
    assert layer.running_var.tolist() == [1.0] * 3


def test_eval_uses_the_running_statistics_and_leaves_them():
    layer = layer_of()
    layer(tensor(BATCHES[0]))
    layer.eval()
    mean, var = layer.running_mean.numpy().copy(), layer.running_var.numpy().copy()
    y = layer(tensor(BATCHES[1])).detach().numpy()
    shape = (1, 3, 1, 1)
    expected = (BATCHES[1] - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + layer.eps)
    expected = expected * layer.weight.detach().numpy().reshape(shape) + layer.bias.detach().numpy().reshape(shape)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    np.testing.assert_array_equal(layer.running_mean.numpy(), mean)
    assert layer.num_batches_tracked.item() == 1
    one = layer(tensor(BATCHES[1][:1, :, :1, :1]))  # in eval, one value a channel is enough
    np.testing.assert_allclose(one.detach().numpy(), expected[:1, :, :1, :1], atol=1e-12)


def test_gradients_in_eval():
    layer = layer_of().eval()
    x = tensor(BATCHES[0][:2, :, :2], requires_grad=True)
    assert gradcheck(lambda x, w, b: layer(x), (x, layer.weight, layer.bias))


def test_running_statistics_are_no_part_of_the_graph():
    """A second batch may be run before the first backward, as a discriminator's is."""
    layer = layer_of()
    first, second = (layer(tensor(batch, requires_grad=True)) for batch in BATCHES[:2])
    first.sum().backward()
    second.sum().backward()
    assert not layer.running_mean.requires_grad


def test_not_affine():
    layer = layer_of(affine=False)
    assert layer.weight is None
    assert layer.bias is None
    assert list(layer.parameters()) == []
    y = layer(tensor(BATCHES[0])).numpy()
    np.testing.assert_allclose(y.mean(PER_CHANNEL), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(PER_CHANNEL), 1, atol=1e-5)


def test_nothing_tracked():
    layer = layer_of(track_running_stats=False, affine=False)
    assert layer.state_dict() == {}
    expected = layer(tensor(BATCHES[0])).numpy()
    np.testing.assert_array_equal(layer.eval()(tensor(BATCHES[0])).numpy(), expected)


def test_statistics_under_no_grad_and_in_a_saved_state():
    layer, copy = layer_of(), layer_of()
    with tinycnn.no_grad():
        layer(tensor(BATCHES[0]))
    assert layer.num_batches_tracked.item() == 1  # training is a matter of train(), not of gradients
    copy.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(copy.running_var.numpy(), layer.running_var.numpy())
    assert copy.num_batches_tracked.item() == 1


@pytest.mark.torch
@pytest.mark.parametrize("options", [
    {}, {"momentum": None}, {"momentum": 0.5, "eps": 0.1}, {"affine": False}, {"track_running_stats": False},
    {"bias": False},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_same_steps_as_torch(dims, options):
    """Three training batches with gradients, then eval."""
    import torch

    shape = {1: (6, 3), 2: (2, 3, 4, 2), 3: (2, 3, 2, 2, 3)}[dims]
    batches = np.random.default_rng(dims).standard_normal((4, *shape)) * 3 + 2

    def steps(lib):
        layer, found = getattr(lib.nn, f"BatchNorm{dims}d")(3, **options).double(), []
        for batch in batches[:3]:
            x = lib.tensor(batch, requires_grad=True)
            (layer(x) ** 3).sum().backward()
            found.append(x.grad)
        found += [*layer.state_dict().values(), *(p.grad for p in layer.parameters())]
        found.append(layer.eval()(lib.tensor(batches[3])))
        return [array.detach().numpy() for array in found]

    for ours, theirs in zip(steps(tinycnn), steps(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)
