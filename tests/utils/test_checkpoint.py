"""`checkpoint`: the same gradients as without it, by running again what was dropped, and less memory."""

import importlib
import tracemalloc

import numpy as np
import pytest

import tinycnn
from tests.in_both import array, check_same, outcome
from tests.side_by_side import side_by_side
from tinycnn import Function, autograd, grad, gradcheck, gradgradcheck
from tinycnn.utils.checkpoint import checkpoint, checkpoint_sequential


def leaf(lib, *shape, seed=0):
    return lib.tensor(array(*shape, seed=seed), requires_grad=True)


def checkpoint_of(lib):
    return importlib.import_module(f"{lib.__name__}.utils.checkpoint").checkpoint


# --- the same gradients -----------------------------------------------------------------------------------


def inputs():
    """An argument, a parameter that the function knows anyway, and what was computed from both."""
    x, w = leaf(tinycnn, 2, 3), leaf(tinycnn, 3, 3, seed=1)
    return x, w, (x @ w).tanh()


def structure(h, w, x, power=2):
    """Several outputs in a structure; of what it is computed from, only h is given as an argument."""

    def function(a, *, power):
        y = (a @ w).tanh() ** power
        return {"y": y, "more": [y.sum() * x.sum(), a > 1, "text"], "same": (a,)}

    def total(found):
        assert found["more"][2] == "text"
        assert not found["more"][1].requires_grad
        return (found["y"] * found["y"]).sum() + found["more"][0] * 2 + found["same"][0].sum()

    return function, total


def test_gradients_are_those_without():
    x, w, h = inputs()
    function, total = structure(h, w, x)
    expected = grad(total(function(h, power=3)), [x, w, h], retain_graph=True)
    found = grad(total(checkpoint(function, h, power=3)), [x, w, h], retain_graph=True)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one.numpy(), other.numpy())
    (alone,) = grad(total(checkpoint(function, h, power=3)), h, retain_graph=True)
    np.testing.assert_allclose(alone.numpy(), expected[2].numpy())


def nested(x, w):
    def inner(a):
        return (a * w).exp() + a

    def outer(a):
        return checkpoint(inner, a * 0.5) * a.sum()

    return checkpoint(outer, x.sin())


def test_gradients_of_both_orders_are_right():
    x, w = leaf(tinycnn, 3), leaf(tinycnn, 3, seed=1)
    assert gradcheck(nested, (x, w))
    assert gradgradcheck(nested, (x, w))
    assert not gradcheck(lambda x: checkpoint(tinycnn.exp, x.detach()) * x, x, raise_exception=False)


def test_a_graph_around_it_is_not_walked_twice():
    """What the function's inputs were computed from is outside of it, and so are the hooks there."""
    x, w = leaf(tinycnn, 3), leaf(tinycnn, 3, seed=1)
    calls = []
    x.register_hook(lambda gradient: calls.append("x"))
    h = (x * w).exp()
    h.register_hook(lambda gradient: calls.append("h"))
    checkpoint(lambda a: a * w * x, h).sum().backward()
    assert sorted(calls) == ["h", "x"]
    a, b = array(3), array(3, seed=1)
    np.testing.assert_allclose(x.grad.numpy(), b * np.exp(a * b) * (1 + a * b))


def test_only_what_is_asked_for_is_computed():
    class Count(Function):
        calls = 0

        def forward(self, x):
            return x * 2

        def backward(self, grad_output):
            Count.calls += 1
            return grad_output * 2

    x, w = leaf(tinycnn, 3), leaf(tinycnn, 3, seed=1)
    y = checkpoint(lambda a: a * Count()(w), x)
    grad(y.sum(), x, retain_graph=True)
    assert Count.calls == 0
    grad(y.sum(), w)
    assert Count.calls == 1


def test_modes_and_functions_without_gradients():
    x = leaf(tinycnn, 3)
    with tinycnn.no_grad():
        assert not checkpoint(tinycnn.exp, x).requires_grad
    assert not checkpoint(tinycnn.exp, x.detach()).requires_grad
    assert checkpoint(lambda: (x * 2).sum()).requires_grad  # no argument at all
    assert checkpoint(lambda a: "text", x) == "text"


