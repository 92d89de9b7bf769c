"""What all optimizers share: parameter groups, checks of the arguments, zero_grad, saving and loading."""

import copy
import inspect
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.optim.rules import RULES
from tinycnn import optim, tensor
from tinycnn.autograd import wrap


def leaf(*values):
    return tensor([float(value) for value in values], requires_grad=True)


# --- groups -----------------------------------------------------------------------------------------------


def test_groups_have_their_own_options_and_defaults_for_the_rest():
    a, b, c = leaf(1), leaf(1), leaf(1)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5, "name": "head"}], lr=0.1, weight_decay=0.2)
    optimizer.add_param_group({"params": (p for p in [c]), "weight_decay": 0})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5, 0.1]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.2, 0]
    assert optimizer.param_groups[1]["name"] == "head"
    for param in a, b, c:
        param.grad = tensor([1.0])
    optimizer.step()
    assert [a.item(), b.item(), c.item()] == pytest.approx([1 - 0.1 * 1.2, 1 - 0.5 * 1.2, 0.9])


def test_a_group_dict_of_the_caller_is_not_changed():
    group = {"params": [leaf(1)]}
    optim.Adam([group])
    assert list(group) == ["params"]


def test_a_refused_group_is_not_added():
    a = leaf(1)
    optimizer = optim.SGD([a])
    for group in {"params": [leaf(2), a]}, {"params": [leaf(2)], "lr": -1}:
        with pytest.raises(ValueError, match="SGD: expected"):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1


def test_parameters_from_a_generator_and_frozen_ones():
    a, frozen = leaf(1), tensor([1.0])
    optimizer = optim.SGD((p for p in [a, frozen]), lr=1)
    a.grad = tensor([0.5])
    optimizer.step()
    assert [a.item(), frozen.item()] == [0.5, 1.0]


def test_names_of_parameters_are_kept():
    optimizer = optim.SGD([("weight", leaf(1)), ("bias", leaf(2))], lr=0.5)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    optimizer.add_param_group({"params": [("scale", leaf(3))], "lr": 1})
    assert [group["params"][0].tolist() for group in optimizer.param_groups] == [[1.0], [3.0]]
    assert optimizer.state_dict()["param_groups"][1]["param_names"] == ["scale"]


def test_repr_lists_the_groups():
    text = repr(optim.SGD([{"params": [leaf(1)]}, {"params": [leaf(2)], "lr": 0.1}], lr=0.5)).splitlines()
    assert text[:3] == ["SGD (", "Parameter Group 0", "    dampening: 0"]
    second = ["Parameter Group 1", "    dampening: 0", "    decoupled_weight_decay: False"]
    assert text[12:15] + text[-1:] == [*second, ")"]


# --- errors -----------------------------------------------------------------------------------------------

def small_parameter(name):
    return tensor(np.ones(RULES[name].small), requires_grad=True)


BAD_OPTIONS = [(name, *case) for name, rule in RULES.items() for case in rule.bad_options]


@pytest.mark.parametrize("name, options, error, message", BAD_OPTIONS)
def test_bad_options(name, options, error, message):
    param = small_parameter(name)
    for arguments in (([param],), options), (([{"params": [param], **options}],), {}):
        with pytest.raises(error) as caught:
            getattr(optim, name)(*arguments[0], **arguments[1])
        assert str(caught.value) == f"{name}: expected {message}"


ONE_NUMBER = [case for case in BAD_OPTIONS if not {"nesterov", "etas"} & {*case[1]}]


@pytest.mark.parametrize("name, options, error, message", ONE_NUMBER)
def test_options_at_their_limits(name, options, error, message):
    """What a message calls "at least" and "at most" is accepted; what it calls "above" and "below" is not."""
    ((option, _),) = options.items()
    for word, limit in re.findall(r"(at least|at most|above|below) ([\d.]+)", message):
        value = (float(limit),) * 2 if option == "betas" else int(limit) if limit.isdecimal() else float(limit)
        if word.startswith("at"):
            param = small_parameter(name)
            param.grad = param.detach().clone()
            optimizer = getattr(optim, name)([param], **{option: value})
            optimizer.step()
            assert optimizer.param_groups[0][option] == value
        else:
            with pytest.raises(error, match=re.escape(message.rpartition(", got")[0][-20:])):
                getattr(optim, name)([small_parameter(name)], **{option: value})


