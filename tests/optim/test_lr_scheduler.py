"""Learning-rate schedules: recorded and live sequences of torch, resuming, and every error."""

import copy
import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures import record_optim
from tinycnn import optim, tensor
from tinycnn.optim import lr_scheduler

RECORDED = json.loads((record_optim.HERE / "optim_schedules.json").read_text())


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def sgd(*rates, **options):
    groups = [{"params": [tensor([1.0], requires_grad=True)], "lr": lr} for lr in rates or (0.1,)]
    return optim.SGD(groups, **options)


def lrs(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


# --- recorded ---------------------------------------------------------------------------------------------


def compare_with_recorded(case, expected):
    np.testing.assert_allclose(record_optim.schedule(tensor, optim, case), expected, rtol=1e-12, atol=1e-16)


CASES = list(zip(record_optim.SCHEDULES, RECORDED, strict=True))


@pytest.mark.parametrize("case, expected", CASES, ids=[case["scheduler"] for case, _ in CASES])
def test_recorded_sequences_of_torch(case, expected):
    compare_with_recorded(case, expected)


@pytest.mark.parametrize("case, expected", CASES, ids=[case["scheduler"] for case, _ in CASES])
def test_comparison_detects_planted_bug(case, expected, monkeypatch):
    scheduler_class = getattr(lr_scheduler, case["scheduler"])
    right = scheduler_class.step

    def one_epoch_late(self):
        if self.last_epoch != 2 or hasattr(self, "late"):
            right(self)
        else:
            self.late = True

    monkeypatch.setattr(scheduler_class, "step", one_epoch_late)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        compare_with_recorded(case, expected)


PLATEAUS = json.loads((record_optim.HERE / "optim_plateaus.json").read_text())


@pytest.mark.parametrize("options, expected", list(zip(record_optim.PLATEAUS, PLATEAUS, strict=True)), ids=str)
def test_recorded_plateaus_of_torch(options, expected):
    *rates, best = record_optim.plateau(tensor, optim, options)
    np.testing.assert_allclose(rates, expected[:-1], rtol=1e-12)
    assert best == expected[-1]


# --- live torch -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


FACTORS = st.floats(0.1, 1)
EPOCHS = st.integers(1, 30)
SIMPLE = st.one_of(
    st.tuples(st.just("StepLR"), st.fixed_dictionaries({"step_size": EPOCHS, "gamma": FACTORS})),
    st.tuples(st.just("MultiStepLR"), st.fixed_dictionaries({"milestones": st.lists(EPOCHS), "gamma": FACTORS})),
    st.tuples(st.just("ExponentialLR"), st.fixed_dictionaries({"gamma": FACTORS})),
    st.tuples(
        st.just("LinearLR"),
        st.fixed_dictionaries({"start_factor": FACTORS, "end_factor": FACTORS, "total_iters": EPOCHS}),
    ),
    st.tuples(
        st.just("CosineAnnealingLR"), st.fixed_dictionaries({"T_max": st.integers(2, 30), "eta_min": st.floats(0, 0.1)})
    ),
    st.tuples(st.just("ConstantLR"), st.fixed_dictionaries({"factor": FACTORS, "total_iters": EPOCHS})),
    st.tuples(st.just("PolynomialLR"), st.fixed_dictionaries({"total_iters": EPOCHS, "power": st.floats(0, 3)})),
    st.tuples(
        st.just("CosineAnnealingWarmRestarts"),
        st.fixed_dictionaries({"T_0": st.integers(1, 9), "T_mult": st.integers(1, 3), "eta_min": st.floats(0, 0.1)}),
    ),
    st.tuples(st.just("LambdaLR"), st.just({"lr_lambda": [lambda epoch: 1 / (1 + epoch), lambda epoch: 0.9**epoch]})),
)
MULTIPLICATIVE = st.tuples(
    st.just("MultiplicativeLR"), st.just({"lr_lambda": [lambda epoch: 0.9, lambda epoch: 1 / (1 + epoch)]})
)
TRIANGLES = st.fixed_dictionaries(
    {"base_lr": st.floats(0.001, 0.1), "max_lr": st.lists(st.floats(0.1, 1), min_size=2, max_size=2)},
    optional={
        "step_size_up": EPOCHS,
        "step_size_down": EPOCHS,
        "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]),
        "gamma": st.floats(0.8, 1),
        "scale_fn": st.just(lambda x: 1 / (1 + x)),
        "scale_mode": st.sampled_from(["cycle", "iterations"]),
        "cycle_momentum": st.booleans(),
        "base_momentum": st.floats(0.5, 0.8),
        "max_momentum": st.lists(st.floats(0.8, 0.99), min_size=2, max_size=2),
    },
)
SEQUENCES = st.lists(SIMPLE, min_size=2, max_size=4).flatmap(
    lambda parts: st.tuples(
        st.just(parts),
        st.lists(st.integers(1, 35), min_size=len(parts) - 1, max_size=len(parts) - 1, unique=True).map(sorted),
    )
)
CYCLES = st.fixed_dictionaries(
    {"max_lr": st.lists(st.floats(0.01, 1), min_size=2, max_size=2), "total_steps": st.integers(40, 60)},
    optional={
        "pct_start": st.floats(0.05, 0.5),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "cycle_momentum": st.booleans(),
        "base_momentum": st.floats(0.5, 0.8),
        "max_momentum": st.lists(st.floats(0.8, 0.99), min_size=2, max_size=2),
        "div_factor": st.floats(2, 50),
        "final_div_factor": st.floats(1, 1e5),
        "three_phase": st.booleans(),
    },
)


def compare_live(torch, make, epochs=40, optimizer="SGD"):
    """Steps our scheduler and torch's side by side, on two groups."""
    ours, theirs = (
        getattr(module, optimizer)([{"params": [a]}, {"params": [b], "lr": 0.4}], lr=0.2)
        for module, a, b in (
            (optim, tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)),
            (torch.optim, torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)),
        )
    )
    scheduler, reference = make(optim.lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    for _ in range(epochs):
        assert scheduler.last_epoch == reference.last_epoch
        np.testing.assert_allclose(lrs(ours), lrs(theirs), rtol=1e-11, atol=1e-15)
        assert scheduler.get_last_lr() == lrs(ours)
        for our, their in zip(ours.param_groups, theirs.param_groups, strict=True):
            for key in {"initial_lr", "max_lr", "min_lr", "momentum", "betas"} & set(their):
                np.testing.assert_allclose(our[key], their[key], rtol=1e-12, atol=1e-16)
        theirs.step()
        scheduler.step()
        reference.step()


@pytest.mark.torch
@settings(max_examples=15)
@given(schedule=SIMPLE | MULTIPLICATIVE)
def test_live_sequences(torch, schedule):
    name, options = schedule
    compare_live(torch, lambda module, optimizer: getattr(module, name)(optimizer, **options))


@pytest.mark.torch
@settings(max_examples=15)
@given(sequence=SEQUENCES)
def test_live_sequential(torch, sequence):
    parts, milestones = sequence

    def make(module, optimizer):
        schedulers = [getattr(module, name)(optimizer, **options) for name, options in parts]
        return module.SequentialLR(optimizer, schedulers, milestones)

    compare_live(torch, make)


@pytest.mark.torch
@settings(max_examples=15)
@given(options=TRIANGLES, optimizer=st.sampled_from(["SGD", "Adam"]))
def test_live_triangles(torch, options, optimizer):
    compare_live(torch, lambda module, optimizer: module.CyclicLR(optimizer, **options), optimizer=optimizer)


@pytest.mark.torch
@settings(max_examples=25)
@given(
    parts=st.lists(SIMPLE | MULTIPLICATIVE, min_size=2, max_size=3),
    chained=st.booleans(),
    changes=st.dictionaries(st.integers(0, 20), st.floats(0.01, 0.5), max_size=3),
)
def test_live_schedules_side_by_side_and_changes_from_elsewhere(torch, parts, chained, changes):
    """Several schedulers of one optimizer, stepped in turn or by ChainedScheduler, and a lr that is set by hand."""
    found = []
    for module in (optim, torch.optim):
        make = tensor if module is optim else torch.tensor
        optimizer = module.SGD([{"params": [make([1.0], requires_grad=True)], "lr": lr} for lr in (0.2, 0.4)])
        schedulers = [getattr(module.lr_scheduler, name)(optimizer, **options) for name, options in parts]
        schedulers = [module.lr_scheduler.ChainedScheduler(schedulers)] if chained else schedulers
        rates = []
        for epoch in range(25):
            optimizer.step()
            if epoch in changes:
                optimizer.param_groups[1]["lr"] = changes[epoch]
            for scheduler in schedulers:
                scheduler.step()
            rates.append([lrs(optimizer), schedulers[-1].get_last_lr()])
        found.append(rates)
    np.testing.assert_allclose(*found, rtol=1e-11, atol=1e-15)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=25)
