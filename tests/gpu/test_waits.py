"""Forward and backward, the host never waits for the GPU. Only the emulator can tell; on a GPU the code just runs."""

import numpy as np
import pytest

import tinycnn
from tests.gpu import without_waiting
from tests.layers import CASES
from tinycnn import nn
from tinycnn.nn import functional as F

pytestmark = pytest.mark.gpu

OPERATORS = {
    "arithmetic": lambda x, i: (x + 1) * x - x / 3 + 2**x - (-x) % 3,
    "powers": lambda x, i: x**2 + x.abs() ** 0.5 + x.exp().log().sqrt(),
    "activations": lambda x, i: x.relu() + x.tanh() + x.sigmoid() + F.gelu(x) + F.elu(x) + F.softplus(x) + F.silu(x),
    "extrema": lambda x, i: x.maximum(0.1 * x) + x.minimum(x.T.reshape(4, 6)) + x.clamp(-1, 1) + x.clamp(min=x - 1),
    "selection": lambda x, i: tinycnn.where(x > 0, x, 0.0) + x.masked_fill(x < 0, 0.0) + x * (x == x),
    "reductions": lambda x, i: x.sum(0) + x.mean((0, 1)) + x.amax(0) - x.amin(1, keepdim=True) + x.var(0) + x.norm(),
    "softmax": lambda x, i: x.softmax(1) + x.log_softmax(1) + x.logsumexp(1, keepdim=True),
    "max of a dimension": lambda x, i: x.max(1).values * x.min(1).values,
    "argmax": lambda x, i: x * (x.argmax(1) == i).float().sum() + x.argmin(),
    "shapes": lambda x, i: x.flatten().reshape(6, 4).T.unsqueeze(0).squeeze(0).expand(2, 4, 6).flip(0).contiguous(),
    "joining": lambda x, i: tinycnn.cat([*x.split(2), x[:, None, 1:].squeeze(1).repeat(1, 2)[:, :6]]),
    "slices": lambda x, i: x[1:, ::2] * x[0, 0] + x[-1, None, :3],
    "gather": lambda x, i: x.gather(1, i.unsqueeze(1)),
    "matmul": lambda x, i: x @ x.T @ x,
    "linear": lambda x, i: F.linear(x, x[:3], x[:3, 0]),
    "dropout": lambda x, i: F.dropout(x, 0.3),
    "casts": lambda x, i: x.double().float() + x.clone(),
    "cumsum": lambda x, i: x.cumsum(1),
    "clip": lambda x, i: x.detach().requires_grad_() * x,
}


def inputs():
    rng = np.random.default_rng(0)
    x = tinycnn.tensor(rng.standard_normal((4, 6)), dtype="float32", device="gpu", requires_grad=True)
    return x, tinycnn.tensor(rng.integers(0, 4, 4), device="gpu")


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    x, index = inputs()
    OPERATORS[name](x, index).sum().backward()  # what waits in the first call, to compile, does not count
    with without_waiting():
        OPERATORS[name](x, index).sum().backward()
        x.grad.zero_()


def test_indexing_with_tensors():
    x, index = inputs()
    with without_waiting():
        y = x[index, index] + x[:, index].sum(1)
    with without_waiting(but=["argsort"]):  # gradients of indices that may repeat are added up in a fixed order
        y.sum().backward()


def test_changes_in_place():
    x, _ = inputs()
    with without_waiting(), tinycnn.no_grad():
        x[1:3] = 0
        x.copy_(x + 1).add_(x, alpha=2).mul_(2).fill_(3)
        x += x


WAITING = {
    "MaxUnpool1d": "looks whether the indices are in range",
    "MaxUnpool2d": "looks whether the indices are in range",
    "MaxUnpool3d": "looks whether the indices are in range",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_layers(case):
    rng = np.random.default_rng(0)
    layer = case.build(nn).float().gpu()
    x = tinycnn.tensor(rng.standard_normal(case.input), dtype="float32", device="gpu", requires_grad=True)
    others = [tinycnn.tensor(sampler(rng), device="gpu") for sampler in case.others]
    others = [other.float() if other.is_floating_point() else other for other in others]
    layer(x, *others).sum().backward()
    if case.name.split("/")[0] in WAITING:
        return
    adds_up = case.name.startswith(("Embedding", "MultiLabelMarginLoss"))  # see test_indexing_with_tensors
    with without_waiting(but=["argsort"] if adds_up else []):
        layer(x, *others).sum().backward()


@pytest.mark.parametrize("wrong", [-1, 4, 1000])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_class_out_of_range_gives_nan(wrong, reduction):
    """Nobody looks for it, as that would wait. The other classes' losses are what they are."""
    x = tinycnn.tensor(np.random.default_rng(0).standard_normal((3, 4)), device="gpu", requires_grad=True)
    target = tinycnn.tensor([1, wrong, 2], device="gpu")
    for loss in (F.cross_entropy(x, target, reduction=reduction), F.nll_loss(x, target, reduction=reduction)):
        found = loss.detach().cpu().numpy()
        assert np.isnan(found).tolist() == (True if reduction == "mean" else [False, True, False])
        x.grad = None
        loss.sum().backward()
        assert x.grad.isnan()[1].any()
    expected = F.nll_loss(x.cpu(), tinycnn.tensor([1, -100, 2]), ignore_index=-100, reduction="sum").item()
    ignoring = F.nll_loss(x, target, ignore_index=wrong, reduction="sum").item()
    assert ignoring == pytest.approx(expected, rel=1e-12)


def test_what_is_no_probability_gives_nan():
    p = tinycnn.tensor([0.5, -0.1, 1.1, 0.0, 1.0], dtype="float64", device="gpu")
    loss = F.binary_cross_entropy(p, tinycnn.tensor([1.0, 1.0, 0.0, 1.0, 0.0], dtype="float64", device="gpu"),
                                  reduction="none")  # fmt: skip
    np.testing.assert_allclose(loss.cpu().numpy(), [np.log(2), np.nan, np.nan, 100, 100])
