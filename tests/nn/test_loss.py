"""Losses: values by hand, gradients by finite differences, and what they refuse."""

import math

import numpy as np
import pytest

import tinycnn
from tinycnn import gradcheck, gradgradcheck, tensor
from tinycnn.nn import functional as F
from tinycnn.teaching import reference

rng = np.random.default_rng(0)
SCORES = rng.standard_normal((5, 4)) * 3
TARGET = np.array([2, 0, 3, 3, 1])
WEIGHT = np.array([0.5, 2.0, 1.0, 3.0])
SPATIAL = rng.standard_normal((2, 4, 3, 5))
SPATIAL_TARGET = rng.integers(0, 4, (2, 3, 5))


def log_softmax(scores, axis=1):
    return scores - np.log(np.exp(scores).sum(axis=axis, keepdims=True))


# --- cross-entropy of class indices -----------------------------------------------------------------------


def test_cross_entropy_against_loops():
    scores = tensor(SCORES, requires_grad=True)
    loss = F.cross_entropy(scores, tensor(TARGET))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(reference.softmax_cross_entropy(SCORES, TARGET), rel=1e-13)
    loss.backward()
    expected = reference.softmax_cross_entropy_backward(SCORES, TARGET)
    np.testing.assert_allclose(scores.grad.numpy(), expected, atol=1e-15)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_targets_of_any_integer_type(dtype):
    loss = F.cross_entropy(tensor(SCORES), tensor(TARGET, dtype=dtype))
    assert loss.item() == pytest.approx(reference.softmax_cross_entropy(SCORES, TARGET))


def test_large_scores_do_not_overflow():
    scores = tensor([[1000.0, -1000.0], [-1000.0, 1000.0]], requires_grad=True)
    loss = F.cross_entropy(scores, tensor([0, 0]), reduction="none")
    assert loss.tolist() == [0.0, 2000.0]
    loss.sum().backward()
    assert scores.grad.tolist() == [[0.0, 0.0], [-1.0, 1.0]]


def test_reductions():
    each = -log_softmax(SCORES)[range(5), TARGET]
    for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
        loss = F.cross_entropy(tensor(SCORES), tensor(TARGET), reduction=reduction)
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


def test_class_weights_and_the_weighted_mean():
    each = -log_softmax(SCORES)[range(5), TARGET] * WEIGHT[TARGET]
    for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.sum() / WEIGHT[TARGET].sum())):
        loss = F.cross_entropy(tensor(SCORES), tensor(TARGET), tensor(WEIGHT), reduction=reduction)
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("ignore_index", [-100, -1, 3, 77])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_ignored_targets_count_nowhere(ignore_index, weight):
    target = np.array([2, ignore_index, 0, ignore_index, 1])
    kept = target != ignore_index
    weights = (np.ones(4) if weight is None else weight)[target[kept]]
    each = np.zeros(5)
    each[kept] = -log_softmax(SCORES)[kept, target[kept]] * weights
    scores = tensor(SCORES, requires_grad=True)
    for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.sum() / weights.sum())):
        loss = F.cross_entropy(
            scores, tensor(target), None if weight is None else tensor(weight),
            ignore_index=ignore_index, reduction=reduction,
        )  # fmt: skip
        np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-12)
    loss.backward()
    assert not scores.grad.numpy()[~kept].any()
    assert scores.grad.numpy()[kept].all()


def test_spatial_targets():
    each = -np.take_along_axis(log_softmax(SPATIAL), SPATIAL_TARGET[:, None], 1)[:, 0]
    loss = F.cross_entropy(tensor(SPATIAL), tensor(SPATIAL_TARGET), reduction="none")
    np.testing.assert_allclose(loss.numpy(), each, rtol=1e-12)
    assert F.cross_entropy(tensor(SPATIAL), tensor(SPATIAL_TARGET)).item() == pytest.approx(each.mean())


def test_one_sample_without_a_batch():
    loss = F.cross_entropy(tensor(SCORES[0]), tensor(2))
    assert loss.item() == pytest.approx(-log_softmax(SCORES)[0, 2])


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_label_smoothing_is_a_mixture_with_uniform_targets(weight):
    epsilon, log_probs = 0.3, log_softmax(SCORES)
    weights = np.ones(4) if weight is None else weight
    mixed = (1 - epsilon) * np.eye(4)[TARGET] + epsilon / 4
    each = -(mixed * log_probs * weights).sum(1)
    for reduction, expected in (
        ("none", each),
        ("sum", each.sum()),
        ("mean", each.sum() / weights[TARGET].sum()),
    ):
        loss = F.cross_entropy(
            tensor(SCORES), tensor(TARGET), None if weight is None else tensor(weight),
            reduction=reduction, label_smoothing=epsilon,
        )  # fmt: skip
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


# --- cross-entropy of probabilities -----------------------------------------------------------------------