@given(schedule=SIMPLE, epochs=st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_live_steps_to_an_epoch(torch, schedule, epochs):
    name, options = schedule
    found = []
    for module in (optim, torch.optim):
        make = tensor if module is optim else torch.tensor
        optimizer = module.SGD([{"params": [make([1.0], requires_grad=True)], "lr": lr} for lr in (0.2, 0.4)])
        scheduler = getattr(module.lr_scheduler, name)(optimizer, **options)
        rates = []
        for epoch in epochs:
            optimizer.step()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scheduler.step(epoch)
            rates.append(lrs(optimizer))
            scheduler.step()
            rates.append(lrs(optimizer))
        found.append(rates)
    np.testing.assert_allclose(*found, rtol=1e-11, atol=1e-15)


@pytest.mark.torch
@pytest.mark.parametrize("epoch", range(5))
def test_live_resuming_with_last_epoch(torch, epoch):
    """Of a lr that is not the schedule's, so that it tells who computes it from the current one."""
    for name, options in RESUMED.items():
        found = []
        for module in (optim, torch.optim):
            make = tensor if module is optim else torch.tensor
            optimizer = module.SGD([{"params": [make([1.0], requires_grad=True)], "lr": 0.5, "initial_lr": 0.3}])
            if name in ("OneCycleLR", "CyclicLR"):
                getattr(module.lr_scheduler, name)(optimizer, **options)
            scheduler = getattr(module.lr_scheduler, name)(optimizer, **options, last_epoch=epoch)
            found.append([scheduler.last_epoch, *lrs(optimizer), *scheduler.get_last_lr()])
        np.testing.assert_allclose(*found, rtol=1e-12, err_msg=name)


@pytest.mark.torch
@settings(max_examples=15)
@given(options=CYCLES, optimizer=st.sampled_from(["SGD", "Adam", "RMSprop"]))
def test_live_one_cycle(torch, options, optimizer):
    def make(module, optimizer):
        return module.OneCycleLR(optimizer, **options)

    compare_live(torch, make, options["total_steps"], optimizer)


@pytest.mark.torch
@settings(max_examples=15)
@given(
    seed=st.integers(0, 100),
    options=st.fixed_dictionaries(
        {"mode": st.sampled_from(["min", "max"]), "patience": st.integers(0, 4)},
        optional={
            "factor": st.floats(0.1, 0.9),
            "threshold": st.floats(0, 0.3),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0.01, [0.1, 0.02]]),
            "eps": st.sampled_from([1e-8, 0.05]),
        },
    ),
)
def test_live_plateau(torch, seed, options):
    rng = np.random.default_rng(seed)
    ours = sgd(0.2, 0.4)
    theirs = torch.optim.SGD([{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in (0.2, 0.4)])
    scheduler = lr_scheduler.ReduceLROnPlateau(ours, **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for epoch in range(40):
        metric = rng.normal(math.cos(epoch / 6), 0.2) if epoch != 5 else math.nan
        scheduler.step(tensor(metric, dtype=np.float64))
        reference.step(metric)
        np.testing.assert_allclose(lrs(ours), lrs(theirs), rtol=1e-12)
        assert scheduler.get_last_lr() == lrs(ours)
        assert scheduler.best == reference.best


# --- resuming ---------------------------------------------------------------------------------------------


class Halving:
    """A callable object: its attributes are saved."""

    def __init__(self):
        self.calls = 0

    def __call__(self, epoch):
        self.calls += 1
        return 0.5**epoch


SCHEDULERS = {
    "StepLR": lambda optimizer: lr_scheduler.StepLR(optimizer, 3),
    "MultiStepLR": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [9, 4]),
    "LinearLR": lambda optimizer: lr_scheduler.LinearLR(optimizer, total_iters=9),
    "LambdaLR": lambda optimizer: lr_scheduler.LambdaLR(optimizer, [lambda epoch: 1 / (1 + epoch), Halving()]),
    "OneCycleLR": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, [0.5, 0.6], 12),
    "SequentialLR": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.LinearLR(optimizer), lr_scheduler.CosineAnnealingLR(optimizer, 10)], [4]
    ),
    "ChainedScheduler": lambda optimizer: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    ),
    "MultiplicativeLR": lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.9**epoch),
    "PolynomialLR": lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 9, 2.0),
    "CosineAnnealingWarmRestarts": lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, 2),
    "CyclicLR": lambda optimizer: lr_scheduler.CyclicLR(optimizer, 0.1, 0.5, 2, 3, "triangular2"),
    "ReduceLROnPlateau": lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=1),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_saved_and_loaded_it_continues_identically(name):
    arguments = (1.0,) if name == "ReduceLROnPlateau" else ()
    straight, split = sgd(0.2, 0.4), sgd(0.2, 0.4)
    one, two = SCHEDULERS[name](straight), SCHEDULERS[name](split)
    for epoch in range(12):
        if epoch == 6:
            saved = copy.deepcopy((split.state_dict(), two.state_dict()))
            split = sgd(7.0, 8.0)
            two = SCHEDULERS[name](split)
            split.load_state_dict(saved[0])
            two.load_state_dict(saved[1])
        assert lrs(one.optimizer) == lrs(two.optimizer)
        assert getattr(one, "last_epoch", None) == getattr(two, "last_epoch", None)  # a chain has none
        assert one.get_last_lr() == two.get_last_lr()
        one.step(*arguments)
        two.step(*arguments)
    if name == "LambdaLR":
        assert two.lr_lambdas[1].calls == 13