def test_every_optimizer_has_a_row():
    optimizers = {name for name in optim.__all__ if isinstance(getattr(optim, name), type)} - {"Optimizer", "LBFGS"}
    assert optimizers == set(RULES)
    for name, rule in RULES.items():
        tested = {option for options, *_ in rule.bad_options for option in options}
        assert tested == {*inspect.signature(getattr(optim, name)).parameters} - {"params"}


def test_signatures_show_names_defaults_and_types():
    for name, expected in [
        ("SGD", "lr: 'NotNegative' = 0.001, momentum: 'NotNegative' = 0, dampening: 'AnyNumber' = 0, "),
        ("AdamW", "lr: 'NotNegative' = 0.001, betas: 'Betas' = (0.9, 0.999), eps: 'NotNegative' = 1e-08, "),
    ]:
        assert str(inspect.signature(getattr(optim, name))).startswith(f"(params: 'Params', {expected}")


A = leaf(1)
BAD_PARAMETERS = [
    (A, TypeError, "SGD: expected params as a list of Tensors or of group dicts, got one Tensor"),
    ({A}, TypeError, "SGD: expected params as a list of Tensors or of group dicts, got one set"),
    ({"params": [A]}, TypeError, "SGD: expected params as a list of Tensors or of group dicts, got one dict"),
    (3, TypeError, "SGD: expected params as a list of Tensors or of group dicts, got one int"),
    ([], ValueError, "SGD: expected at least one parameter, got an empty list"),
    ((p for p in []), ValueError, "SGD: expected at least one parameter, got an empty list"),
    ([A, np.ones(3)], TypeError, "SGD: expected parameter 1 as a Tensor, got ndarray"),
    ([("weight", 3)], TypeError, "SGD: expected parameter 0 as a Tensor, got int"),
    ([A, ("weight", leaf(2))], TypeError, "SGD: expected parameter 1 as a Tensor, got tuple"),
    ([{"params": [A]}, A], TypeError, "SGD: expected a parameter group as a dict, got Tensor"),
    ([{"params": {A}}], TypeError, "SGD: expected parameters as a list of Tensors, got set"),
    ([{"lr": 0.1}], ValueError, "SGD: expected a parameter group with the key 'params', got ['lr']"),
    ([A, leaf(1), A], ValueError, "SGD: expected every parameter once, got parameter 2 a second time"),
    (
        [{"params": [A]}, {"params": [leaf(2), A]}],
        ValueError,
        "SGD: expected every parameter once, got parameter 1 a second time",
    ),
    (
        [leaf(1), A * 2],
        ValueError,
        "SGD: expected parameter 1 as a leaf, got a tensor of shape (1,) that was computed from others: "
        "pass those, or detach() it",
    ),
]


@pytest.mark.parametrize("shape", [(3,), (), (0,)])
def test_muon_refuses_vectors(shape):
    matrix, vector = (tensor(np.ones(of), requires_grad=True) for of in ((2, 3), shape))
    expected = (
        f"Muon: expected parameter 1 as a matrix or the weight of a convolution, got shape {shape}: "
        "put it in another optimizer, such as AdamW"
    )
    with pytest.raises(ValueError, match="^" + re.escape(expected) + "$"):
        optim.Muon([matrix, vector])
    optimizer = optim.Muon([matrix])
    with pytest.raises(ValueError, match="Muon: expected parameter 0 as a matrix"):
        optimizer.add_param_group({"params": [vector]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("params, error, message", BAD_PARAMETERS)
def test_bad_parameters(params, error, message):
    with pytest.raises(error) as caught:
        optim.SGD(params)
    assert str(caught.value) == message


def test_base_class_says_what_is_missing():
    param = leaf(1)
    param.grad = tensor([1.0])
    with pytest.raises(NotImplementedError, match="Optimizer: an optimizer defines _update"):
        optim.Optimizer([param], {}).step()


class Counting(optim.Optimizer):
    """A user's optimizer, without checks, that keeps a number in its group."""

    def _update(self, param, grad, state, options):
        options["updates"] += 1
        param -= options["lr"] * grad


def test_an_optimizer_of_ones_own_needs_only_an_update():
    a, b = leaf(1), leaf(2)
    a.grad = b.grad = tensor([1.0])
    optimizer = Counting([{"params": a}, {"params": b, "lr": 2}], {"lr": 1, "updates": 0})
    for _ in range(3):
        optimizer.step()
    assert [group["updates"] for group in optimizer.param_groups] == [3, 3]
    assert [a.item(), b.item()] == [-2, -4]


def test_a_parameter_in_a_mapped_file(tmp_path):
    array = np.memmap(tmp_path / "weight", np.float32, "w+", shape=(2,))
    params = [wrap(array).requires_grad_(), leaf(0, 0)]
    for param in params:
        param.grad = tensor([1.0, 2.0])
    optim.SGD(params, lr=1, momentum=0.5).step()
    assert [param.tolist() for param in params] == [[-1, -2], [-1, -2]]


# --- zero_grad --------------------------------------------------------------------------------------------


def test_zero_grad():
    a, b = leaf(1, 2), leaf(3)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b]}])
    (a * a).sum().backward(create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0, 0]
    assert not a.grad.requires_grad
    assert b.grad is None
    optimizer.zero_grad()
    assert a.grad is None


