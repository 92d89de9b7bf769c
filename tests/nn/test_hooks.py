"""Hooks of a Module: their order and options, those before the backward pass and around the state, as in torch."""

import numpy as np
import pytest

import tinycnn
from tinycnn import nn

# Each gets a library and a list to note what was called, and returns what is compared with torch.


def order(lib, calls):
    net = lib.nn.Identity()
    for name, prepend in (("a", False), ("b", True), ("c", False), ("d", True)):
        net.register_forward_pre_hook(lambda m, x, name=name: calls.append("pre " + name), prepend=prepend)
        net.register_forward_hook(lambda m, x, y, name=name: calls.append(name), prepend=prepend)
        net.register_full_backward_pre_hook(lambda m, g, name=name: calls.append("before " + name), prepend=prepend)
        net.register_full_backward_hook(lambda m, g, h, name=name: calls.append("after " + name), prepend=prepend)
    net(lib.ones(2, requires_grad=True)).sum().backward()


class Scaled:
    """A net that takes an argument by name."""

    def __new__(cls, lib):
        class Net(lib.nn.Module):
            def forward(self, x, scale=1.0):
                return x * scale

        return Net()


def kwargs(lib, calls):
    net = Scaled(lib)
    net.register_forward_pre_hook(lambda m, x, options: calls.append((len(x), options)), with_kwargs=True)
    net.register_forward_pre_hook(lambda m, x, options: ((x[0] + 1,), {"scale": 3.0}), with_kwargs=True)
    net.register_forward_hook(lambda m, x, options, y: calls.append((x[0].tolist(), options)), with_kwargs=True)
    net.register_forward_hook(lambda m, x, options, y: y * 10, with_kwargs=True)
    return net(lib.ones(2), scale=2.0).tolist()


def always(lib, calls):
    net = Scaled(lib)
    net.register_forward_hook(lambda m, x, y: calls.append("first"))
    net.register_forward_hook(lambda m, x, y: calls.append(("always", y)), always_call=True)
    net.register_forward_hook(lambda m, x, o, y: calls.append((len(x), o, y)), with_kwargs=True, always_call=True)
    with pytest.raises(TypeError):
        net(lib.ones(2), scale="large")


def removed(lib, calls):
    net = lib.nn.Identity()
    handles = [net.register_full_backward_pre_hook(lambda m, g, i=i: calls.append(i)) for i in range(2)]
    handles[0].remove()
    net(lib.ones(2, requires_grad=True)).sum().backward()


def before_backward(lib, calls):
    net = lib.nn.Linear(2, 2, bias=False)
    with lib.no_grad():
        net.weight.fill_(0.5)
    net.register_full_backward_pre_hook(lambda m, g: (g[0] * 2,))
    net.register_full_backward_pre_hook(lambda m, g: (g[0] + 1,))
    net.register_full_backward_hook(lambda m, g, h: calls.append((g[0].tolist(), h[0].tolist())))
    x = lib.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    return x.grad.tolist(), net.weight.grad.tolist()


def without_inputs(lib, calls):
    net = lib.nn.Linear(2, 2, bias=False)
    net.register_full_backward_pre_hook(lambda m, g: (g[0] * 0,))
    net(lib.ones(1, 2)).sum().backward()
    return net.weight.grad.tolist()


def state(lib, calls):
    net = lib.nn.Sequential(lib.nn.Linear(1, 1), lib.nn.BatchNorm1d(1))
    net[0].register_state_dict_pre_hook(lambda m, prefix, keep: calls.append((prefix, keep)))
    net[0].register_state_dict_post_hook(lambda m, s, prefix, meta: s.update({prefix + "more": 1}) or None)
    net.register_state_dict_post_hook(lambda m, s, prefix, meta: calls.append((sorted(s), prefix, dict(meta))))
    found = net.state_dict()
    return sorted(found), {key: dict(value) for key, value in found._metadata.items()}


def renamed(lib, calls):
    net = lib.nn.Sequential(lib.nn.Linear(1, 1))

    def rename(module, state_dict, prefix, metadata, strict, missing, unexpected, errors):
        calls.append((prefix, strict, missing, unexpected, errors))
        state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")

    net[0].register_load_state_dict_pre_hook(rename)
    net._register_load_state_dict_pre_hook(lambda state_dict, prefix, *more: calls.append(prefix))
    given = {"0.w": lib.full((1, 1), 3.0), "0.bias": lib.ones(1)}
    net.load_state_dict(given)
    return net[0].weight.tolist(), sorted(given)


