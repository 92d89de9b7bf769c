"""Bad input of every public function is refused in one clear line: see `tests/bad_input.py`."""

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests import bad_input
from tests.public_calls import CALLS, Call, real

REPOSITORY = Path(__file__).resolve().parents[1]

# Public names without a row: why.
EXEMPT = {
    **dict.fromkeys(["Size", "dtype"], "Python's tuple and NumPy's dtype"),
    **dict.fromkeys(["Function"], "a base class: its arguments are those of the subclass"),
    **dict.fromkeys(["optim.lr_scheduler.LRScheduler"], "a base class: get_lr belongs to the subclass"),
    **dict.fromkeys(["load", "save"], "files: tests/test_serialization.py"),
    **dict.fromkeys(
        ["training." + name for name in ("CheckpointError", "last_checkpoint", "load_checkpoint", "save_checkpoint",
                                         "Interrupted", "resume", "Batch", "Callback")],
        "files, errors, and what is made by the trainer: tests/training",
    ),
    **dict.fromkeys(["training.correct", "training.find_lr"], "what a loader gives: tests/training"),
    **dict.fromkeys(["graph_svg"], "needs graphviz; its argument is that of graph"),
    **dict.fromkeys(["nn.init.layer_default_"], "for the constructors of layers: their arguments are checked"),
    **dict.fromkeys(
        ["nn.init." + name for name in ("constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal",
                                        "orthogonal", "sparse", "uniform", "xavier_normal", "xavier_uniform")],
        "old names of the functions with an underscore",
    ),
    **dict.fromkeys(["amp.custom_fwd", "amp.custom_bwd"], "decorators of methods: tests/test_autocast_mode.py"),
    **dict.fromkeys(["layout", "memory_format"], "kinds of names: they are not called"),
    **dict.fromkeys(["fork_rng"], "a context without arguments on a CPU"),
    **dict.fromkeys(["nn.Module.forward"], "belongs to the subclass"),
    **dict.fromkeys(["nn.Module.load_state_dict"], "state: tests/nn/test_module.py"),
    **dict.fromkeys(["Tensor.cuda", "Tensor.gpu", "nn.Module.cuda", "nn.Module.gpu"], "need a GPU: tests/gpu"),
}
MODULES = ["", "nn.", "nn.functional.", "nn.init.", "nn.utils.", "optim.", "optim.lr_scheduler.", "amp.", "training."]


def public_names():
    """Dotted names below `tinycnn` of public functions and classes, and of the methods of Tensor and Module."""
    found = []
    for prefix in MODULES:
        module = tinycnn
        for part in prefix.split(".")[:-1]:
            module = getattr(module, part)
        for name in getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]:
            value = getattr(module, name)
            if callable(value) and (hasattr(module, "__all__") or is_at_home(value, module)):
                found.append(prefix + name)
    for owner, cls in (("Tensor.", tinycnn.Tensor), ("nn.Module.", tinycnn.nn.Module)):
        found += [owner + n for n, f in inspect.getmembers(cls, callable) if not n.startswith("_")]
    return found


def is_at_home(value, module):
    """Whether a module without __all__ defines a function or class, or is `functional`, which only gathers them."""
    return getattr(value, "__module__", "") == module.__name__ or module is tinycnn.nn.functional


def test_every_public_name_has_a_row():
    rows = {call.name for call in CALLS}
    assert [name for name in public_names() if name not in rows and name not in EXEMPT] == []
    assert [name for name in EXEMPT if name in rows] == []


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_the_calls_of_the_table_are_right(call):
    call.run(tinycnn)


def surveyed(*options):
    command = [sys.executable, "-m", "tests.bad_input", "--json", *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_sample_is_refused_in_clear_words():
    found = surveyed("--sample", "3000", "--without-torch")
    assert len(found["clean"]) > 1000
    for outcome in ("raw", "unnamed", "hang", "crash"):
        assert found.get(outcome, []) == []


@pytest.mark.torch
def test_all_are_refused_in_clear_words_and_few_that_torch_refuses_are_accepted():
    found = surveyed()
    count = sum(len(calls) for outcome, calls in found.items())
    assert count > 80_000
    for outcome in ("raw", "unnamed", "hang", "crash"):
        assert found.get(outcome, []) == []
    # docs/coming-from-pytorch.md says which. Torch takes few arrays and scalars of NumPy.
    accepted = [name.rpartition(" = ")[2].strip("]") for name, _ in found["accepted, torch refuses"]]
    others = [label for label in accepted if label not in ("array", "int64", "float32", "less dim 0")]
    assert len(others) <= 0.0035 * count
    assert len(accepted) <= 0.006 * count


def tensors(result):
    """The Tensors in a result, as arrays."""
    if isinstance(result, tinycnn.Tensor):
        return [result.detach().numpy()]
    return [array for each in result for array in tensors(each)] if isinstance(result, (tuple, list)) else []


def with_numpy_numbers(call):
    """The call with one of its numbers as NumPy's, for each number and type."""
    numbers = [(place, value) for place, value in [*enumerate(call.arguments), *call.options.items()]
               if type(value) in (int, float)]  # fmt: skip
    for place, value in numbers:
        for kind in (np.float64, np.float32) if isinstance(value, float) else (np.int64, np.int8, np.uint8):
            if isinstance(value, int) and not np.iinfo(kind).min <= value <= np.iinfo(kind).max:
                continue
            arguments, options = list(call.arguments), dict(call.options)
            (arguments if isinstance(place, int) else options)[place] = kind(value)
            yield replace(call, arguments=tuple(arguments), options=options)


@pytest.mark.parametrize("call", [c for c in CALLS if "empty" not in c.name], ids=lambda call: call.name)
def test_a_number_of_numpy_is_as_good_as_one_of_python(call):
    """In particular, it does not make the result float64."""
    for other in with_numpy_numbers(call):
        results = []
        for each in (call, other):
            tinycnn.manual_seed(0)
            results.append(tensors(each.run(tinycnn)))
        assert [x.dtype for x in results[0]] == [x.dtype for x in results[1]], other
        for expected, found in zip(*results, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def outcome_of(function):
    """What the tool says of a function of the package that does this with one spoilt argument."""
    call = Call("relu", (real(2),))
    try:
        function()
    except Exception as error:
        return bad_input.judged(bad_input.Spoilt(call, "argument 0", "None"), error)
    return "accepted"


def test_the_tool_tells_errors_apart():
    x = tinycnn.ones(2, 3)
    assert outcome_of(lambda: tinycnn.relu(None)) == "clean"
    assert outcome_of(lambda: tinycnn.exp(None)) == "unnamed"
    assert outcome_of(lambda: x._array + "a") == "raw"
    assert outcome_of(lambda: tinycnn.zeros(10**13)) == "memory"
