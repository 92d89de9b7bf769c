"""Norms of weights, and parameters as one vector: as torch's, and what is refused."""

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, tensor
from tinycnn.nn import utils

rng = np.random.default_rng(3)


# --- norms of weights ---------------------------------------------------------------------------------------

LAYERS = {
    "Linear": (lambda nn: nn.Linear(4, 3), (2, 4)),
    "Conv2d": (lambda nn: nn.Conv2d(4, 6, (2, 3), groups=2), (2, 4, 3, 5)),
    "ConvTranspose2d": (lambda nn: nn.ConvTranspose2d(3, 4, 2, 2), (2, 3, 2, 3)),
}
NORMS = [
    ("weight_norm", {}), ("weight_norm", {"dim": None}), ("weight_norm", {"dim": -1}),
    ("spectral_norm", {}), ("spectral_norm", {"n_power_iterations": 3, "dim": 1, "eps": 1e-6}),
]  # fmt: skip


def run(lib, layer, function, options):
    """What three training steps and an evaluation give, and the state in the end, all by name."""
    build, shape = LAYERS[layer]
    draw = np.random.default_rng(5)
    module = build(lib.nn).double()
    for parameter in module.parameters():
        parameter.detach().copy_(lib.tensor(draw.standard_normal(tuple(parameter.shape))))
    assert getattr(lib.nn.utils, function)(module, **options) is module
    for _, buffer in sorted(module.named_buffers()):  # drawn by each library for itself
        value = draw.standard_normal(tuple(buffer.shape))
        buffer.copy_(lib.tensor(value / np.linalg.norm(value)))
    x = lib.tensor(draw.standard_normal(shape), requires_grad=True)
    optimizer = lib.optim.SGD(module.parameters(), lr=0.1)
    found = {}
    for step in range(3):
        optimizer.zero_grad()
        y = module(x)
        (y * y).sum().backward()
        found |= {f"gradient {name} {step}": p.grad for name, p in module.named_parameters()} | {f"output {step}": y}
        optimizer.step()
    found["eval"] = module.eval()(x)
    found |= {f"state {name}": value for name, value in module.state_dict().items()}
    getattr(lib.nn.utils, f"remove_{function}")(module)
    found |= {f"removed {name}": value for name, value in module.state_dict().items()}
    found["after"] = module(x)
    return {name: value.detach().numpy().copy() for name, value in found.items()}


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function, options", NORMS, ids=str)
@pytest.mark.parametrize("layer", LAYERS)
def test_norms_of_weights_are_torchs(layer, function, options):
    import torch

    found, expected = run(tinycnn, layer, function, options), run(torch, layer, function, options)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-10, err_msg=name)


def test_spectral_norm_divides_by_the_largest_singular_value():
    layer = utils.spectral_norm(nn.Linear(5, 3), n_power_iterations=100)
    layer(tinycnn.ones(1, 5))
    assert np.linalg.svd(layer.weight.detach().numpy())[1][0] == pytest.approx(1, rel=1e-4)
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_orig"]


def test_weight_norm_of_a_vector():
    layer = utils.weight_norm(nn.LayerNorm(3))
    assert layer.weight_g.shape == (3,)
    np.testing.assert_allclose(layer.weight.detach().numpy(), np.ones(3))


@pytest.mark.parametrize("function", ["weight_norm", "spectral_norm"])
def test_errors_of_norms(function):
    norm, remove = getattr(utils, function), getattr(utils, f"remove_{function}")
    with pytest.raises(TypeError, match=f"{function}: expected a Module, got int"):
        norm(3)
    message = f"{function}: expected Linear to have a parameter 'scale' with elements, got None"
    with pytest.raises(ValueError, match=message):
        norm(nn.Linear(2, 2), "scale")
    with pytest.raises(ValueError, match=f"{function}: expected LazyLinear to have a parameter 'weight' with elements"):
        norm(nn.LazyLinear(2))
    layer = norm(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match=f"{function}: expected Linear.weight without {function}, which it has"):
        norm(layer)
    remove(layer)
    with pytest.raises(ValueError, match=f"remove_{function}: Linear has no {function} of 'weight'"):
        remove(layer)


# --- vectors ------------------------------------------------------------------------------------------------


def test_parameters_become_a_vector_and_come_back():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (11,)
    np.testing.assert_array_equal(vector.detach().numpy()[:6], net[0].weight.detach().numpy().ravel())
    (vector * vector).sum().backward()
    np.testing.assert_allclose(net[1].weight.grad.numpy(), 2 * net[1].weight.detach().numpy())
    before = net[0].weight
    utils.vector_to_parameters(tinycnn.arange(11).float(), net.parameters())
    assert net[0].weight is before
    assert before.requires_grad
    assert [p.tolist() for p in net[1].parameters()] == [[[8.0, 9.0]], [10.0]]
    with pytest.raises(ValueError, match=r"vector_to_parameters: expected a vector of 11 elements, got \(10,\)"):
        utils.vector_to_parameters(tinycnn.ones(10), net.parameters())
    with pytest.raises(ValueError, match="parameters_to_vector: expected at least one parameter, got none"):
        utils.parameters_to_vector([])


def test_vectors_of_a_graph():
    a = tensor([1.0, 2.0], requires_grad=True)
    assert utils.parameters_to_vector([a, a * 2]).tolist() == [1.0, 2.0, 2.0, 4.0]
