"""Functions written as for torch, and `checkpoint`, with tensors on a GPU."""

import numpy as np
import pytest

import tinycnn
from tests.in_both import array
from tests.test_custom_function import both, exp, scale
from tinycnn.utils.checkpoint import checkpoint

pytestmark = pytest.mark.gpu


def leaf(device, *shape, seed=0):
    return tinycnn.tensor(array(*shape, seed=seed), device=device, requires_grad=True)


@pytest.mark.parametrize("make", [exp, both, scale], ids=lambda make: make.__name__)
def test_functions_are_those_of_the_cpu(make):
    found = {}
    for device in ("cpu", "gpu"):
        x, w = leaf(device, 2, 3), leaf(device, 2, 3, seed=1)
        outputs = make(tinycnn).apply(*{exp: (x,), both: (x, w), scale: (x, w, 3.0)}[make])
        y = outputs[0] * outputs[2] if make is both else outputs * w
        first = tinycnn.grad((y * y).sum(), [x, w], create_graph=True)
        second = tinycnn.grad((first[0] * first[1]).sum(), [x, w])
        assert str(second[0].device) == ("cpu" if device == "cpu" else "cuda:0")
        found[device] = [each.detach().cpu().numpy() for each in (y, *first, *second)]
    for one, other in zip(found["gpu"], found["cpu"]):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_a_checkpoint_draws_its_random_numbers_again():
    """Also if nothing was drawn on that device before."""

    def dropped(a):
        return tinycnn.nn.functional.dropout(a, 0.5) * 3

    x = leaf("gpu", 1000)
    y = checkpoint(dropped, x)
    after = tinycnn.rand(4, device="gpu").cpu().numpy()
    y.sum().backward()
    assert (tinycnn.rand(4, device="gpu").cpu().numpy() != after).all()
    np.testing.assert_allclose((x.grad * x).detach().cpu().numpy(), y.detach().cpu().numpy())
    assert 300 < (x.grad.cpu().numpy() == 0).sum() < 700
