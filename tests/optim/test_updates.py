"""Every optimizer's steps equal torch's, recorded ones always, live ones where torch is installed, or naive loops."""

import copy
import importlib
import json
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tinycnn
from tests.fixtures import record_optim
from tests.optim.rules import RULES
from tinycnn import Tensor, optim, tensor
from tinycnn.autograd import wrap

RECORDED = json.loads((record_optim.HERE / "optim_updates.json").read_text())
NAMES = list(RULES)
IN_TORCH = [name for name, rule in RULES.items() if rule.in_torch]
NAIVE = [name for name, rule in RULES.items() if rule.naive]
ALL_OPTIONS = {name: rule.every_branch for name, rule in RULES.items()}
SHAPES = [(3, 4), (5,), (), (2, 3, 2, 4), (1, 1), (7, 2), (80, 70)]  # the last is large enough for scratch memory


def parameters(name, rng, dtype=np.float64):
    shapes = filter(RULES[name].takes, SHAPES)
    return [tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in shapes]


def random_gradients(rng, params, orders=True):
    """Gradients in various memory orders; none for some parameters."""
    for param in params:
        gradient = np.asarray(rng.standard_normal(param.shape), dtype=param.dtype)
        if orders and gradient.ndim:
            gradient = [gradient, gradient.copy(order="F"), np.repeat(gradient, 2, axis=-1)[..., ::2]][rng.integers(3)]
        param.grad = None if rng.random() < 0.2 else wrap(gradient)


def arrays(params):
    return [param.detach().numpy() for param in params]


# --- recorded ---------------------------------------------------------------------------------------------


def compare_with_recorded(optimizer_class, case, expected):
    got = record_optim.trajectory(tensor, tinycnn.float64, optimizer_class, case["options"])
    for got_step, expected_step in zip(got, expected, strict=True):
        for got_param, expected_param in zip(got_step, expected_step, strict=True):
            rtol = 0.1 * RULES[case["optimizer"]].rtol
            np.testing.assert_allclose(got_param, expected_param, rtol=rtol, atol=max(0.1 * rtol, 1e-13))


@pytest.mark.parametrize(
    "case, expected",
    list(zip(record_optim.UPDATES, RECORDED, strict=True)),
    ids=[f"{case['optimizer']}-{'-'.join(case['options'])}" for case in record_optim.UPDATES],
)
def test_recorded_steps_of_torch(case, expected):
    compare_with_recorded(getattr(optim, case["optimizer"]), case, expected)


class DecaysLess(optim.SGD):
    def _update(self, param, grad, state, options):
        super()._update(param, grad, state, {**options, "weight_decay": 0.999 * options["weight_decay"]})


class DampensFirstStep(optim.SGD):
    def _update(self, param, grad, state, options):
        state.setdefault("momentum_buffer", wrap(np.zeros_like(param)))
        super()._update(param, grad, state, options)


class CoupledDecay(optim.AdamW):
    def _update(self, param, grad, state, options):
        super()._update(param, grad, state, {**options, "decoupled_weight_decay": False})


class WithoutBiasCorrection(optim.Adam):
    def _update(self, param, grad, state, options):
        super()._update(param, grad, state, options)
        state["step"] += 1000


class LateDecay(optim.Adagrad):
    def _update(self, param, grad, state, options):
        state.setdefault("step", 1)
        super()._update(param, grad, state, options)


@pytest.mark.parametrize(
    "planted, i",
    [(DecaysLess, 1), (DampensFirstStep, 3), (CoupledDecay, 8), (WithoutBiasCorrection, 5), (LateDecay, 15)],
)
def test_comparison_detects_planted_bug(planted, i):
    case = record_optim.UPDATES[i]
    assert issubclass(planted, getattr(optim, case["optimizer"]))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        compare_with_recorded(planted, case, RECORDED[i])


# --- live torch -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@contextmanager
def unrounded(torch):
    """Muon of torch, whose products are of bfloat16, in the dtype of its parameters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
        yield


def as_torch_takes_it(name, array):
    """Torch's Muon has only matrices."""
    return array.reshape(len(array), -1) if name == "Muon" else array