def test_resuming_with_last_epoch():
    optimizer = sgd(0.8)
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(5):
        scheduler.step()
    resumed = lr_scheduler.StepLR(optimizer, 2, 0.5, last_epoch=4)
    assert resumed.last_epoch == 5
    assert lrs(optimizer) == [0.2]
    with pytest.raises(ValueError, match=r"StepLR: expected 'initial_lr' in param_groups\[0\] to resume after last_"):
        lr_scheduler.StepLR(sgd(), 2, last_epoch=4)


def test_one_cycle_resumes_with_last_epoch():
    optimizer = sgd()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, 10)
    for _ in range(4):
        scheduler.step()
    before = lrs(optimizer)
    assert lr_scheduler.OneCycleLR(optimizer, 1.0, 10, last_epoch=3).last_epoch == 4
    assert lrs(optimizer) == before


def test_state_of_another_scheduler_is_refused():
    scheduler = lr_scheduler.StepLR(sgd(0.1), 2)
    with pytest.raises(ValueError, match=r"StepLR.load_state_dict: expected the keys \['_last_lr', .* got \["):
        scheduler.load_state_dict(lr_scheduler.ExponentialLR(sgd(0.1), 0.5).state_dict())
    with pytest.raises(ValueError, match="StepLR.load_state_dict: expected the keys .* got int"):
        scheduler.load_state_dict(3)
    with pytest.raises(ValueError, match="StepLR.load_state_dict: expected lr of 1 groups, got 2"):
        scheduler.load_state_dict(lr_scheduler.StepLR(sgd(0.1, 0.2), 5).state_dict())
    assert scheduler.step_size == 2