@pytest.mark.parametrize("scores", [SCORES, SPATIAL])
def test_probability_targets(scores):
    probabilities = np.exp(log_softmax(np.random.default_rng(1).standard_normal(scores.shape)))
    each = -(probabilities * log_softmax(scores)).sum(1)
    for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
        loss = F.cross_entropy(tensor(scores), tensor(probabilities), reduction=reduction)
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


def test_one_hot_probabilities_are_class_indices():
    for options in ({}, {"label_smoothing": 0.2}):
        by_index = F.cross_entropy(tensor(SCORES), tensor(TARGET), **options)
        by_probability = F.cross_entropy(tensor(SCORES), tensor(np.eye(4)[TARGET]), **options)
        assert by_index.item() == pytest.approx(by_probability.item(), rel=1e-13)


# --- other losses -----------------------------------------------------------------------------------------


def test_nll_loss_takes_log_probabilities():
    for options in ({}, {"weight": tensor(WEIGHT)}, {"reduction": "sum"}, {"ignore_index": 3}):
        expected = F.cross_entropy(tensor(SCORES), tensor(TARGET), **options)
        loss = F.nll_loss(tensor(SCORES).log_softmax(1), tensor(TARGET), **options)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-13)


def test_mse_loss():
    x, y = rng.standard_normal((2, 3, 4))
    for reduction, expected in (("none", (x - y) ** 2), ("sum", ((x - y) ** 2).sum()), ("mean", ((x - y) ** 2).mean())):
        np.testing.assert_allclose(F.mse_loss(tensor(x), tensor(y), reduction=reduction).numpy(), expected, rtol=1e-12)
    assert F.mse_loss(tensor(2.0), tensor(5.0)).item() == 9.0


# --- gradients --------------------------------------------------------------------------------------------

