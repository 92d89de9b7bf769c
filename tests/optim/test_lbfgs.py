"""L-BFGS: the steps of torch, and what it refuses."""

import numpy as np
import pytest

from tinycnn import optim, tensor
from tinycnn.optim import line_search


def rosenbrock(lib, make, steps, **options):
    """The loss that each step returns, and where the parameters end, for Rosenbrock's valley of two parameters."""
    x, y = (make(np.array(value), requires_grad=True) for value in ([-1.2, 0.5], [[1.0], [0.3]]))
    optimizer = lib.LBFGS([x, y], **options)

    def closure():
        optimizer.zero_grad()
        loss = ((1 - x) ** 2).sum() + 10 * ((y.reshape(2) - x * x) ** 2).sum()
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(steps)]
    return losses, [*x.tolist(), *np.ravel(y.tolist())], optimizer


OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.05, "max_iter": 4, "history_size": 3},
    {"lr": 0.1, "max_iter": 9, "max_eval": 5, "tolerance_grad": 1e-3},
    {"lr": 0.2, "max_iter": 30, "tolerance_change": 1e-3},
    {"lr": 0.0},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 3},
    {"line_search_fn": "strong_wolfe", "lr": 20.0, "max_iter": 6, "history_size": 2},
    {"line_search_fn": "strong_wolfe", "lr": 1e-3, "max_iter": 4},
    {"line_search_fn": "strong_wolfe", "max_iter": 8, "max_eval": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 8, "max_eval": 1},
]


@pytest.mark.torch
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_steps_of_live_torch(options):
    import torch

    ours, theirs = rosenbrock(optim, tensor, 6, **options), rosenbrock(torch.optim, torch.tensor, 6, **options)
    for found, expected in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    (state,), (reference,) = (list(optimizer.state.values()) for *_, optimizer in (ours, theirs))
    assert (state["n_iter"], state["func_evals"]) == (reference["n_iter"], reference["func_evals"])


def test_it_finds_the_minimum():
    losses, place, _ = rosenbrock(optim, tensor, 30, lr=0.3)
    assert losses[-1] < 1e-8
    np.testing.assert_allclose(place, [1, 1, 1, 1], atol=1e-3)


def regression(lib, make, **options):
    """The losses of four steps that fit a net to waves."""
    rng = np.random.default_rng(0)
    x = make(np.linspace(-2, 2, 40).reshape(-1, 1))
    weights = [make(rng.standard_normal(shape), requires_grad=True) for shape in ((1, 8), (8,), (8, 1))]
    optimizer = lib.LBFGS(weights, line_search_fn="strong_wolfe", max_iter=10, **options)

    def closure():
        optimizer.zero_grad()
        y = ((x @ weights[0] + weights[1]).tanh() @ weights[2]) - make(np.sin(3 * x.numpy()))
        loss = (y * y).mean()
        loss.backward()
        return loss

    return [float(optimizer.step(closure)) for _ in range(4)], [w.tolist() for w in weights]


@pytest.mark.torch
@pytest.mark.parametrize("lr", [1, 0.1, 10])
def test_a_regression_with_a_line_search_is_that_of_live_torch(lr):
    import torch

    for found, expected in zip(
        regression(optim, tensor, lr=lr), regression(torch.optim, torch.tensor, lr=lr), strict=True
    ):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


def test_a_line_search_finds_the_minimum():
    losses, place, optimizer = rosenbrock(optim, tensor, 5, line_search_fn="strong_wolfe")
    assert losses[-1] < 1e-10
    np.testing.assert_allclose(place, [1, 1, 1, 1], atol=1e-5)
    (state,) = optimizer.state.values()
    assert state["func_evals"] < 80
    losses, _ = regression(optim, tensor)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.2


@pytest.mark.parametrize("slope, loss, least_t", [(1.0, 5.0, 0.0), (0.0, 0.0, 0.0), (-1.0, -1.0, 1.0)])
def test_a_search_on_strange_lines_ends(slope, loss, least_t):
    """Up at once, level, and down without an end."""
    points = []

    def evaluate(t):
        points.append(line_search.Point(t, loss * t, None, slope))
        return points[-1]

    start = line_search.Point(0.0, 0.0, None, -1.0)
    found, calls = line_search.strong_wolfe(evaluate, start, 1.0, 1.0, 1e-9, 12)
    assert calls == len(points) <= 13
    assert found.t >= least_t


def test_saved_and_loaded_it_continues():
    *_, straight = rosenbrock(optim, tensor, 3, lr=0.1)
    *_, other = rosenbrock(optim, tensor, 1, lr=0.1)
    other.load_state_dict(straight.state_dict())
    (state,), (loaded,) = straight.state.values(), other.state.values()
    assert loaded["n_iter"] == state["n_iter"]
    np.testing.assert_array_equal(loaded["d"].numpy(), state["d"].numpy())


@pytest.mark.parametrize("options, error, message", [
    ({"lr": -1}, ValueError, "LBFGS: expected lr of at least 0, got -1"),
    ({"max_iter": 0}, ValueError, "LBFGS: expected max_iter of at least 1, got 0"),
    ({"max_eval": 0}, ValueError, "LBFGS: expected max_eval of at least 1, got 0"),
    ({"history_size": 0}, ValueError, "LBFGS: expected history_size of at least 1, got 0"),
    ({"tolerance_grad": -1}, ValueError, "LBFGS: expected tolerance_grad of at least 0, got -1"),
    ({"tolerance_change": -1}, ValueError, "LBFGS: expected tolerance_change of at least 0, got -1"),
    ({"line_search_fn": "armijo"}, ValueError, "LBFGS: expected line_search_fn as "),
])  # fmt: skip
def test_bad_options(options, error, message):
    with pytest.raises(error) as caught:
        optim.LBFGS([tensor([1.0], requires_grad=True)], **options)
    assert str(caught.value).startswith(message)


def test_it_needs_a_closure_and_one_group():
    param = tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"LBFGS.step: expected a closure .*, got None"):
        optim.LBFGS([param]).step()
    with pytest.raises(ValueError, match="LBFGS: expected one group of parameters, got 2"):
        optim.LBFGS([{"params": [param]}, {"params": [tensor([2.0], requires_grad=True)]}])