@pytest.mark.parametrize("name, entry, value, message", [
    ("StepLR", "last_epoch", "3", "expected last_epoch as number, got str"),
    ("StepLR", "gamma", None, "expected gamma as number, got NoneType"),
    ("StepLR", "_last_lr", 0.1, "expected _last_lr as list of number, got number"),
    ("StepLR", "base_lrs", [0.1], "expected base_lrs of 2 groups, got 1"),
    ("StepLR", "base_lrs", [0.1, "a"], "expected base_lrs as list of number, got list of number and str"),
    ("MultiStepLR", "milestones", 5, "expected milestones as list of number, got number"),
    ("LambdaLR", "lr_lambdas", [{}], "expected lr_lambdas of 2 groups, got 1"),
    ("LambdaLR", "lr_lambdas", [{}, 3], "expected lr_lambdas as list of dict, got list of dict and number"),
    ("OneCycleLR", "cycle_momentum", 1, "expected cycle_momentum as bool, got number"),
    ("ReduceLROnPlateau", "min_lrs", [], "expected min_lrs of 2 groups, got 0"),
    ("SequentialLR", "_schedulers", 3, "expected _schedulers as list of dict, got number"),
])  # fmt: skip
def test_values_of_another_kind_are_refused_and_nothing_is_loaded(name, entry, value, message):
    scheduler = SCHEDULERS[name](sgd(0.2, 0.4))
    before = copy.deepcopy(scheduler.state_dict())
    other = SCHEDULERS[name](sgd(0.2, 0.4))
    other.step(*((1.0,) if name == "ReduceLROnPlateau" else ()))
    with pytest.raises(ValueError, match=rf"^{name}\.load_state_dict: {message}$"):
        scheduler.load_state_dict({**copy.deepcopy(other.state_dict()), entry: value})
    assert scheduler.state_dict() == before


def test_milestones_may_be_more_or_none():
    for milestones in ([], [2, 5]):
        scheduler = lr_scheduler.MultiStepLR(sgd(0.1), [3])
        scheduler.load_state_dict(lr_scheduler.MultiStepLR(sgd(0.1), milestones).state_dict())
        assert scheduler.milestones == milestones


def test_sequential_loads_all_parts_or_none():
    def sequence(*parts):
        optimizer = sgd()
        schedulers = [part(optimizer) for part in parts]
        return lr_scheduler.SequentialLR(optimizer, schedulers, [*range(1, len(parts))])

    def step(optimizer):
        return lr_scheduler.StepLR(optimizer, 2)

    def other_step(optimizer):
        return lr_scheduler.StepLR(optimizer, 5)

    def linear(optimizer):
        return lr_scheduler.LinearLR(optimizer)

    scheduler = sequence(step, step)
    with pytest.raises(ValueError, match="StepLR.load_state_dict: expected the keys"):
        scheduler.load_state_dict(sequence(other_step, linear).state_dict())
    with pytest.raises(ValueError, match="SequentialLR.load_state_dict: expected 2 schedulers, got 3"):
        scheduler.load_state_dict(sequence(step, step, step).state_dict())
    assert scheduler._schedulers[0].step_size == 2


