"""L-BFGS: the steps of torch, and what it refuses."""

import numpy as np
import pytest

from tinycnn import optim, tensor


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
