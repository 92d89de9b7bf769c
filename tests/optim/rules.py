"""The table of optimizers: a row holds what the tests need to know of one.

`test_updates.py` takes its steps, alone and beside torch's; `test_optimizer.py` gives it bad options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.optim import naive


@dataclass(frozen=True)
class Rule:
    """One optimizer of `tinycnn.optim`.

    Args:
        every_branch: options that take every branch of the update.
        drawn: samples of options, to compare 50 steps with those of torch's optimizer of the same name, or of `naive`.
        bad_options: options that must be refused, the error, and its message after "Name: expected "; each option of
            the optimizer once or more.
        lr: a learning rate with which 200 steps minimise a quadratic. Default 0.3.
        rtol: how far steps may be from torch's, which keeps some numbers in float32. Default 1e-11.
        naive: one step in plain NumPy, for what torch lacks; see `naive.py`. Default None.
        in_torch: whether torch has it. Default True.
        own: samples of the options that torch's lacks, by name. Default none.
        least_axes: how many axes its parameters have at least. Default 0.
    """

    every_branch: dict[str, Any]
    drawn: SearchStrategy[dict[str, Any]]
    bad_options: list[tuple[dict[str, Any], type[Exception], str]]
    lr: float = 0.3
    rtol: float = 1e-11
    naive: Callable[..., None] | None = None
    in_torch: bool = True
    own: dict[str, SearchStrategy] = field(default_factory=dict)
    least_axes: int = 0

    def takes(self, shape: tuple[int, ...]) -> bool:
        return len(shape) >= self.least_axes

    @property
    def small(self) -> tuple[int, ...]:
        """The shape of a small parameter."""
        return (1,) * max(1, self.least_axes)


def numbers(low: float, high: float) -> SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


# A divisor that forgets at once makes the steps so sensitive to rounding that torch would not equal itself: beta2 and
# alpha are at least 0.5.
RATES, DECAYS = numbers(1e-4, 0.5), st.just(0.0) | numbers(0, 0.5)

BETAS = st.tuples(numbers(0, 0.99), numbers(0.5, 0.999))
OPTIONAL_OF_ADAMW = {
    "eps": numbers(1e-10, 1e-2), "weight_decay": DECAYS, "amsgrad": st.booleans(), "maximize": st.booleans(),
}  # fmt: skip
OPTIONAL_OF_ADAM = {**OPTIONAL_OF_ADAMW, "decoupled_weight_decay": st.booleans()}
BAD_ADAM_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lr": -1}, ValueError, "lr of at least 0, got -1"),
    ({"betas": 0.9}, TypeError, "betas as two numbers, got 0.9"),
    ({"betas": (0.9,)}, TypeError, "betas as two numbers, got (0.9,)"),
    ({"betas": (0.9, 1.0)}, ValueError, "betas[1] of at least 0 and below 1, got 1"),
    ({"betas": (-0.1, 0.9)}, ValueError, "betas[0] of at least 0 and below 1, got -0.1"),
    ({"betas": ("a", 0.9)}, TypeError, "betas[0] as a number, got 'a' (str)"),
    ({"eps": -1e-8}, ValueError, "eps of at least 0, got -1e-08"),
    ({"weight_decay": -1}, ValueError, "weight_decay of at least 0, got -1"),
    ({"amsgrad": None}, TypeError, "amsgrad as True or False, got None (NoneType)"),
    ({"maximize": 0}, TypeError, "maximize as True or False, got 0 (int)"),
]
BAD_BETAS = BAD_ADAM_OPTIONS[1:6]


def ways(*names: str) -> list[tuple[dict[str, Any], type[Exception], str]]:
    """Bad values of torch's ways to compute a step."""
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({name: 1}, TypeError, f"{name} as True or False, got 1 (int)") for name in names
    ]
    message = "differentiable as False, got True: steps are outside of any graph"
    return [*bad, ({"differentiable": True}, ValueError, message)]