# --- behaviour --------------------------------------------------------------------------------------------


def test_sequences_nest():
    def parts(optimizer):
        return [
            lr_scheduler.StepLR(optimizer, 2),
            lr_scheduler.ExponentialLR(optimizer, 0.5),
            lr_scheduler.LinearLR(optimizer),
        ]

    flat, nested = sgd(), sgd()
    one = lr_scheduler.SequentialLR(flat, parts(flat), [4, 7])
    a, b, c = parts(nested)
    two = lr_scheduler.SequentialLR(nested, [a, lr_scheduler.SequentialLR(nested, [b, c], [3])], [4])
    for _ in range(12):
        assert lrs(flat) == lrs(nested)
        assert two.get_last_lr() == lrs(nested)
        one.step()
        two.step()


def test_a_change_of_lr_from_elsewhere_stays():
    optimizer = sgd(0.8)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.param_groups[0]["lr"] = 0.3
    scheduler.step()
    assert lrs(optimizer) == [0.15]
    with pytest.warns(UserWarning, match=r"ExponentialLR.step: epoch is deprecated: call step\(\) once an epoch"):
        scheduler.step(2)
    assert lrs(optimizer) == [0.2]


def test_states_of_torch_are_loaded():
    """With entries that only torch's have."""
    scheduler = lr_scheduler.StepLR(sgd(0.1), 2)
    state = {**lr_scheduler.StepLR(sgd(0.3), 5).state_dict(), "_is_initial": False, "verbose": False}
    scheduler.load_state_dict({**state, "_get_lr_called_within_step": False})
    assert scheduler.step_size == 5
    assert "verbose" not in vars(scheduler)


EXCHANGED = {
    "MultiStepLR": {"milestones": [2, 4, 4, 5]}, "OneCycleLR": {"max_lr": 0.5, "total_steps": 10},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3}, "LambdaLR": {"lr_lambda": lambda epoch: 0.5**epoch},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.9}, "StepLR": {"step_size": 2}, "CosineAnnealingLR": {"T_max": 5},
    "LinearLR": {}, "ExponentialLR": {"gamma": 0.9}, "PolynomialLR": {}, "ConstantLR": {}, "ReduceLROnPlateau": {},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
}  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("name", EXCHANGED)
@pytest.mark.parametrize("to_torch", [False, True], ids=["from torch", "to torch"])
def test_states_are_exchanged_with_live_torch(torch, name, to_torch):
    def made(lib, make):
        optimizer = lib.SGD([make([1.0], requires_grad=True)], lr=0.1, momentum=0.9)
        return optimizer, getattr(lib.lr_scheduler, name)(optimizer, **EXCHANGED[name])

    arguments = (1.0,) if name == "ReduceLROnPlateau" else ()
    (optimizer, scheduler), (other, loaded) = made(optim, tensor), made(torch.optim, torch.tensor)
    if not to_torch:
        (optimizer, scheduler), (other, loaded) = (other, loaded), (optimizer, scheduler)
    for each in (optimizer, other):  # before their schedules, as torch wants it
        each.step()
    for _ in range(3):
        scheduler.step(*arguments)
    loaded.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    options = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    other.param_groups[0].update(options)
    for _ in range(5):
        np.testing.assert_allclose(lrs(other), lrs(optimizer), rtol=1e-12)
        scheduler.step(*arguments)
        loaded.step(*arguments)


def test_a_scheduler_of_ones_own_gives_get_lr():
    class Alternating(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [lr * (1 + self.last_epoch % 2) for lr in self.base_lrs]

    optimizer = sgd(0.1)
    scheduler = Alternating(optimizer)
    scheduler.step()
    assert lrs(optimizer) == [0.2]
    with pytest.raises(NotImplementedError, match="LRScheduler: a scheduler defines get_lr"):
        lr_scheduler.LRScheduler(sgd())


def test_one_cycle_at_the_edges_of_its_options():
    for options in {"pct_start": 0}, {"pct_start": 1}, {"pct_start": 0.1}, {"three_phase": True, "pct_start": 1}:
        optimizer = sgd()
        scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, 10, **options)
        rates = [lrs(optimizer)[0]]
        for _ in range(9):
            scheduler.step()
            rates += lrs(optimizer)
        assert 0.97 < max(rates) < 1.001
    optimizer = sgd()
    lr_scheduler.OneCycleLR(optimizer, 1.0, 1)
    assert lrs(optimizer)[0] > 0