# --- saving and loading -----------------------------------------------------------------------------------


def stepped(optimizer_class, *groups, **options):
    for group in groups:
        for param in group["params"]:
            param.grad = tensor(np.ones(param.shape, np.float32))
    optimizer = optimizer_class(list(groups), **options)
    optimizer.step()
    return optimizer


def test_structure_of_the_state_dict():
    a, b, c = leaf(1), leaf(1, 2), leaf(3)
    optimizer = stepped(optim.Adam, {"params": [a, b]}, {"params": [c], "lr": 0.5}, lr=0.1)
    saved = optimizer.state_dict()
    assert list(saved) == ["state", "param_groups"]
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert saved["param_groups"][1]["lr"] == 0.5
    assert list(saved["state"]) == [0, 1, 2]
    assert saved["state"][1]["step"] == 1
    assert saved["state"][1]["exp_avg"].shape == (2,)
    assert optim.SGD([a]).state_dict()["state"] == {}
    assert stepped(optim.SGD, {"params": [a]}).state_dict()["state"] == {}


def test_state_dict_can_be_pickled():
    optimizer = stepped(optim.Adam, {"params": [leaf(1, 2)]})
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    fresh = optim.Adam([leaf(1, 2)])
    fresh.load_state_dict(saved)
    assert fresh.state_dict()["state"][0]["exp_avg"].tolist() == optimizer.state_dict()["state"][0]["exp_avg"].tolist()


def test_loaded_state_takes_the_parameters_dtype_and_memory_of_its_own():
    saved = stepped(optim.Adam, {"params": [leaf(1, 2)]}).state_dict()
    saved["state"][0]["step"] = tensor(1.0)  # as torch keeps it
    param = tensor([1.0, 2.0], dtype=np.float64, requires_grad=True)
    optimizer = optim.Adam([param])
    optimizer.load_state_dict(saved)
    assert optimizer.state[param]["exp_avg"].dtype == np.float64
    assert optimizer.state[param]["step"] == 1
    assert not np.shares_memory(optimizer.state[param]["exp_avg"]._array, saved["state"][0]["exp_avg"]._array)


def test_a_number_of_the_state_is_loaded_as_it_is_where_the_parameter_is_a_number_too():
    saved = stepped(optim.NAdam, {"params": [tensor(np.float32(1), requires_grad=True)]}).state_dict()
    product = saved["state"][0]["mu_product"]
    saved["state"][0]["mu_product"] = tensor(np.float64(product))  # as a GPU keeps it
    param = tensor(np.float16(1), requires_grad=True)
    optimizer = optim.NAdam([param])
    optimizer.load_state_dict(saved)
    assert optimizer.state[param]["mu_product"] == product
    assert optimizer.state[param]["exp_avg"].dtype == np.float16


def test_loading_keeps_keys_that_only_the_groups_have():
    optimizer = optim.SGD([leaf(1)])
    saved = optimizer.state_dict()
    optimizer.param_groups[0]["initial_lr"] = 0.3
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["initial_lr"] == 0.3


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam", "RAdam"])
def test_state_without_the_flag_of_decoupled_weight_decay(name):
    """As torch saves SGD's, and former versions saved Adam's."""
    saved = stepped(getattr(optim, name), {"params": [leaf(1)]}).state_dict()
    del saved["param_groups"][0]["decoupled_weight_decay"]
    for decoupled in False, True:
        optimizer = getattr(optim, name)([leaf(1)], decoupled_weight_decay=decoupled)
        optimizer.load_state_dict(saved)
        assert optimizer.param_groups[0]["decoupled_weight_decay"] is decoupled


def test_adamw_stays_adamw_with_the_state_of_adam():
    saved = stepped(optim.Adam, {"params": [leaf(1)]}).state_dict()
    optimizer = optim.AdamW([leaf(1)], lr=0.5)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 1e-3
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_adam_with_decoupled_weight_decay_is_adamw():
    found = []
    for make in optim.AdamW, lambda params, **options: optim.Adam(params, decoupled_weight_decay=True, **options):
        param = leaf(1, -2)
        for _ in range(3):
            param.grad = tensor([0.5, 0.25])
            make([param], lr=0.1, weight_decay=0.3).step()
        found.append(param.tolist())
    assert found[0] == found[1] != [1, -2]


