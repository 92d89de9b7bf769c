"""Infinities and nan reach what torch says they reach, and nothing else: in outputs and in gradients."""

from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests import layers, nonfinite, operators
from tests.nonfinite import PLACES, VALUES, kinds
from tests.recorded import unpacked
from tinycnn import autograd, tensor
from tinycnn.nn import functional as F

FIXTURE = Path(__file__).parent / "fixtures" / "nonfinite.npz"
SPOILED = [
    (case, what, where)
    for case in [*operators.CASES, *layers.CASES]
    if not case.name.startswith("grid_sample/")  # torch's dies of a nan in the grid
    if isinstance(case, layers.LayerCase) or any(x.dtype.kind == "f" and x.size for x in case.inputs())
    for what in VALUES
    for where in PLACES
]
each_spoiled = pytest.mark.parametrize("spoiled", SPOILED, ids=lambda spoiled: f"{spoiled[0].name} {spoiled[1:]}")

# Rows whose gradients stay finite where torch's do not, or are another kind of not finite.
BETTER = {
    "pow/python_0.5": "(−∞)^-0.5 is 0",
    "norm/3_at_zeros": "the gradient at 0 is 0",
    "norm/0.5_at_zeros": "the gradient at 0 is 0",
    "norm/inf_at_zeros": "only the largest element has a gradient",
    "norm/inf": "only the largest element has a gradient",
    "norm/inf_dim": "only the largest element has a gradient",
    "norm/of_zeros": "the gradient at 0 is 0",
    "CrossEntropyLoss/all": "an ignored row has gradient 0, whatever it holds",
    "Hardswish": "0 of −∞",
    "prod": "the product of the others, without a division",
    "cumprod": "the product of the others, without a division",
    "axis": "that of prod",
    "nan_to_num": "what was replaced has gradient 0, whatever comes from above",
    "nan/sums": "what is left out has gradient 0, whatever comes from above",
    "logaddexp": "its second derivative tends to 0",
    "logit": "beyond 1 its derivative is that of the formula; what was limited has gradient 0",
    "moments": "the mean of an infinity is one",
    "activations": "hardswish of −∞ is 0",
    "mode": "no nan equals another",
    "losses/of_differences": "what is beyond a limit has gradient 0, whatever comes from above",
    "losses/of_margins": "the loss of an infinite margin is infinite or 0",
    "losses/multi_margin": "what keeps the margin has gradient 0, whatever comes from above",
    "losses/multilabel_margin": "what keeps the margin has gradient 0, whatever comes from above",
    "MultiMarginLoss": "what keeps the margin has gradient 0, whatever comes from above",
    "MultiLabelMarginLoss": "what keeps the margin has gradient 0, whatever comes from above",
    "SoftMarginLoss": "the loss of an infinite margin is infinite or 0",
    "interpolate/linear_to_5": "nothing is interpolated where the size stays",
    "interpolate/bilinear_by_1.0": "nothing is interpolated where the size stays",
}
# Rows where ∞ − ∞, in another order of the same sum, is nan here and an infinity there, or the reverse.
ANOTHER_ORDER = (
    "LayerNorm", "GroupNorm", "normalisation/", "losses/", "cross_entropy/", "GELU", "SiLU", "BCEWithLogitsLoss",
    "BCELoss", "CrossEntropyLoss/all", "Hardswish", "bilinear", "Mish",
)  # fmt: skip


def run(spoiled, lib) -> dict[str, np.ndarray]:
    case, what, where = spoiled
    spoil = nonfinite.run_layer if isinstance(case, layers.LayerCase) else nonfinite.run
    with np.errstate(all="ignore"):
        return {name: kinds(x) for name, x in spoil(case, lib, what, where).items()}


def outcome(spoiled, lib) -> dict[str, np.ndarray]:
    """The kinds by name; nothing if the values are refused, as probabilities outside of [0, 1] are."""
    try:
        return run(spoiled, lib)
    except (ValueError, RuntimeError):
        return {}


def assert_same_kinds(spoiled, expected: dict[str, np.ndarray]) -> None:
    found, name = outcome(spoiled, tinycnn), spoiled[0].name
    assert found.keys() == expected.keys()
    for result, kind in expected.items():
        assert not (found[result].astype(bool) & ~kind.astype(bool)).any(), f"{result}: not finite where torch is"
        if not name.startswith(tuple(BETTER)):
            np.testing.assert_array_equal(found[result].astype(bool), kind.astype(bool), err_msg=result)
        if not name.startswith((*BETTER, *ANOTHER_ORDER)) and not result.startswith("second"):
            np.testing.assert_array_equal(found[result], kind, err_msg=result)


@pytest.fixture(scope="module")
def recorded():
    """What torch gave, by row and result, unpacked from one long array."""
    return unpacked(FIXTURE)


@each_spoiled
def test_as_recorded(spoiled, recorded):
    case, what, where = spoiled
    row = f"{case.name} {what} {where}"
    assert row in recorded, "not recorded: run tests/fixtures/record_nonfinite.py"
    assert_same_kinds(spoiled, recorded[row])