LOSSES = {
    "indices": lambda x: F.cross_entropy(x, tensor(TARGET)),
    "weights": lambda x: F.cross_entropy(x, tensor(TARGET), tensor(WEIGHT)),
    "ignored": lambda x: F.cross_entropy(x, tensor(TARGET), ignore_index=3),
    "smoothed": lambda x: F.cross_entropy(x, tensor(TARGET), tensor(WEIGHT), ignore_index=0, label_smoothing=0.2),
    "each": lambda x: F.cross_entropy(x, tensor(TARGET), reduction="none"),
    "probabilities": lambda x: F.cross_entropy(x, tensor(np.exp(log_softmax(SCORES[::-1]))), label_smoothing=0.1),
    "nll": lambda x: F.nll_loss(x, tensor(TARGET), tensor(WEIGHT), ignore_index=2),
    "mse": lambda x: F.mse_loss(x, tensor(SCORES[::-1].copy())),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_finite_differences(loss):
    x = tensor(SCORES, requires_grad=True)
    assert gradcheck(loss, (x,))
    assert gradgradcheck(loss, (x,))


def test_finite_differences_of_targets_and_spatial_scores():
    spatial = tensor(SPATIAL[:1], requires_grad=True)
    assert gradcheck(lambda x: F.cross_entropy(x, tensor(SPATIAL_TARGET[:1])), (spatial,))
    x, target = tensor(SCORES, requires_grad=True), tensor(np.exp(log_softmax(SCORES[::-1])), requires_grad=True)
    assert gradcheck(F.cross_entropy, (x, target))
    assert gradcheck(F.mse_loss, (x, target))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_changes_no_argument(loss):
    scores = tensor(SCORES, requires_grad=True)
    loss(scores).sum().backward()
    np.testing.assert_array_equal(scores.detach().numpy(), SCORES)


def test_float32_in_float32_out():
    scores = tensor(SCORES, dtype="float32", requires_grad=True)
    for options in ({}, {"weight": tensor(WEIGHT, dtype="float32")}, {"label_smoothing": 0.1}, {"ignore_index": 3}):
        loss = F.cross_entropy(scores, tensor(TARGET), **options)
        assert loss.dtype == np.float32
        loss.backward()
        assert scores.grad.dtype == np.float32


# --- what is refused --------------------------------------------------------------------------------------

X, T = tensor(SCORES), tensor(TARGET)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.cross_entropy(X, tensor([0, 1, 2, 3, 4])), ValueError,
         "cross_entropy: class index 4 is out of range: the input (5, 4) has classes 0 to 3"),
        (lambda: F.cross_entropy(X, tensor([0, 1, -1, 3, 0])), ValueError, "class index -1 is out of range"),
        (lambda: F.cross_entropy(X, tensor([0.0, 1.0, 2.0, 3.0, 0.0])), TypeError,
         "cross_entropy: expected class indices as an integer tensor of shape (5,), got float32 of shape (5,)"),
        (lambda: F.cross_entropy(X, tensor(TARGET[:, None])), ValueError,
         "cross_entropy: for input (5, 4) expected class indices of shape (5,), got (5, 1)"),
        (lambda: F.cross_entropy(X, tensor(TARGET[:3])), ValueError, "expected class indices of shape (5,), got (3,)"),
        (lambda: F.cross_entropy(X, TARGET), TypeError, "cross_entropy: expected target as a Tensor, got ndarray"),
        (lambda: F.cross_entropy(tensor(TARGET), T), TypeError, "expected a floating-point input, got int64"),
        (lambda: F.cross_entropy(X, T, tensor(WEIGHT[:3])), ValueError, "expected a weight of shape (4,), got (3,)"),
        (lambda: F.cross_entropy(X, T, reduction="average"), ValueError,
         "cross_entropy: expected reduction as 'mean', 'sum' or 'none', got 'average'"),
        (lambda: F.cross_entropy(X, T, label_smoothing=1.5), ValueError,
         "expected label_smoothing of at least 0 and of at most 1, got 1.5"),
        (lambda: F.cross_entropy(X[:0], T[:0]), ValueError, "cross_entropy: the mean over an empty batch is undefined"),
        (lambda: F.nll_loss(X[:0], T[:0]), ValueError, "nll_loss: the mean over an empty batch is undefined"),
        (lambda: F.nll_loss(X, tensor([9] * 5)), ValueError, "nll_loss: class index 9 is out of range"),
        (lambda: F.mse_loss(X, X[:, :1]), ValueError,
         "mse_loss: expected a target of the input's shape (5, 4), got (5, 1)"),
        (lambda: F.mse_loss(X[:, :1], X[:, 0]), ValueError,
         "mse_loss: expected a target of the input's shape (5, 1), got (5,)"),
        (lambda: F.mse_loss(X[:0], X[:0]), ValueError, "mse_loss: the mean over an empty batch is undefined"),
        (lambda: F.mse_loss(X, 1.0), TypeError, "mse_loss: expected target as a Tensor, got float"),
    ],
)  # fmt: skip
def test_errors_name_function_argument_and_value(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_sums_over_an_empty_batch_are_zero():
    assert F.cross_entropy(X[:0], T[:0], reduction="sum").item() == 0
    assert F.cross_entropy(X[:0], T[:0], reduction="none").shape == (0,)
    assert F.mse_loss(X[:0], X[:0], reduction="sum").item() == 0


def test_boolean_targets_count_as_0_and_1():
    assert F.mse_loss(tensor([1.0, 3.0]), tensor([True, False]), reduction="none").tolist() == [0.0, 9.0]


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_mean_over_ignored_targets_alone_is_undefined():
    """0 / 0: nan, as in torch, rather than a wrong number."""
    assert math.isnan(F.cross_entropy(X, tensor([-100] * 5)).item())


# --- PyTorch ----------------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize("scores, target", [
    (SCORES, TARGET), (SPATIAL, SPATIAL_TARGET), (SCORES[0], TARGET[0]),
    (SCORES, np.exp(log_softmax(SCORES[::-1]))), (SPATIAL, np.exp(log_softmax(SPATIAL[::-1]))),
], ids=["rows", "spatial", "one sample", "probabilities", "spatial probabilities"])  # fmt: skip
def test_same_as_torch(scores, target, ignore_index, weight, label_smoothing, reduction):
    import torch

    if ignore_index == 2 and target.dtype.kind == "f":
        return  # both refuse or ignore it
    options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": label_smoothing}
    ours, theirs = tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
    loss = F.cross_entropy(ours, tensor(target), None if weight is None else tensor(weight), **options)
    expected = torch.nn.functional.cross_entropy(
        theirs, torch.tensor(target), None if weight is None else torch.tensor(weight), **options
    )
    np.testing.assert_allclose(loss.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    if np.isnan(expected.detach().numpy()).any():
        return
    g = np.random.default_rng(2).standard_normal(loss.shape)
    loss.backward(tensor(g))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-14)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_class_indices_of_any_integer_dtype_in_a_recorded_backward_pass(dtype):
    x = tinycnn.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, 0.25]], dtype="float64", requires_grad=True)
    target = tinycnn.tensor([2, 0], dtype=dtype)
    (plain,) = tinycnn.grad(F.cross_entropy(x, target), x)
    (recorded,) = tinycnn.grad(F.cross_entropy(x, target), x, create_graph=True)
    np.testing.assert_allclose(recorded.detach().numpy(), plain.numpy(), rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [np.inf, np.nan])
def test_the_weight_of_a_class_counts_only_where_the_class_does(weight, smoothing):
    x = tensor(np.array([[0.5, -1.0, 2.0], [1.0, 0.0, 0.25]]), requires_grad=True)
    weights, target = tensor(np.array([weight, 1.0, 2.0])), tensor(np.array([-100, 1]))
    for reduction in ("sum", "mean") if smoothing == 0 else ():
        loss = F.cross_entropy(x, target, weights, reduction=reduction)
        assert loss.item() == pytest.approx(F.cross_entropy(x[1:], target[1:], reduction="sum").item())
        assert np.isfinite(tinycnn.grad(loss, x)[0].numpy()).all()
        assert np.isfinite(F.nll_loss(x.log_softmax(1), target, weights, reduction=reduction).item())
    each = F.cross_entropy(x, target, weights, label_smoothing=smoothing, reduction="none")
    assert each[0].item() == 0.0