def bad(**values: float) -> list[tuple[dict[str, Any], type[Exception], str]]:
    """Numbers that are to be at least 0."""
    return [({name: value}, ValueError, f"{name} of at least 0, got {value}") for name, value in values.items()]


DECOUPLED = ({"decoupled_weight_decay": 1}, TypeError, "decoupled_weight_decay as True or False, got 1 (int)")
MAXIMIZE = [({"maximize": 1}, TypeError, "maximize as True or False, got 1 (int)")]
NESTEROV = "momentum above 0 and dampening of 0 with nesterov=True, got"

ALL_WAYS = ways("foreach", "fused", "capturable", "differentiable")
WAYS = ways("foreach", "capturable", "differentiable")
RULES = {
    "SGD": Rule(
        every_branch={"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        drawn=st.fixed_dictionaries(
            {
                "lr": RATES,
                "momentum": st.just(0) | numbers(0.1, 0.99),
                "dampening": st.just(0) | numbers(0, 0.9),
                "nesterov": st.booleans(),
            },
            optional={"weight_decay": DECAYS, "maximize": st.booleans()},
        ).filter(lambda options: not options["nesterov"] or (options["momentum"] and not options["dampening"])),
        bad_options=[
            ({"lr": -0.1}, ValueError, "lr of at least 0, got -0.1"),
            ({"lr": float("nan")}, ValueError, "lr of at least 0, got nan"),
            ({"lr": "0.1"}, TypeError, "lr as a number, got '0.1' (str)"),
            ({"lr": True}, TypeError, "lr as a number, got True (bool)"),
            ({"lr": None}, TypeError, "lr as a number, got None (NoneType)"),
            ({"momentum": -1}, ValueError, "momentum of at least 0, got -1"),
            ({"dampening": "x"}, TypeError, "dampening as a number, got 'x' (str)"),
            ({"weight_decay": -1}, ValueError, "weight_decay of at least 0, got -1"),
            ({"nesterov": 1}, TypeError, "nesterov as True or False, got 1 (int)"),
            ({"maximize": "no"}, TypeError, "maximize as True or False, got 'no' (str)"),
            ({"nesterov": True}, ValueError, f"{NESTEROV} momentum=0 and dampening=0"),
            (
                {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
                ValueError,
                f"{NESTEROV} momentum=0.9 and dampening=0.1",
            ),
            DECOUPLED,
            *ways("foreach", "fused", "differentiable"),
        ],
        naive=naive.sgd,
        own={"decoupled_weight_decay": st.booleans()},
    ),
    "Adam": Rule(
        every_branch={"amsgrad": True, "weight_decay": 0.1},
        drawn=st.fixed_dictionaries({"lr": RATES, "betas": BETAS}, optional=OPTIONAL_OF_ADAM),
        bad_options=[*BAD_ADAM_OPTIONS, DECOUPLED, *ALL_WAYS],
    ),
    "AdamW": Rule(
        every_branch={"amsgrad": True, "maximize": True},
        drawn=st.fixed_dictionaries({"lr": RATES, "betas": BETAS}, optional=OPTIONAL_OF_ADAMW),
        bad_options=BAD_ADAM_OPTIONS + ALL_WAYS,
    ),
    "Lion": Rule(
        every_branch={"weight_decay": 0.1, "maximize": True},
        drawn=st.fixed_dictionaries(
            {"lr": RATES, "betas": BETAS}, optional={"weight_decay": DECAYS, "maximize": st.booleans()}
        ),
        bad_options=[*bad(lr=-1, weight_decay=-1), *BAD_BETAS, *MAXIMIZE],
        lr=0.05,
        naive=naive.lion,
        in_torch=False,
    ),
    "Muon": Rule(
        every_branch={"adjust_lr_fn": "match_rms_adamw"},
        drawn=st.fixed_dictionaries(
            {"lr": RATES, "momentum": numbers(0, 0.99), "nesterov": st.booleans()},
            optional={
                "weight_decay": DECAYS,
                "ns_coefficients": st.just((2.0, -1.5, 0.5)),
                "eps": numbers(1e-10, 10),
                "ns_steps": st.integers(0, 7),
                "adjust_lr_fn": st.sampled_from([None, "original", "match_rms_adamw"]),
            },
        ),
        bad_options=[
            *bad(lr=-1, weight_decay=-1, momentum=-1, eps=-1),
            ({"nesterov": 1}, TypeError, "nesterov as True or False, got 1 (int)"),
            ({"ns_coefficients": (1, 2)}, TypeError, "ns_coefficients as three numbers, got (1, 2)"),
            ({"ns_coefficients": (1, 2, "x")}, TypeError, "ns_coefficients[2] as a number, got 'x' (str)"),
            ({"ns_steps": 5.0}, TypeError, "ns_steps as an int, got 5.0 (float)"),
            ({"ns_steps": -1}, ValueError, "ns_steps of at least 0 and below 100, got -1"),
            ({"adjust_lr_fn": "x"}, ValueError, "adjust_lr_fn as 'original' or 'match_rms_adamw', got 'x'"),
        ],
        lr=0.05,
        rtol=1e-9,  # products bring small singular values near 1, with their rounding errors
        naive=naive.muon,
        least_axes=2,
    ),
    "RMSprop": Rule(
        every_branch={"momentum": 0.9, "centered": True, "weight_decay": 0.1},
        drawn=st.fixed_dictionaries(
            {"lr": RATES, "alpha": numbers(0.5, 0.999), "momentum": st.just(0) | numbers(0, 0.99)},
            optional={
                "eps": numbers(1e-8, 1e-2),
                "weight_decay": DECAYS,
                "centered": st.booleans(),
                "maximize": st.booleans(),
            },
        ),
        bad_options=[
            ({"lr": -1}, ValueError, "lr of at least 0, got -1"),
            ({"alpha": 1.5}, ValueError, "alpha of at least 0 and of at most 1, got 1.5"),
            ({"eps": -1}, ValueError, "eps of at least 0, got -1"),
            ({"momentum": -1}, ValueError, "momentum of at least 0, got -1"),
            ({"weight_decay": -1}, ValueError, "weight_decay of at least 0, got -1"),
            ({"centered": 1}, TypeError, "centered as True or False, got 1 (int)"),
            ({"maximize": 1}, TypeError, "maximize as True or False, got 1 (int)"),
            *WAYS,
        ],
    ),
    "Adagrad": Rule(
        every_branch={"lr_decay": 0.1, "weight_decay": 0.1},
        drawn=st.fixed_dictionaries(
            {"lr": RATES},
            optional={
                "lr_decay": numbers(0, 1),
                "weight_decay": DECAYS,
                "initial_accumulator_value": numbers(0, 1),
                "eps": numbers(1e-10, 1e-2),
                "maximize": st.booleans(),
            },
        ),
        bad_options=[
            ({"lr": -1}, ValueError, "lr of at least 0, got -1"),
            ({"lr_decay": -1}, ValueError, "lr_decay of at least 0, got -1"),
            ({"weight_decay": -1}, ValueError, "weight_decay of at least 0, got -1"),
            ({"initial_accumulator_value": -1}, ValueError, "initial_accumulator_value of at least 0, got -1"),
            ({"eps": -1}, ValueError, "eps of at least 0, got -1"),
            ({"maximize": 1}, TypeError, "maximize as True or False, got 1 (int)"),
            *ways("foreach", "fused", "differentiable"),
        ],
    ),
    "Adadelta": Rule(
        every_branch={"weight_decay": 0.1, "maximize": True},
        drawn=st.fixed_dictionaries(
            {"lr": RATES, "rho": numbers(0.5, 0.999)},
            optional={"eps": numbers(1e-8, 1e-2), "weight_decay": DECAYS, "maximize": st.booleans()},
        ),
        bad_options=[
            *bad(lr=-1, eps=-1, weight_decay=-1),
            ({"rho": 1.5}, ValueError, "rho of at least 0 and of at most 1, got 1.5"),
            *MAXIMIZE,
            *WAYS,
        ],
        lr=100.0,
    ),
    "Adamax": Rule(
        every_branch={"weight_decay": 0.1},
        drawn=st.fixed_dictionaries(
            {"lr": RATES, "betas": BETAS},
            optional={"eps": numbers(1e-8, 1e-2), "weight_decay": DECAYS, "maximize": st.booleans()},
        ),
        bad_options=[*bad(lr=-1, eps=-1, weight_decay=-1), *BAD_BETAS, *MAXIMIZE, *WAYS],
    ),
    "NAdam": Rule(
        every_branch={"weight_decay": 0.1, "decoupled_weight_decay": True},
        drawn=st.fixed_dictionaries(
            {"lr": RATES, "betas": BETAS},
            optional={
                "eps": numbers(1e-8, 1e-2),
                "weight_decay": DECAYS,
                "momentum_decay": numbers(0, 0.5),
                "decoupled_weight_decay": st.booleans(),
                "maximize": st.booleans(),
            },
        ),
        bad_options=[*bad(lr=-1, eps=-1, weight_decay=-1, momentum_decay=-1), *BAD_BETAS, *MAXIMIZE, DECOUPLED, *WAYS],
        rtol=1e-4,
    ),
    "RAdam": Rule(
        every_branch={"weight_decay": 0.1, "decoupled_weight_decay": True},
        drawn=st.fixed_dictionaries(
            {"lr": RATES, "betas": BETAS},
            optional={
                "eps": numbers(1e-8, 1e-2),
                "weight_decay": DECAYS,
                "decoupled_weight_decay": st.booleans(),
                "maximize": st.booleans(),
            },
        ),
        bad_options=[*bad(lr=-1, eps=-1, weight_decay=-1), *BAD_BETAS, *MAXIMIZE, DECOUPLED, *WAYS],
    ),
    "ASGD": Rule(
        every_branch={"weight_decay": 0.1, "t0": 2.0, "lambd": 0.1},
        drawn=st.fixed_dictionaries(
            {"lr": RATES},
            optional={
                "lambd": numbers(0, 0.1),
                "alpha": numbers(0.1, 1),
                "t0": st.integers(0, 60),
                "weight_decay": DECAYS,
                "maximize": st.booleans(),
            },
        ),
        bad_options=[
            *bad(lr=-1, weight_decay=-1, lambd=-1),
            ({"alpha": 2}, ValueError, "alpha of at least 0 and of at most 1, got 2"),
            ({"t0": "x"}, TypeError, "t0 as a number, got 'x' (str)"),
            *MAXIMIZE,
            *WAYS,
        ],
        lr=0.1,
        rtol=1e-5,
    ),
    "Rprop": Rule(
        every_branch={"maximize": True},
        drawn=st.fixed_dictionaries(
            {"lr": RATES},
            optional={
                "etas": st.tuples(numbers(0.1, 0.9), numbers(1.1, 2)),
                "step_sizes": st.tuples(numbers(1e-6, 1e-2), numbers(1, 50)),
                "maximize": st.booleans(),
            },
        ),
        bad_options=[
            *bad(lr=-1),
            ({"etas": (0.5,)}, TypeError, "etas as two numbers, got (0.5,)"),
            ({"etas": (0.5, "x")}, TypeError, "etas[1] as a number, got 'x' (str)"),
            ({"etas": (0.5, 0.9)}, ValueError, "etas around 1, the first above 0, got (0.5, 0.9)"),
            ({"etas": (0, 1.2)}, ValueError, "etas around 1, the first above 0, got (0, 1.2)"),
            ({"step_sizes": 3}, TypeError, "step_sizes as two numbers, got 3"),
            *MAXIMIZE,
            *WAYS,
        ],
    ),
}