# --- errors -----------------------------------------------------------------------------------------------


def test_one_cycle_stepped_too_often():
    scheduler = lr_scheduler.OneCycleLR(sgd(), 1.0, 4)
    for _ in range(4):
        scheduler.step()
    with pytest.raises(ValueError, match="OneCycleLR: expected at most total_steps=4 calls of step.., got one more"):
        scheduler.step()


CYCLE = {"max_lr": 1, "total_steps": 5}
TRIANGLE = {"base_lr": 0.1, "max_lr": 1}
BAD = [
    ("StepLR", {"step_size": 0}, ValueError, "step_size of at least 1, got 0"),
    ("StepLR", {"step_size": 2.5}, TypeError, "step_size as an int, got 2.5 (float)"),
    ("StepLR", {"step_size": 2, "gamma": "x"}, TypeError, "gamma as a number, got 'x' (str)"),
    ("StepLR", {"step_size": 2, "gamma": -1}, ValueError, "gamma of at least 0, got -1"),
    ("StepLR", {"step_size": 2, "last_epoch": -2}, ValueError, "last_epoch of at least -1, got -2"),
    ("MultiStepLR", {"milestones": 3}, TypeError, "milestones as a list of ints, got 3"),
    ("MultiStepLR", {"milestones": [1, -3]}, ValueError, "milestones[1] of at least 0, got -3"),
    ("MultiStepLR", {"milestones": [1.5]}, TypeError, "milestones[0] as an int, got 1.5 (float)"),
    ("MultiStepLR", {"milestones": [], "gamma": -1}, ValueError, "gamma of at least 0, got -1"),
    ("ExponentialLR", {"gamma": -1}, ValueError, "gamma of at least 0, got -1"),
    ("LinearLR", {"start_factor": 0}, ValueError, "start_factor above 0 and of at most 1, got 0"),
    ("LinearLR", {"end_factor": 2}, ValueError, "end_factor of at least 0 and of at most 1, got 2"),
    ("LinearLR", {"total_iters": 0}, ValueError, "total_iters of at least 1, got 0"),
    ("ConstantLR", {"factor": 0}, ValueError, "factor above 0 and of at most 1, got 0"),
    ("ConstantLR", {"total_iters": -1}, ValueError, "total_iters of at least 0, got -1"),
    ("PolynomialLR", {"total_iters": 0}, ValueError, "total_iters of at least 1, got 0"),
    ("PolynomialLR", {"power": -1}, ValueError, "power of at least 0, got -1"),
    ("MultiplicativeLR", {"lr_lambda": 3}, TypeError, "lr_lambda as a function, got 3"),
    ("CosineAnnealingWarmRestarts", {"T_0": 0}, ValueError, "T_0 of at least 1, got 0"),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 0}, ValueError, "T_mult of at least 1, got 0"),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "eta_min": -1}, ValueError, "eta_min of at least 0, got -1"),
    ("CyclicLR", {"base_lr": -1, "max_lr": 1}, ValueError, "base_lr of at least 0, got -1"),
    ("CyclicLR", {"base_lr": 1, "max_lr": [1]}, ValueError, "2 max_lr, one a group, got 1"),
    ("CyclicLR", {**TRIANGLE, "step_size_up": 0}, ValueError, "step_size_up of at least 1, got 0"),
    ("CyclicLR", {**TRIANGLE, "step_size_down": 0}, ValueError, "step_size_down of at least 1, got 0"),
    (
        "CyclicLR",
        {**TRIANGLE, "mode": "up"},
        ValueError,
        "mode as 'triangular', 'triangular2' or 'exp_range', got 'up'",
    ),
    ("CyclicLR", {**TRIANGLE, "gamma": "x"}, TypeError, "gamma as a number, got 'x' (str)"),
    ("CyclicLR", {**TRIANGLE, "scale_fn": 3}, TypeError, "scale_fn as a function, got 3"),
    ("CyclicLR", {**TRIANGLE, "scale_mode": "x"}, ValueError, "scale_mode as 'cycle' or 'iterations', got 'x'"),
    ("CyclicLR", {**TRIANGLE, "cycle_momentum": 1}, TypeError, "cycle_momentum as True or False, got 1 (int)"),
    ("CyclicLR", {**TRIANGLE, "base_momentum": -1}, ValueError, "base_momentum of at least 0, got -1"),
    ("CyclicLR", {**TRIANGLE, "max_momentum": -1}, ValueError, "max_momentum of at least 0, got -1"),
    ("CosineAnnealingLR", {"T_max": 0}, ValueError, "T_max of at least 1, got 0"),
    ("CosineAnnealingLR", {"T_max": 2, "eta_min": -1}, ValueError, "eta_min of at least 0, got -1"),
    ("LambdaLR", {"lr_lambda": 3}, TypeError, "lr_lambda as a function, got 3"),
    ("LambdaLR", {"lr_lambda": [abs]}, ValueError, "2 lr_lambda, one a group, got 1"),
    ("OneCycleLR", {"max_lr": 1}, ValueError, "total_steps, or both epochs and steps_per_epoch"),
    ("OneCycleLR", {"max_lr": 1, "epochs": 3}, ValueError, "total_steps, or both epochs and steps_per_epoch"),
    ("OneCycleLR", {"max_lr": 1, "epochs": 0, "steps_per_epoch": 1}, ValueError, "epochs of at least 1, got 0"),
    (
        "OneCycleLR",
        {"max_lr": 1, "epochs": 1, "steps_per_epoch": 0},
        ValueError,
        "steps_per_epoch of at least 1, got 0",
    ),
    ("OneCycleLR", {"max_lr": 1, "total_steps": 0}, ValueError, "total_steps of at least 1, got 0"),
    ("OneCycleLR", {"max_lr": [1], "total_steps": 5}, ValueError, "2 max_lr, one a group, got 1"),
    ("OneCycleLR", {"max_lr": -1, "total_steps": 5}, ValueError, "max_lr of at least 0, got -1"),
    ("OneCycleLR", {**CYCLE, "pct_start": 2}, ValueError, "pct_start of at least 0 and of at most 1, got 2"),
    ("OneCycleLR", {**CYCLE, "anneal_strategy": "sin"}, ValueError, "anneal_strategy as 'cos' or 'linear', got 'sin'"),
    ("OneCycleLR", {**CYCLE, "cycle_momentum": 1}, TypeError, "cycle_momentum as True or False, got 1 (int)"),
    ("OneCycleLR", {**CYCLE, "base_momentum": -1}, ValueError, "base_momentum of at least 0, got -1"),
    ("OneCycleLR", {**CYCLE, "max_momentum": "x"}, TypeError, "max_momentum as a number, got 'x' (str)"),
    ("OneCycleLR", {**CYCLE, "div_factor": 0}, ValueError, "div_factor above 0, got 0"),
    ("OneCycleLR", {**CYCLE, "final_div_factor": 0}, ValueError, "final_div_factor above 0, got 0"),
    ("OneCycleLR", {**CYCLE, "three_phase": 1}, TypeError, "three_phase as True or False, got 1 (int)"),
    ("ReduceLROnPlateau", {"mode": "up"}, ValueError, "mode as 'min' or 'max', got 'up'"),
    ("ReduceLROnPlateau", {"factor": 1}, ValueError, "factor of at least 0 and below 1, got 1"),
    ("ReduceLROnPlateau", {"patience": -1}, ValueError, "patience of at least 0, got -1"),
    ("ReduceLROnPlateau", {"threshold": -1}, ValueError, "threshold of at least 0, got -1"),
    ("ReduceLROnPlateau", {"threshold_mode": ""}, ValueError, "threshold_mode as 'rel' or 'abs', got ''"),
    ("ReduceLROnPlateau", {"cooldown": -1}, ValueError, "cooldown of at least 0, got -1"),
    ("ReduceLROnPlateau", {"min_lr": [0.1]}, ValueError, "2 min_lr, one a group, got 1"),
    ("ReduceLROnPlateau", {"min_lr": -1}, ValueError, "min_lr of at least 0, got -1"),
    ("ReduceLROnPlateau", {"eps": -1}, ValueError, "eps of at least 0, got -1"),
    ("SequentialLR", {"schedulers": [], "milestones": []}, ValueError, "a list of at least one scheduler, got []"),
    ("SequentialLR", {"schedulers": [3], "milestones": []}, TypeError, "schedulers[0] as a schedule, got int"),
]