@pytest.mark.torch
@each_spoiled
def test_as_torch(spoiled):
    import torch

    assert_same_kinds(spoiled, outcome(spoiled, torch))


# --- by hand ----------------------------------------------------------------------------------------------


def gradient(function, values) -> list:
    x = tensor(np.asarray(values, float), requires_grad=True)
    (g,) = autograd.grad(function(x).sum(), x)
    return g.tolist()


inf, nan = np.inf, np.nan


@pytest.mark.parametrize(
    "function, values, expected",
    [
        (lambda x: x.clamp(min=0).sqrt(), [-1e-8, 4], [0, 0.25]),
        (lambda x: x.maximum(tensor([0.0, 0.0]).double()).sqrt(), [-1e-8, 4], [0, 0.25]),
        (lambda x: -(-x).minimum(tensor([0.0, 0.0]).double()).sqrt(), [1e-8, -4], [nan, 0]),
        (lambda x: x.max().sqrt(), [-1, 0], [0, inf]),
        (lambda x: F.adaptive_avg_pool1d(x.reshape(1, 1, 5), 3), [inf, 1, 2, 3, nan], [0.5, 5 / 6, 1 / 3, 5 / 6, 0.5]),
    ],
)
def test_what_is_not_chosen_has_no_gradient(function, values, expected):
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(gradient(function, values), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, tensor([1.0, 2.0, 3.0])])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_an_ignored_row_adds_nothing_whatever_it_holds(loss, weight, reduction, smoothing):
    options = {"weight": weight, "reduction": reduction}
    if loss is F.cross_entropy:
        options["label_smoothing"] = smoothing
    rows, target = np.array([[1.0, 2, 3], [nan, 1, 2], [inf, 0, 1]], np.float32), tensor(np.array([1, -100, -100]))
    x, alone = tensor(rows, requires_grad=True), tensor(rows[:1], requires_grad=True)
    y, expected = loss(x, target, **options), loss(alone, target[:1], **options)
    np.testing.assert_allclose(y.sum().item(), expected.sum().item(), rtol=1e-6)
    (first,) = autograd.grad(y.sum(), x, create_graph=True)
    (of_alone,) = autograd.grad(expected.sum(), alone, create_graph=True)
    np.testing.assert_allclose(first.detach().numpy()[:1], of_alone.detach().numpy(), rtol=1e-5, atol=1e-7)
    assert not first.detach().numpy()[1:].any()
    if loss is F.cross_entropy:
        (second,) = autograd.grad((first * first).sum(), x)
        assert np.isfinite(second.numpy()).all()
        assert not second.numpy()[1:].any()
    loss(x, target, **options).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), first.detach().numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("create_graph", [False, True])
def test_where_all_rows_are_ignored_the_loss_is_nan_and_the_gradient_0(loss, create_graph):
    x = tensor(np.ones((2, 3)), requires_grad=True)
    y = loss(x, tensor(np.array([-100, -100])))
    assert np.isnan(y.item())
    with np.errstate(all="ignore"):
        (g,) = autograd.grad(y, x, create_graph=create_graph)
    assert g.tolist() == [[0.0] * 3] * 2


def test_the_place_of_a_nan_in_a_window_is_its_own():
    for place in range(4):
        array = np.arange(4.0).reshape(1, 1, 2, 2)
        array.flat[place] = nan
        x = tensor(array, requires_grad=True)
        y, indices = F.max_pool2d(x, 2, return_indices=True)
        y.backward(tensor(np.full((1, 1, 1, 1), 7.0)))
        assert np.isnan(y.item())
        assert indices.item() == place
        assert x.grad.numpy().ravel().tolist() == [7.0 * (i == place) for i in range(4)]


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_a_weight_of_classes_that_asks_for_a_gradient_is_refused(name):
    weight = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=f"{name}: the weight gets no gradient"):
        getattr(F, name)(tensor(np.zeros((1, 2), np.float32)), tensor(np.array([0])), weight)


def test_a_transposed_convolution_has_nan_only_where_an_infinite_weight_meets_a_zero():
    weight = np.arange(1.0, 9).reshape(1, 2, 2, 2)
    weight[0, 1, 0, 1] = -inf
    y = F.conv_transpose2d(tensor([[[[1.0, 0.0]]]]), tensor(weight, dtype="float32"), stride=2)
    with np.errstate(invalid="ignore"):
        expected = np.concatenate([weight[0], 0 * weight[0]], 2)
    np.testing.assert_array_equal(y.numpy()[0], expected)


def test_the_last_nan_of_a_bin_has_the_gradient():
    x = tensor([[[1.0, nan, 2.0, nan, 3.0]]], requires_grad=True)
    y, indices = F.adaptive_max_pool1d(x, 1, return_indices=True)
    y.sum().backward()
    assert indices.item() == 3
    assert x.grad.tolist() == [[[0.0, 0.0, 0.0, 1.0, 0.0]]]
