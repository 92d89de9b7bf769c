"""ParameterList and ParameterDict; Buffer; parts of a net by their names: as torch has them."""

import copy
import pickle

import numpy as np
import pytest

import tinycnn
from tinycnn import nn


def story(lib):
    """What a net with all of them lists, prints and saves."""
    nn = lib.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rates = nn.ParameterList([lib.ones(2), lib.ones(1, 3)])
            self.rates += [nn.Parameter(lib.zeros(2), requires_grad=False)]
            self.rates.append(lib.ones(1)).extend([lib.zeros(3)])
            self.named = nn.ParameterDict({"a": lib.ones(2), "b": lib.zeros(1)})
            self.named["c"] = lib.ones(4)
            del self.named["a"]
            self.mean = nn.Buffer(lib.zeros(2))
            self.scratch = nn.Buffer(lib.zeros(2), persistent=False)
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
            self.layers += [nn.ReLU(), nn.Linear(2, 2)]
            self.layers.insert(1, nn.Tanh())

    net = Net()
    tied = nn.Sequential(net.layers[0], net.layers[0])
    return {
        "parameters": [(name, tuple(p.shape), p.requires_grad) for name, p in net.named_parameters()],
        "buffers": [name for name, _ in net.named_buffers()],
        "state": list(net.state_dict()),
        "prefixed": list(net.state_dict(prefix="net.", keep_vars=True)),
        "repr": repr(net.layers),
        "slice": repr(net.layers[1:4]),
        "parameter list": repr(net.rates).replace("torch.", ""),
        "lengths": [len(net.rates), len(net.named), len(net.rates[1:3]), list(net.named.keys()), "b" in net.named],
        "modules": [name for name, _ in net.named_modules(prefix="x")],
        "all names": [name for name, _ in tied.named_parameters(remove_duplicate=False)],
        "once": [name for name, _ in tied.named_parameters(prefix="p", recurse=True)],
        "all modules": [name for name, _ in tied.named_modules(remove_duplicate=False)],
        "got": [tuple(net.get_parameter("layers.0.weight").shape), type(net.get_submodule("layers.1")).__name__,
                tuple(net.get_buffer("mean").shape), net.get_submodule("") is net],
        "sequential": repr(nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh()) * 2),
        "popped": repr(net.layers.pop(-1)),
    }  # fmt: skip


@pytest.mark.torch
def test_as_torch_has_them():
    import torch

    found, expected = story(tinycnn), story(torch)
    for name, value in expected.items():
        assert found[name] == value, name


def test_a_list_of_parameters():
    values = nn.ParameterList([tinycnn.ones(2), tinycnn.zeros(3)])
    values[-1] = tinycnn.ones(4)
    assert [tuple(p.shape) for p in values] == [(2,), (4,)]
    assert all(isinstance(p, nn.Parameter) for p in values)
    assert type(values[:1]) is nn.ParameterList
    assert values[:1][0] is values[0]
    for index in (2, -3):
        with pytest.raises(IndexError, match=f"ParameterList: index {index} is out of range: there are 2 values"):
            values[index]
    with pytest.raises(TypeError, match="ParameterList: expected parameters to add, got int"):
        values.extend(3)
    assert repr(nn.ParameterList()) == "ParameterList()"


def test_a_dictionary_of_parameters():
    values = nn.ParameterDict([("a", tinycnn.ones(2))])
    values.update({"b": tinycnn.zeros(1)})
    assert [*values] == [*values.keys()] == ["a", "b"]
    assert values.setdefault("a", 3) is values["a"] is values.get("a")
    assert values.get("x", 5) == 5
    assert [key for key, _ in values.items()] == ["a", "b"]
    assert len(values.values()) == 2
    assert values.pop("a").shape == (2,)
    values.clear()
    assert len(values) == 0
    assert list(values.parameters()) == []
    with pytest.raises(KeyError):
        values["a"]
    with pytest.raises(TypeError, match="ParameterDict: expected a str as a key, got int"):
        values[3] = tinycnn.ones(1)
    with pytest.raises(TypeError, match="ParameterDict: expected a mapping of names to Parameters, got int"):
        values.update(3)


def test_copies_and_pickles():
    values = nn.ParameterDict({"a": tinycnn.ones(2)})
    for twin in (copy.deepcopy(values), pickle.loads(pickle.dumps(values))):
        assert twin["a"] is not values["a"]
        assert twin["a"].tolist() == [1.0, 1.0]


def test_parts_by_name_that_are_not_there():
    net = nn.Sequential(nn.Linear(2, 2))
    for find, name in ((net.get_submodule, "1"), (net.get_parameter, "0.scale"), (net.get_buffer, "0.mean")):
        with pytest.raises(AttributeError, match="(Sequential|Linear): no (module|parameter|buffer) has the name"):
            find(name)


def test_a_state_dict_error_is_what_torch_raises_and_what_it_was():
    net, before = nn.Linear(2, 2), copy.deepcopy
    kept = before(net.state_dict())
    for error in (RuntimeError, ValueError):
        with pytest.raises(error, match="Linear.load_state_dict: missing keys: bias; unexpected keys: scale"):
            net.load_state_dict({"weight": tinycnn.ones(2, 2), "scale": tinycnn.ones(1)})
    assert net.weight.tolist() == kept["weight"].tolist()
    assert repr(net.load_state_dict(kept)) == "<All keys matched successfully>"
    found = net.load_state_dict({"weight": tinycnn.ones(2, 2)}, strict=False)
    assert repr(found) == "_IncompatibleKeys(missing_keys=['bias'], unexpected_keys=[])"


def test_assigned_tensors_take_the_place_of_the_modules_own():
    net = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    net[0].bias.requires_grad_(False)
    given = {key: value.double() if value.is_floating_point() else value for key, value in net.state_dict().items()}
    net.load_state_dict(given, assign=True)
    assert net[0].weight.dtype == np.float64
    assert isinstance(net[0].weight, nn.Parameter)
    assert [p.requires_grad for p in net.parameters()] == [True, False, True, True]
    assert net[1].running_mean is given["1.running_mean"]
    assert np.shares_memory(net[0].weight.detach().numpy(), given["0.weight"].numpy())


def test_conversions_of_a_module():
    net = nn.Linear(2, 2)
    assert net.half().weight.dtype == np.float16
    assert net.type("float64").weight.dtype == np.float64
    assert net.to(tinycnn.ones(1)).weight.dtype == np.float32
    assert net.to("cpu", non_blocking=True) is net
    assert net.to(memory_format=None) is net
    assert net.bfloat16().weight.dtype == net.to("bfloat16").bias.dtype == tinycnn.bfloat16