def overridden(lib, calls):
    class Old(lib.nn.Linear):
        _version = 3

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *more):
            calls.append(local_metadata.get("version", None))
            state_dict.setdefault(prefix + "bias", lib.full((1,), 5.0))
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *more)

    net = lib.nn.Sequential(Old(1, 1))
    net.load_state_dict({"0.weight": lib.ones(1, 1)})
    net.load_state_dict(net.state_dict())
    return net[0].bias.tolist()


def old_batch_norm(lib, calls):
    net = lib.nn.Sequential(lib.nn.BatchNorm2d(2))
    given = {key: value for key, value in net.state_dict().items() if "tracked" not in key}
    return [list(keys) for keys in net.load_state_dict(given)]


def attributes_before_init(lib, calls):
    class Early(lib.nn.Module):
        def __init__(self, value):
            self.size = 3
            self.value = value
            super().__init__()

    for value in (1, lib.ones(1), lib.nn.Parameter(lib.ones(1)), lib.nn.ReLU(), lib.nn.Buffer(lib.ones(1))):
        try:
            net = Early(value)
            calls.append((net.size, len(list(net.parameters()))))
        except AttributeError as error:
            calls.append(str(error))


SCENES = [
    order, kwargs, always, removed, before_backward, without_inputs, state, renamed, overridden, old_batch_norm,
    attributes_before_init,
]  # fmt: skip


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_hooks_of_live_torch(scene):
    import torch

    ours, theirs = [], []
    assert scene(tinycnn, ours) == scene(torch, theirs)
    assert ours == theirs


def test_hooks_that_are_put_first_are_called_first():
    order(tinycnn, calls := [])
    names = ["d", "b", "a", "c"]
    assert calls == [kind + name for kind in ("pre ", "", "before ", "after ") for name in names]


def test_hooks_with_kwargs():
    assert kwargs(tinycnn, calls := []) == [60.0, 60.0]
    assert calls == [(1, {"scale": 2.0}), ([2.0, 2.0], {"scale": 3.0})]
    net = nn.Identity()
    net.register_forward_pre_hook(lambda m, x, options: x, with_kwargs=True)
    with pytest.raises(RuntimeError, match="Identity: a forward pre-hook with kwargs must return None or a tuple of "):
        net(tinycnn.ones(1))


def test_hooks_that_are_always_called():
    always(tinycnn, calls := [])
    assert calls == [("always", None), (1, {"scale": "large"}, None)]


def test_gradients_replaced_before_the_backward_pass():
    assert before_backward(tinycnn, calls := []) == ([[3.0, 3.0]], [[3.0, 3.0], [3.0, 3.0]])
    assert calls == [([[3.0, 3.0]], [[3.0, 3.0]])]
    assert without_inputs(tinycnn, []) == [[0.0, 0.0], [0.0, 0.0]]
    net = nn.Identity()
    net.register_full_backward_pre_hook(lambda m, g: (g[0], g[0]))
    with pytest.raises(RuntimeError, match="must return None or 1 gradients, one per output, got 2"):
        net(tinycnn.ones(1, requires_grad=True)).backward()


def test_state_hooks():
    assert state(tinycnn, [])[0][:3] == ["0.bias", "0.more", "0.weight"]
    assert renamed(tinycnn, []) == ([[3.0]], ["0.bias", "0.w"])
    assert overridden(tinycnn, calls := []) == [5.0]
    assert calls == [None, 3]
    net = nn.Linear(1, 1)
    net.register_state_dict_post_hook(lambda m, s, prefix, meta: s)
    with pytest.raises(RuntimeError, match="Linear: a state_dict post-hook must return None"):
        net.state_dict()


def test_errors_that_a_hook_notes_are_raised_and_nothing_is_loaded():
    net = nn.Linear(1, 1)
    before = net.weight.item()
    net.register_load_state_dict_pre_hook(lambda m, s, p, meta, strict, missing, more, errors: errors.append("too old"))
    with pytest.raises(RuntimeError, match="Linear.load_state_dict: errors: too old"):
        net.load_state_dict({"weight": np.ones((1, 1)), "bias": np.ones(1)})
    assert net.weight.item() == before


def test_a_state_without_counted_batches_is_loaded():
    assert old_batch_norm(tinycnn, []) == [[], []]
    net = nn.BatchNorm1d(2)
    state = net.state_dict()
    del state["num_batches_tracked"]  # its version says that they were counted
    with pytest.raises(RuntimeError, match="missing keys: num_batches_tracked"):
        net.load_state_dict(state)
    nn.BatchNorm1d(2, track_running_stats=False).load_state_dict({"weight": np.ones(2), "bias": np.ones(2)})


@pytest.mark.parametrize("option", ["prepend", "with_kwargs", "always_call"])
def test_options_are_flags(option):
    with pytest.raises(TypeError, match=f"register_forward_hook: expected {option} as True or False, got 1"):
        nn.Identity().register_forward_hook(print, **{option: 1})