def test_it_runs_again_once_a_backward_pass():
    x, calls = leaf(tinycnn, 3), []

    def function(a):
        calls.append(tinycnn.is_grad_enabled())
        return a.exp(), a * 2

    y, z = checkpoint(function, x)
    total = (y * z).sum()
    total.backward(retain_graph=True)
    total.backward()
    assert len(calls) == 3
    with pytest.raises(RuntimeError, match="a second time"):
        total.backward()


def run_net(lib, parts=3, use_reentrant=False):
    """A net with normalisation, whose running statistics are updated twice."""
    layers = [lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.ReLU(), lib.nn.Linear(4, 5), lib.nn.Tanh(),
              lib.nn.Linear(5, 4), lib.nn.BatchNorm1d(4)]  # fmt: skip
    net = lib.nn.Sequential(*layers).double()
    with lib.no_grad():
        for i, parameter in enumerate(net.parameters()):
            parameter.copy_(lib.tensor(array(*parameter.shape, seed=i)) - 0.9)
    x = leaf(lib, 6, 3)
    module = importlib.import_module(f"{lib.__name__}.utils.checkpoint")
    if parts:
        y = module.checkpoint_sequential(net, parts, x, use_reentrant=use_reentrant)
    else:
        y = net(x)
    (y * y * y).sum().backward()
    return [x.grad, *[p.grad for p in net.parameters()]], list(net.buffers())


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_a_net_in_parts(parts):
    found, expected = run_net(tinycnn, parts)[0], run_net(tinycnn, 0)[0]
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_a_net_is_that_of_torch_running_statistics_included(parts, use_reentrant):
    import torch

    def program(lib):
        return run_net(lib, parts, use_reentrant)

    check_same(outcome(program, tinycnn), outcome(program, torch))


def run_structure(lib):
    x, w = leaf(lib, 2, 3), leaf(lib, 3, 3, seed=1)
    h = (x @ w).tanh()
    function, total = structure(h, w, x)
    found = checkpoint_of(lib)(function, h, use_reentrant=False, power=3)
    first = lib.autograd.grad(total(found), [x, w], create_graph=True)
    return found, first, lib.autograd.grad((first[0] * first[0]).sum() + first[1].sum(), [x, w])


def run_changed_argument(lib):
    x = leaf(lib, 3) * 2
    y = checkpoint_of(lib)(lambda a: a.exp(), x, use_reentrant=True)
    with lib.no_grad():
        x.add_(1)
    y.sum().backward()


@pytest.mark.torch
@pytest.mark.parametrize("program", [run_structure, run_changed_argument], ids=lambda program: program.__name__)
def test_programs_agree_with_torch(program):
    import torch

    check_same(outcome(program, tinycnn), outcome(program, torch))


def test_what_the_program_gives_without_torch():
    x, w, h = inputs()
    function, total = structure(h, w, x)
    first = grad(total(function(h, power=3)), [x, w], create_graph=True)
    second = grad((first[0] * first[0]).sum() + first[1].sum(), [x, w])
    _, found_first, found_second = outcome(run_structure, tinycnn)
    for (one, _), other in zip(found_first + found_second, (*first, *second)):
        np.testing.assert_allclose(one, other.detach().numpy())


# --- the same conditions ----------------------------------------------------------------------------------


def dropped(x):
    return tinycnn.nn.functional.dropout(x, 0.5) * 3


def test_random_numbers_are_drawn_again_and_others_go_on():
    x = leaf(tinycnn, 1000)
    tinycnn.manual_seed(3)
    expected = [dropped(x).detach().numpy(), tinycnn.rand(5).numpy(), tinycnn.rand(5).numpy()]
    tinycnn.manual_seed(3)
    y = checkpoint(dropped, x)
    between = tinycnn.rand(5).numpy()
    y.sum().backward()
    after = tinycnn.rand(5).numpy()
    for one, other in zip([y.detach().numpy(), between, after], expected):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(x.grad.numpy() * x.detach().numpy(), y.detach().numpy())


def test_random_numbers_need_not_be_drawn_again():
    x = leaf(tinycnn, 1000)
    y = checkpoint(dropped, x, preserve_rng_state=False)
    y.sum().backward()
    assert not tinycnn.allclose(x.grad * x, y)