@pytest.mark.parametrize("name, options, error, message", BAD)
def test_bad_arguments(name, options, error, message):
    optimizer = sgd(0.1, 0.2)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error) as caught:
        getattr(lr_scheduler, name)(optimizer, **options)
    assert str(caught.value) == f"{name}: expected {message}"
    assert optimizer.state_dict() == before


# The other side of each limit: the learning rates of the first two epochs, of a group that begins with 0.5.
ACCEPTED = [
    ("StepLR", {"step_size": 1, "gamma": 0}, [0.5, 0.0]),
    ("StepLR", {"step_size": 1}, [0.5, 0.05]),
    ("MultiStepLR", {"milestones": [0], "gamma": 0.5}, [0.25, 0.25]),
    ("MultiStepLR", {"milestones": [1, 1]}, [0.5, 0.005]),
    ("MultiStepLR", {"milestones": ()}, [0.5, 0.5]),
    ("ExponentialLR", {"gamma": 0}, [0.5, 0.0]),
    ("LinearLR", {"start_factor": 1, "end_factor": 0, "total_iters": 1}, [0.5, 0.0]),
    ("LinearLR", {"start_factor": 0.5, "end_factor": 1, "total_iters": 2}, [0.25, 0.375]),
    ("CosineAnnealingLR", {"T_max": 1, "eta_min": 0}, [0.5, 0.0]),
    ("CosineAnnealingLR", {"T_max": 1, "eta_min": 0.25}, [0.5, 0.25]),
    ("LambdaLR", {"lr_lambda": lambda epoch: 3.0 + epoch}, [1.5, 2.0]),
    ("OneCycleLR", {"max_lr": 0, "total_steps": 2}, [0.0, 0.0]),
    ("OneCycleLR", {"max_lr": 1, "epochs": 1, "steps_per_epoch": 2, "pct_start": 0.5, "div_factor": 4,
                    "final_div_factor": 5, "base_momentum": 0, "anneal_strategy": "linear"}, [1.0, 0.05]),
]  # fmt: skip