def change(saved, keys, value):
    *path, last = keys
    inner = saved
    for key in path:
        inner = inner[key]
    if value is KeyError:
        del inner[last]
    else:
        inner[last] = value


BAD_STATES = [
    (["state"], KeyError, "expected a dict with the keys 'state' and 'param_groups', got ['param_groups']"),
    (["param_groups"], [], "expected 2 parameter groups, got 0"),
    (["param_groups", 1, "params"], [1], "expected 2 parameters in param_groups[1], got 1"),
    (
        ["param_groups", 1, "betas"],
        KeyError,
        "expected 'betas' in param_groups[1], got ['lr', 'eps', 'weight_decay', 'amsgrad', 'foreach', 'maximize', ",
    ),
    (["param_groups", 0, "lr"], -1, "expected lr of at least 0, got -1"),
    (["state", 7], {}, "state[7] belongs to no parameter of the groups"),
    (["state", 2, "exp_avg"], tensor([1.0, 2.0]), "expected state[2]['exp_avg'] of shape (3,), got (2,)"),
    (["state"], [], "expected state as a dict, got list"),
    (["state", 2], 3, "expected state[2] as a dict, got int"),
    (["state", 2, "step"], "x", "expected state[2]['step'] as a whole number of at least 0, got 'x'"),
    (["state", 2, "step"], 1.5, "expected state[2]['step'] as a whole number of at least 0, got 1.5"),
    (["state", 2, "step"], float("nan"), "expected state[2]['step'] as a whole number of at least 0, got nan"),
    (["state", 2, "step"], -1, "expected state[2]['step'] as a whole number of at least 0, got -1"),
    (["param_groups"], 3, "expected param_groups as a list of dicts, got 3"),
    (["param_groups", 0], 3, "expected param_groups as a list of dicts, got [3, "),
    (["param_groups", 0, "params"], 0, "expected indices of parameters in param_groups[0], got 0"),
    (["param_groups", 0, "params"], [[0]], "expected indices of parameters in param_groups[0], got [[0]]"),
    (["param_groups", 0, "params"], [1], "expected every parameter once in param_groups, got [1, 1, 2]"),
]


@pytest.mark.parametrize("keys, value, message", BAD_STATES)
def test_a_bad_state_dict_is_refused_and_nothing_is_loaded(keys, value, message):
    def groups():
        return {"params": [leaf(1)]}, {"params": [leaf(1, 2), leaf(1, 2, 3)], "lr": 0.5}

    saved = copy.deepcopy(stepped(optim.Adam, *groups(), lr=0.1).state_dict())
    change(saved, keys, value)
    optimizer = optim.Adam(list(groups()), lr=0.7)
    with pytest.raises(ValueError, match="expected|belongs") as caught:
        optimizer.load_state_dict(saved)
    start = "Adam: " if keys[-1] == "lr" else "Adam.load_state_dict: "
    assert str(caught.value).startswith(start + message)
    assert optimizer.state == {}
    assert [group["lr"] for group in optimizer.param_groups] == [0.7, 0.5]


def test_loading_something_else():
    with pytest.raises(ValueError, match="SGD.load_state_dict: expected a dict with the keys .* got list"):
        optim.SGD([leaf(1)]).load_state_dict([])


# --- work of the host -------------------------------------------------------------------------------------

LENET = [(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (120, 400), (120,), (84, 120), (84,), (10, 84), (10,)]


def test_calls_of_a_step_on_a_cpu(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)  # with it, recordings would be asked for
    params = [tensor(np.zeros(shape, np.float32), requires_grad=True) for shape in LENET]
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9)
    files, counts = set(), {"call": 0, "c_call": 0}

    def count(frame, event, _):
        if event in counts:
            counts[event] += 1
            files.add(Path(frame.f_code.co_filename).name)

    for _ in range(2):  # the first step makes the state
        for param in params:
            param.grad = tensor(np.ones(param.shape, np.float32))
        sys.setprofile(count if optimizer.state else None)
        optimizer.step()
        optimizer.zero_grad()
        sys.setprofile(None)
    assert files - {Path(__file__).name} == {"optimizer.py", "sgd.py", "cpu.py"}  # scratch memory of large ones
    assert 0 < counts["call"] <= 50
    assert 0 < counts["c_call"] <= 75