def test_products_have_the_precision_of_the_first_run():
    x, w = leaf(tinycnn, 8, 8).float().detach(), leaf(tinycnn, 8, 8, seed=1).float().detach().requires_grad_()

    def gradient(run):
        with tinycnn.autocast("cpu", "bfloat16"):
            y = run(lambda a: (a @ w).exp() @ w, x)
        return grad(y.sum(), w)[0].numpy()

    exact = grad(((x @ w).exp() @ w).sum(), w)[0].numpy()
    expected, found = gradient(lambda f, a: f(a)), gradient(checkpoint)
    np.testing.assert_array_equal(found, expected)
    assert (found != exact).any()


def test_threads_walk_at_the_same_time():
    x, w = leaf(tinycnn, 30), leaf(tinycnn, 30, seed=1)
    y = nested(x, w).sum()
    expected = grad(y, [x, w], retain_graph=True)
    wrong = []

    def work():
        for _ in range(5):
            found = grad(y, [x, w], retain_graph=True)
            wrong.extend(1 for one, other in zip(found, expected) if not tinycnn.allclose(one, other))

    side_by_side(work, work, work)
    assert wrong == []


# --- memory -----------------------------------------------------------------------------------------------


def peak(run):
    """The most bytes that NumPy's arrays take at a time while `run()` runs."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_less_memory_is_taken():
    """16 pairs of activations of 1 MB each: 4 parts keep 3 and compute at most 4 pairs anew."""
    functions = [lambda x: (x * 0.1).sin()] * 16
    x = leaf(tinycnn, 128, 1024)

    def kept(parts):
        def step():
            y = checkpoint_sequential(functions, parts, x) if parts else _all(functions, x)
            y.sum().backward()
            x.grad = None

        step()
        return peak(step)

    assert kept(4) < 0.65 * kept(0)


def _all(functions, x):
    for function in functions:
        x = function(x)
    return x


# --- refused ----------------------------------------------------------------------------------------------


def test_changes_in_place_are_refused():
    for changed in ("argument", "parameter"):
        w = leaf(tinycnn, 3, seed=1)
        x = leaf(tinycnn, 3) * 2
        y = checkpoint(lambda a: a * w, x)  # noqa: B023
        with tinycnn.no_grad():
            (x if changed == "argument" else w).add_(1)
        with pytest.raises(RuntimeError, match=r"through checkpoint: an argument or a parameter of shape \(3,\) was"):
            y.sum().backward()


def test_other_outputs_in_the_second_run_are_refused():
    x, sizes = leaf(tinycnn, 3), iter([3, 2, 3, 3])
    y = checkpoint(lambda a: a[: next(sizes)] * 2, x)
    with pytest.raises(RuntimeError, match=r"same outputs when the function runs again, \(3,\) float64, got \(2,\)"):
        y.sum().backward()


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"use_reentrant": 1}, TypeError, "checkpoint: expected use_reentrant as True or False, got 1"),
        ({"preserve_rng_state": None}, TypeError, "checkpoint: expected preserve_rng_state as True or False"),
        ({"context_fn": list}, ValueError, "checkpoint: expected context_fn=None"),
        ({"determinism_check": "all"}, ValueError, "checkpoint: expected determinism_check as 'default' or 'none'"),
    ],
)
def test_options_are_checked(options, kind, message):
    with pytest.raises(kind, match=message):
        checkpoint(tinycnn.exp, leaf(tinycnn, 2), **options)


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="checkpoint: expected a function, got int"):
        checkpoint(3)
    with pytest.raises(ValueError, match="checkpoint_sequential: expected segments of at most 2, got 3"):
        checkpoint_sequential([tinycnn.exp] * 2, 3, leaf(tinycnn, 2))
    with pytest.raises(ValueError, match="checkpoint_sequential: expected segments of at least 1, got 0"):
        checkpoint_sequential([tinycnn.exp] * 2, 0, leaf(tinycnn, 2))


def test_hooks_of_modules_inside_run_in_the_backward_pass():
    layer = tinycnn.nn.Linear(3, 3)
    calls = []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: calls.append(grad_input[0].shape))
    autograd.backward(checkpoint(layer, leaf(tinycnn, 2, 3).float()).sum())
    assert calls == [(2, 3)]


@pytest.mark.filterwarnings("ignore:invalid value")
def test_anomaly_mode_goes_through_it():
    with tinycnn.detect_anomaly(), pytest.raises(RuntimeError, match="the gradient of checkpoint is the first nan"):
        checkpoint(lambda a: a.sqrt() * 0, leaf(tinycnn, 2) * 0).sum().backward()