@pytest.mark.torch
@pytest.mark.parametrize("name", IN_TORCH)
@settings(max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # shrinking takes minutes
@given(data=st.data())
def test_steps_of_live_torch(torch, name, data):
    options, second = data.draw(RULES[name].drawn), data.draw(RULES[name].drawn)
    second.pop("initial_accumulator_value", None)  # which torch does not let a group choose
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    ours = parameters(name, rng)
    theirs = [torch.tensor(as_torch_takes_it(name, array), requires_grad=True) for array in arrays(ours)]

    def groups(params):
        return [{"params": params[:4]}, {"params": params[4:], **second}]

    optimizer = getattr(optim, name)(groups(ours), **options)
    one_by_one = {} if name == "Muon" else {"foreach": False}
    reference = getattr(torch.optim, name)(groups(theirs), **options, **one_by_one)
    for _ in range(50):
        random_gradients(rng, ours)
        for our, their in zip(ours, theirs, strict=True):
            their.grad = None if our.grad is None else torch.tensor(as_torch_takes_it(name, our.grad.numpy().copy()))
        optimizer.step()
        with unrounded(torch):
            reference.step()
    for our, their in zip(arrays(ours), theirs, strict=True):
        expected = their.detach().numpy().reshape(our.shape)
        rtol = RULES[name].rtol
        np.testing.assert_allclose(our, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.torch
def test_muon_differs_from_torchs_by_its_rounding_to_bfloat16(torch):
    rng = np.random.default_rng(6)
    values, gradients = rng.standard_normal((60, 40)), rng.standard_normal((5, 60, 40))
    ours, theirs = tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    optimizer, reference = optim.Muon([ours]), torch.optim.Muon([theirs])
    for gradient in gradients:
        ours.grad, theirs.grad = tensor(gradient), torch.tensor(gradient)
        optimizer.step()
        reference.step()
    way, difference = (np.linalg.norm(ours.detach().numpy() - x) for x in (values, theirs.detach().numpy()))
    assert 1e-4 < difference / way < 0.02


@pytest.mark.torch
@pytest.mark.parametrize("name", IN_TORCH)
def test_state_has_torchs_names(torch, name):
    options = ALL_OPTIONS[name]
    values, gradient = ([[[1.0, 2.0]], [[0.1, -0.2]]] if name == "Muon" else [[1.0, 2.0], [0.1, -0.2]])
    ours, theirs = tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    optimizer = getattr(optim, name)([ours], **options)
    reference = getattr(torch.optim, name)([theirs], **options)
    ours.grad, theirs.grad = tensor(gradient), torch.tensor(gradient)
    optimizer.step()
    with unrounded(torch):
        reference.step()
    got, expected = optimizer.state_dict(), reference.state_dict()
    options_of_torch = {k: v for k, v in got["param_groups"][0].items() if k not in RULES[name].own}
    assert options_of_torch.items() <= expected["param_groups"][0].items()
    assert set(expected["state"][0]) - set(got["state"][0]) <= {"step"}  # which torch counts for every rule
    for key, value in got["state"][0].items():
        np.testing.assert_allclose(np.asarray(value), expected["state"][0][key].numpy(), rtol=1e-6)
    optimizer.load_state_dict({**got, "state": {0: {k: tensor(v.numpy()) for k, v in expected["state"][0].items()}}})
    optimizer.step()
    with unrounded(torch):
        reference.step()
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-6)


# --- naive ------------------------------------------------------------------------------------------------


def compare_with_naive(optimizer_class, name, options, seed=0, steps=50):
    rule, rng = RULES[name], np.random.default_rng(seed)
    ours = parameters(name, rng)[:-1]  # the last has too many elements for a loop
    naive, states = [param.copy() for param in arrays(ours)], [{} for _ in ours]
    optimizer = optimizer_class(ours, **options)
    for _ in range(steps):
        random_gradients(rng, ours)
        optimizer.step()
        for param, their, state in zip(ours, naive, states, strict=True):
            if param.grad is not None:
                rule.naive(their, param.grad.numpy(), state, **options)
    for our, their in zip(arrays(ours), naive, strict=True):
        np.testing.assert_allclose(our, their, rtol=rule.rtol, atol=rule.rtol * max(1, np.abs(their).max()))


@pytest.mark.parametrize("name", NAIVE)
@settings(max_examples=6, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(data=st.data())
def test_steps_of_a_naive_loop(name, data):
    rule = RULES[name]
    options = data.draw(rule.drawn) | data.draw(st.fixed_dictionaries({}, optional=rule.own))
    compare_with_naive(getattr(optim, name), name, options, data.draw(st.integers(0, 1000)))


def with_options(optimizer_class, **others):
    """The optimizer with a planted bug: its rule takes `others` for the options."""

    class Planted(optimizer_class):
        def _update(self, param, grad, state, options):
            super()._update(param, grad, state, {**options, **others})

    return Planted


class DriftingMean(optim.Muon):
    def _update(self, param, grad, state, options):
        super()._update(param, grad, state, options)
        state["momentum_buffer"]._array[...] += 1e-3 * grad


@pytest.mark.parametrize(
    "planted, name, options",
    [
        (with_options(optim.SGD, weight_decay=0), "SGD", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
        (with_options(optim.SGD, decoupled_weight_decay=False), "SGD", {
            "weight_decay": 0.1, "decoupled_weight_decay": True, "momentum": 0.9,
        }),
        (with_options(optim.Lion, maximize=True), "Lion", {}),
        (with_options(optim.Lion, weight_decay=0), "Lion", {"weight_decay": 0.1}),
        (with_options(optim.Lion, betas=(0.99, 0.9)), "Lion", {}),
        (with_options(optim.Muon, weight_decay=0), "Muon", {}),
        (with_options(optim.Muon, nesterov=False), "Muon", {}),
        (with_options(optim.Muon, ns_coefficients=(3.4445, 4.775, 2.0315)), "Muon", {}),
        (with_options(optim.Muon, adjust_lr_fn=None), "Muon", {"adjust_lr_fn": "match_rms_adamw"}),
        (DriftingMean, "Muon", {}),
    ],
)  # fmt: skip
def test_comparison_with_naive_loops_detects_planted_bug(planted, name, options):
    compare_with_naive(getattr(optim, name), name, {"lr": 0.01, **options}, steps=5)
    with pytest.raises(AssertionError, match="Not equal to tolerance"), np.errstate(all="ignore"):
        compare_with_naive(planted, name, {"lr": 0.01, **options}, steps=5)


# --- what any optimizer must keep to ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32(name):
    rng = np.random.default_rng(1)
    single = parameters(name, rng, np.float32)
    double = [tensor(array.astype(np.float64), requires_grad=True) for array in arrays(single)]
    optimizers = [getattr(optim, name)(params, lr=np.float64(0.01), **ALL_OPTIONS[name]) for params in (single, double)]
    for _ in range(5):
        random_gradients(rng, single)
        for a, b in zip(single, double, strict=True):
            b.grad = None if a.grad is None else a.grad.to(tinycnn.float64)
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(single, double, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-4, atol=1e-5)
    tensors = [x for state in optimizers[0].state.values() for x in state.values() if isinstance(x, Tensor)]
    assert len(tensors) >= len(single)
    assert {x.dtype for x in tensors} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", NAMES)
def test_a_step_changes_parameters_in_place_and_leaves_gradients_alone(name):
    rng = np.random.default_rng(2)
    params = parameters(name, rng)
    optimizer = getattr(optim, name)(params, **ALL_OPTIONS[name])
    for _ in range(3):
        random_gradients(rng, params)
        before = [(param._array, copy.deepcopy(param.grad), param.tolist()) for param in params]
        optimizer.step()
        for param, (array, grad, values) in zip(params, before, strict=True):
            assert param._array is array
            if name != "Rprop":  # which leaves an element where its gradient turned
                assert (param.tolist() == values) == (param.grad is None)
            if grad is None:
                continue
            assert param.grad.tolist() == grad.tolist()
            kept = [x._array for x in optimizer.state.get(param, {}).values() if isinstance(x, Tensor)]
            assert not any(np.shares_memory(x, param.grad._array) for x in kept)


@pytest.mark.parametrize("name", NAMES)
def test_parameter_in_another_memory_order(name):
    rng = np.random.default_rng(3)
    values, gradient = rng.standard_normal((2, 90, 70))
    plain = tensor(values, requires_grad=True)
    transposed = wrap(values.copy(order="F")).requires_grad_()
    for param in plain, transposed:
        optimizer = getattr(optim, name)([param], lr=0.1, **ALL_OPTIONS[name])
        for _ in range(3):
            param.grad = tensor(gradient)
            optimizer.step()
    assert transposed._array.flags.f_contiguous
    assert plain.tolist() == transposed.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_continues_identically(name):
    rng = np.random.default_rng(4)
    straight = parameters(name, rng)
    split = copy.deepcopy(straight)

    def make(params, lr):
        return getattr(optim, name)(
            [{"params": params[:2]}, {"params": params[2:], "lr": 0.2}], lr, **ALL_OPTIONS[name]
        )

    one, two = make(straight, 0.05), make(split, 0.05)
    for step in range(40):
        if step == 20:
            saved = copy.deepcopy(two.state_dict())
            two.step()  # what was saved must not depend on what the old optimizer does next
            split = [tensor(array, requires_grad=True) for array in arrays(straight)]
            two = make(split, 7.0)
            two.load_state_dict(saved)
        random_gradients(rng, straight)
        for a, b in zip(straight, split, strict=True):
            b.grad = a.grad
        one.step()
        two.step()
    for a, b in zip(straight, split, strict=True):
        assert a.tolist() == b.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_steps_allocate_no_large_arrays(name):
    param = tensor(np.ones((300, 400), np.float32), requires_grad=True)
    param.grad = tensor(np.ones((300, 400), np.float32))
    optimizer = getattr(optim, name)([param], **ALL_OPTIONS[name])
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < param._array.nbytes / 10


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_that_needs_the_parameter_notices(name):
    param = tensor(np.ones(RULES[name].small), requires_grad=True)
    loss = (param * param).sum()
    param.grad = tensor(np.ones(RULES[name].small))
    getattr(optim, name)([param]).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize("name", NAMES)
def test_minimises_a_quadratic(name):
    param = tensor([[3.0, -2.0]], requires_grad=True)
    target = tensor([1.0, 0.5])
    optimizer = getattr(optim, name)([param], lr=RULES[name].lr)

    def closure():
        optimizer.zero_grad()
        loss = ((param - target) ** 2).sum()
        loss.backward()
        return loss

    with tinycnn.no_grad():  # a closure records its graph all the same
        first = optimizer.step(closure).item()
        for _ in range(200):
            last = optimizer.step(closure).item()
    assert first == pytest.approx(4 + 6.25)
    assert last < 0.05


def test_centered_rmsprop_survives_a_variance_rounded_below_zero():
    param = tensor(np.linspace(1, 2, 1000, dtype=np.float32), requires_grad=True)
    optimizer = optim.RMSprop([param], lr=1e-6, alpha=0.5, centered=True)
    for _ in range(100):
        param.grad = tensor(np.linspace(0.1, 3, 1000, dtype=np.float32))
        optimizer.step()
    assert np.isfinite(param.detach().numpy()).all()


def test_rprop_leaves_out_an_infinite_gradient_that_turned():
    param = tensor([1.0, 1.0, 1.0], requires_grad=True)
    optimizer = optim.Rprop([param], lr=0.25)
    for gradient in [1.0, 1.0, 1.0], [-np.inf, np.inf, -1.0], [-1.0, 1.0, -1.0]:
        param.grad = tensor(gradient)
        optimizer.step()
    np.testing.assert_allclose(param.tolist(), [0.875, 0.09, 0.875], rtol=1e-6)  # as torch's


def test_options_of_a_group_can_be_switched_on_between_steps():
    for name, option in [
        ("SGD", "momentum"), ("SGD", "decoupled_weight_decay"), ("RMSprop", "momentum"), ("RMSprop", "centered"),
        ("Adam", "amsgrad"),
    ]:  # fmt: skip
        param = tensor([1.0], requires_grad=True)
        param.grad = tensor([1.0])
        optimizer = getattr(optim, name)([param])
        optimizer.step()
        optimizer.param_groups[0][option] = 0.9 if option == "momentum" else True
        optimizer.step()
        assert np.isfinite(param.item())


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_gpu_steps_equal_cpu_steps(name):
    cupy = importlib.import_module("cupy")
    rng = np.random.default_rng(5)
    cpu = parameters(name, rng)
    gpu = [tensor(array, device="gpu", requires_grad=True) for array in arrays(cpu)]
    optimizers = [getattr(optim, name)(params, lr=0.01, **ALL_OPTIONS[name]) for params in (cpu, gpu)]
    for _ in range(10):
        random_gradients(rng, cpu)
        for a, b in zip(cpu, gpu, strict=True):
            b.grad = None if a.grad is None else a.grad.gpu()
        norms = [optim.clip_grad_norm_(params, 1.0) for params in (cpu, gpu)]
        assert norms[0].item() == pytest.approx(norms[1].item(), rel=1e-12)
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(cpu, gpu, strict=True):
        assert isinstance(b._array, cupy.ndarray)
        np.testing.assert_allclose(a.tolist(), b.cpu().tolist(), rtol=1e-12, atol=1e-13)
