"""The check against torch: that it covers every layer, passes, and can fail."""

import inspect
import sys

import check_against_torch
import numpy as np
import pytest
from check_against_torch import CASES, Draw, relative_error

import tinycnn
from tests import layers
from tests.examples.programs import run_program
from tinycnn import nn
from tinycnn._extras import how_to_install

# Of the other layers there are rows in tests/layers.py, and tests of their own.
ELSEWHERE = {
    "CELU", "Hardsigmoid",  # torch's slopes are of float32
    "AlphaDropout", "FeatureAlphaDropout", "DataParallel", "Embedding", "LPPool1d", "LPPool3d",
    "DistributedDataParallel", "SyncBatchNorm",  # tests/distributed
    *(row.name.partition("/")[0] for row in layers.CASES),
}  # fmt: skip
NOT_LAYERS = {
    "Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Parameter", "Buffer",
    "UninitializedParameter", "UninitializedBuffer", "Any",
}  # fmt: skip


def test_every_layer_has_cases():
    there = {name for name, value in vars(nn).items() if inspect.isclass(value)} - NOT_LAYERS
    cases = {name for name in CASES if not name.startswith("F.")}
    assert cases <= there
    assert {name for name in there - cases - ELSEWHERE if not name.startswith("Lazy")} == set()
    assert len(cases) >= 70


@pytest.mark.parametrize("name", [name for name in CASES if "Pool" in name and "Unpool" not in name])
def test_no_pooling_window_lies_wholly_in_the_padding(name):
    """torch would read and write beyond its memory there."""
    for seed in range(100):
        case = CASES[name](Draw(np.random.default_rng(seed)))
        if "kernel_size" not in case.options:
            continue
        x = case.inputs[0]
        layer = getattr(nn, name)(**case.options)
        y = layer(tinycnn.tensor(np.zeros_like(x)))
        values = y[0] if isinstance(y, tuple) else y
        assert np.isfinite(values.numpy()).all()  # the maximum over nothing is −∞, the mean nan


def test_cases_depend_on_the_seed_alone():
    first, again, other = (CASES["Conv2d"](Draw(np.random.default_rng(seed))) for seed in (3, 3, 4))
    assert str(first) == str(again) != str(other)
    np.testing.assert_array_equal(first.inputs[0], again.inputs[0])


def test_the_error_is_relative_and_strict():
    assert relative_error(np.array([1.0, 10]), np.array([1.5, 10])) == 0.05
    assert relative_error(np.array([np.inf, np.nan]), np.array([np.inf, np.nan])) == 0
    assert relative_error(np.array([0.25]), np.array([0.0])) == 0.25
    for other in ([1.0, np.nan], [[1.0, 2.0]], [1.0], np.array([1, 2])):
        assert relative_error(np.array([1.0, 2.0]), np.array(other)) == np.inf


@pytest.mark.torch
def test_all_layers_pass():
    done = run_program("check_against_torch", "--cases", 8, "--seed", 11)
    assert (done.status, done.err) == (0, ""), done.out
    rows = done.table()
    assert list(rows) == list(CASES)
    for name, (cases, forward, backward, verdict) in rows.items():
        assert (cases, verdict) == ("8", "pass")
        assert float(forward) <= 1e-9, name
        assert backward == "–" if name == "F.one_hot" else float(backward) <= 1e-9, name
    assert f"{len(CASES)} of {len(CASES)} pass" in done.out.splitlines()[-1]


@pytest.mark.torch
@pytest.mark.parametrize("gradient, ok", [(lambda g: g, True), (lambda g: g * (1 + 1e-8), False)])
def test_a_gradient_wrong_in_the_eighth_digit_fails(gradient, ok, monkeypatch):
    backward = check_against_torch.Call.backward

    def planted(call, upstream):
        wrong = call.library is tinycnn
        return {key: gradient(g) if wrong else g for key, g in backward(call, upstream).items()}

    monkeypatch.setattr(check_against_torch.Call, "backward", planted)
    done = run_program("check_against_torch", "--cases", 3, "--only", "linear", "--only", "ReLU")
    assert done.status == (0 if ok else 1)
    assert {row[-1] for row in done.table().values()} == {"pass" if ok else "FAIL"}
    if not ok:
        (line,) = [line for line in done.out.splitlines() if line.startswith("Linear, case 0: (in_features=")]
        assert line.endswith(", 1.0e-08 backward")


@pytest.mark.torch
def test_an_exception_is_a_failure_that_is_shown(monkeypatch):
    def broken(self, input):
        raise ValueError("planted")

    monkeypatch.setattr(nn.ReLU, "forward", broken)
    done = run_program("check_against_torch", "--cases", 2, "--only", "ReLU")
    assert done.status == 1
    assert done.table()["ReLU"] == ["2", "inf", "–", "FAIL"]
    assert "ReLU, case 0: () of array" in done.out
    assert "ReLU: planted" in done.out


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run_program("check_against_torch") == (
        2, "", f"check_against_torch.py: error: needs torch, which is not installed: {how_to_install('torch')}\n"
    )  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("name, hint", [("Conv2", "did you mean Conv2d or "), ("xyz", "expected one of Conv1d, ")])
def test_a_layer_that_there_is_not(name, hint):
    done = run_program("check_against_torch", "--only", name)
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith(f"check_against_torch.py: error: --only: no layer {name!r}; {hint}")