@pytest.mark.parametrize("name, options, expected", ACCEPTED)
def test_limits_of_arguments(name, options, expected):
    optimizer = sgd(0.5)
    scheduler = getattr(lr_scheduler, name)(optimizer, **options)
    rates = lrs(optimizer)
    scheduler.step()
    np.testing.assert_allclose(rates + lrs(optimizer), expected, atol=1e-12)


def test_a_plateau_at_the_limits_of_its_arguments():
    limits = {"factor": 0, "patience": 0, "threshold": 0, "cooldown": 0, "min_lr": 0, "eps": 0}
    optimizer = sgd(0.5)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **limits)
    for metric, lr in [(1.0, 0.5), (0.999, 0.5), (0.999, 0.0)]:
        scheduler.step(metric)
        assert lrs(optimizer) == [lr]


RESUMED = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 4]},
    "ExponentialLR": {"gamma": 0.5},
    "LinearLR": {"total_iters": 6},
    "CosineAnnealingLR": {"T_max": 9},
    "LambdaLR": {"lr_lambda": lambda epoch: 1 / (2 + epoch)},
    "OneCycleLR": {"max_lr": 1.0, "total_steps": 9},
    "ConstantLR": {"total_iters": 3},
    "PolynomialLR": {"total_iters": 4},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 1 / (2 + epoch)},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3},
}


@pytest.mark.parametrize("name", sorted({*SCHEDULERS, "ExponentialLR"} - {"ChainedScheduler"}))
def test_not_an_optimizer(name):
    arguments = {
        "StepLR": (1,),
        "MultiStepLR": ([],),
        "ExponentialLR": (0.5,),
        "LambdaLR": (abs,),
        "OneCycleLR": (1, 1),
        "SequentialLR": ([], []),
        "MultiplicativeLR": (abs,),
        "CosineAnnealingWarmRestarts": (1,),
        "CyclicLR": (0.1, 1.0),
    }
    with pytest.raises(TypeError, match=f"{name}: expected an Optimizer, got str"):
        getattr(lr_scheduler, name)("SGD", *arguments.get(name, ()))


def test_sequential_needs_schedulers_of_the_optimizer_and_milestones_between_them():
    optimizer = sgd()
    step, plateau = lr_scheduler.StepLR(optimizer, 2), lr_scheduler.ReduceLROnPlateau(optimizer)
    sequential = lr_scheduler.SequentialLR
    with pytest.raises(TypeError, match=r"expected schedulers\[1\] as a schedule, got ReduceLROnPlateau"):
        sequential(optimizer, [step, plateau], [3])
    with pytest.raises(ValueError, match=r"expected schedulers of this optimizer, schedulers\[0\] has another"):
        sequential(sgd(), [step], [])
    with pytest.raises(ValueError, match="expected 1 milestones between 2 schedulers, got 0"):
        sequential(optimizer, [step, step], [])
    with pytest.raises(ValueError, match=r"expected milestones in ascending order, got \[5, 3\]"):
        sequential(optimizer, [step, step, step], [5, 3])


def test_one_cycle_needs_a_momentum_to_cycle():
    optimizer = optim.Adagrad([tensor([1.0], requires_grad=True)])
    message = "OneCycleLR: expected an optimizer with momentum or betas for cycle_momentum=True, got Adagrad: pass"
    with pytest.raises(ValueError, match=message):
        lr_scheduler.OneCycleLR(optimizer, 1.0, 5)
    lr_scheduler.OneCycleLR(optimizer, 1.0, 5, cycle_momentum=False).step()
    assert "momentum" not in optimizer.param_groups[0]
