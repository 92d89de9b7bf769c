"""Module: parameters, buffers and submodules as attributes, state, modes, hooks, printing; and the containers."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import tinycnn
from tests.side_by_side import side_by_side
from tinycnn import Tensor, nn, tensor


class Block(nn.Module):
    """Parameters, buffers and submodules, assigned in an order in which each kind is mixed with the others."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.scale = nn.Parameter(tinycnn.tensor(np.ones(4, np.float32)))
        self.register_buffer("steps", tinycnn.tensor(0))
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2))
        self.register_parameter("missing", None)
        self.register_buffer("cache", tinycnn.tensor(np.zeros(2)), persistent=False)
        self.offset = nn.Parameter(tinycnn.tensor(np.zeros(4, np.float32)))

    def forward(self, x):
        return self.first(x) * self.scale + self.offset


NAMES = ["scale", "offset", "first.weight", "first.bias", "body.0.weight", "body.1.weight", "body.1.bias"]
BUFFERS = ["steps", "cache", "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"]
STATE = {
    "scale": (4,),
    "offset": (4,),
    "steps": (),
    "first.weight": (4, 3),
    "first.bias": (4,),
    "body.0.weight": (2, 1, 3, 3),
    "body.1.weight": (2,),
    "body.1.bias": (2,),
    "body.1.running_mean": (2,),
    "body.1.running_var": (2,),
    "body.1.num_batches_tracked": (),
}

# --- what a module holds ----------------------------------------------------------------------------------


def test_names_in_torchs_order():
    block = Block()
    assert [name for name, _ in block.named_parameters()] == NAMES
    assert [name for name, _ in block.named_buffers()] == BUFFERS
    assert [name for name, _ in block.named_modules()] == ["", "first", "body", "body.0", "body.1"]
    assert [name for name, _ in block.named_children()] == ["first", "body"]
    assert [name for name, _ in block.named_parameters(prefix="net")] == [f"net.{name}" for name in NAMES]
    assert [name for name, _ in block.named_parameters(recurse=False)] == ["scale", "offset"]
    assert [name for name, _ in block.named_buffers(recurse=False)] == ["steps", "cache"]
    assert [id(p) for p in block.parameters()] == [id(p) for _, p in block.named_parameters()]
    assert [id(b) for b in block.buffers()] == [id(b) for _, b in block.named_buffers()]


def test_what_is_shared_is_listed_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(3, 3)
            self.decoder = nn.Linear(3, 3)
            self.decoder.weight = self.encoder.weight
            self.again = self.encoder

    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["encoder.weight", "encoder.bias", "decoder.bias"]
    assert [name for name, _ in tied.named_modules()] == ["", "encoder", "decoder"]
    assert [name for name, _ in tied.named_children()] == ["encoder", "decoder"]
    # A state_dict has every name, as in torch, so that either net can load it.
    assert [*tied.state_dict()] == [
        f"{module}.{name}" for module in ("encoder", "decoder", "again") for name in ("weight", "bias")
    ]


def test_attributes():
    block = Block()
    assert block.missing is None
    assert block.scale is dict(block.named_parameters())["scale"]
    block.missing = nn.Parameter(tinycnn.tensor(np.ones(1)))
    assert "missing" in dict(block.named_parameters())
    block.first = nn.Identity()
    assert "first.weight" not in dict(block.named_parameters())
    block.note = "plain"
    assert block.note == "plain"
    block.note = nn.Parameter(tinycnn.tensor(np.ones(2)))  # takes the place of the plain attribute
    assert dict(block.named_parameters())["note"] is block.note
    block.steps = tinycnn.tensor(7)
    assert dict(block.named_buffers())["steps"].item() == 7
    del block.scale
    del block.body
    assert not hasattr(block, "scale")
    assert [name for name, _ in block.named_modules()] == ["", "first"]
    assert {"first", "offset", "steps"} <= set(dir(block))


def test_attribute_errors():
    block = Block()
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'weigth'"):
        block.weigth  # noqa: B018
    with pytest.raises(AttributeError, match="weigth"):
        del block.weigth
    with pytest.raises(TypeError, match="Block.scale: expected a Parameter or None, got Tensor"):
        block.scale = tinycnn.tensor(np.ones(4))
    with pytest.raises(TypeError, match="Block.first: expected a Module or None, got int"):
        block.first = 3
    with pytest.raises(TypeError, match="Block.steps: expected a Tensor or None, got float"):
        block.steps = 1.0
    with pytest.raises(NotImplementedError, match=r"Module: a Module defines forward\(self, ...\)"):
        nn.Module()(1)


def test_forgetting_to_initialise_the_base_class():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"^cannot assign module before Module.__init__\(\) call$"):
        Forgetful()


@pytest.mark.parametrize("name, problem", [("", "empty"), ("a.b", "dot"), ("forward", "attribute")])
def test_names_that_cannot_be(name, problem):
    """They would make a state_dict ambiguous, or hide a method."""
    for register, value in (
        (nn.Module().register_parameter, nn.Parameter(tinycnn.tensor(1.0))),
        (nn.Module().register_buffer, tinycnn.tensor(1.0)),
        (nn.Module().add_module, nn.Identity()),
    ):
        with pytest.raises((KeyError, ValueError), match=problem):
            register(name, value)


def test_registering_the_wrong_thing():
    with pytest.raises(TypeError, match="Module: expected a Parameter or None as 'a', got Tensor"):
        nn.Module().register_parameter("a", tinycnn.tensor(1.0))
    with pytest.raises(TypeError, match="Module: expected a Tensor or None as 'a', got ndarray"):
        nn.Module().register_buffer("a", np.ones(2))
    with pytest.raises(TypeError, match="Module: expected a Module or None as 'a', got function"):
        nn.Module().add_module("a", lambda x: x)


def test_parameter():
    source = tinycnn.tensor([1.0, 2.0])
    parameter = nn.Parameter(source)
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert not source.requires_grad
    source.zero_()
    assert parameter.tolist() == [0.0, 0.0]  # shares memory
    assert isinstance(parameter, Tensor)
    assert type(parameter + 1) is Tensor
    assert repr(nn.Parameter(tensor([1.0, 2.0]))) == "Parameter containing:\ntensor([1., 2.], requires_grad=True)"
    assert not nn.Parameter(source, requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="only floating-point tensors have gradients"):
        nn.Parameter(tinycnn.tensor([1, 2]))


# --- modes, gradients, dtypes -----------------------------------------------------------------------------


def test_train_and_eval_reach_every_module():
    block = Block()
    assert all(module.training for module in block.modules())
    assert block.eval() is block
    assert not any(module.training for module in block.modules())
    assert block.train() is block
    assert all(module.training for module in block.modules())
    block.body.train(False)
    assert [module.training for module in block.modules()] == [True, True, False, False, False]


def test_gradients_on_and_off():
    block = Block()
    block(tinycnn.tensor(np.ones((2, 3), np.float32))).sum().backward()
    assert block.first.weight.grad is not None
    block.zero_grad(set_to_none=False)
    assert not block.first.weight.grad.numpy().any()
    block.zero_grad()
    assert block.first.weight.grad is None
    assert block.requires_grad_(False) is block
    assert not any(parameter.requires_grad for parameter in block.parameters())
    assert not block(tinycnn.tensor(np.ones((2, 3), np.float32))).requires_grad


def test_to_changes_floating_point_in_place():
    block = Block()
    before = list(block.parameters())
    block(tinycnn.tensor(np.ones((2, 3), np.float32))).sum().backward()
    assert block.to(tinycnn.float64) is block
    assert all(new is old for new, old in zip(block.parameters(), before))  # an optimizer still holds them
    assert {parameter.dtype for parameter in block.parameters()} == {np.dtype("float64")}
    assert block.first.weight.grad.dtype == np.float64
    assert block.first.weight.is_leaf
    assert block.first.weight.requires_grad
    assert block.body[1].running_mean.dtype == np.float64
    assert block.body[1].num_batches_tracked.dtype == np.int64
    block(tinycnn.tensor(np.ones((2, 3)))).sum().backward()
    assert block.float().scale.dtype == np.float32
    assert block.double().scale.dtype == np.float64
    assert block.to("float32").scale.dtype == np.float32
    assert block.to("cpu", "float64").scale.dtype == np.float64
    with pytest.raises(TypeError, match="Block.to: expected a floating-point dtype, got int64"):
        block.to(tinycnn.int64)


def test_apply_visits_children_first():
    seen = []
    block = Block()
    assert block.apply(lambda module: seen.append(type(module).__name__)) is block
    assert seen == ["Linear", "Conv2d", "BatchNorm2d", "Sequential", "Block"]


def test_copies_are_independent():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin[0].weight is twin[1].weight
        assert twin[0].weight is not net[0].weight
        assert isinstance(twin[0].weight, nn.Parameter)
        assert twin[0].weight.requires_grad
        np.testing.assert_array_equal(twin[0].weight.detach().numpy(), net[0].weight.detach().numpy())
        with tinycnn.no_grad():
            twin[0].weight.zero_()
        assert net[0].weight.detach().numpy().any()


# --- state ------------------------------------------------------------------------------------------------


def test_state_dict():
    block = Block()
    state = block.state_dict()
    assert {key: value.shape for key, value in state.items()} == STATE
    assert [*state] == [*STATE]
    assert not any(value.requires_grad for value in state.values())
    with tinycnn.no_grad():
        block.scale.fill_(5)
    assert state["scale"].tolist() == [5.0] * 4  # shares memory, as in torch


def test_a_copied_net_has_no_gradients():
    net = nn.Linear(3, 2)
    net(tinycnn.ones(1, 3)).sum().backward()
    assert copy.deepcopy(net).weight.grad is None
    assert copy.deepcopy(net.weight.detach().requires_grad_()).requires_grad


def test_load_state_dict_round_trip():
    source, target = Block(), Block()
    pointers = [parameter.data_ptr() for parameter in target.parameters()]
    missing, unexpected = target.load_state_dict(source.state_dict())
    assert (missing, unexpected) == ([], [])
    for (name, ours), (_, theirs) in zip(target.state_dict().items(), source.state_dict().items()):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=name)
    assert [parameter.data_ptr() for parameter in target.parameters()] == pointers  # copied, not replaced
    assert target.scale.requires_grad
    arrays = {key: value.numpy() for key, value in source.state_dict().items()}
    target.load_state_dict(arrays)  # arrays, too
    target.load_state_dict({key: value.astype(np.float64) for key, value in arrays.items()})
    assert target.scale.dtype == np.float32  # the module's dtype stays


def test_load_state_dict_lists_every_problem_and_changes_nothing():
    block = Block()
    before = {key: value.numpy().copy() for key, value in block.state_dict().items()}
    state = {key: tinycnn.tensor(np.full(shape, 9.0)) for key, shape in STATE.items()}
    del state["offset"], state["first.bias"]
    state["body.0.weight"] = tinycnn.tensor(np.ones((2, 3, 3, 3)))
    state["head.weight"] = tinycnn.tensor(np.ones(2))
    with pytest.raises(ValueError, match="Block.load_state_dict") as raised:
        block.load_state_dict(state)
    message = str(raised.value)
    assert "missing keys: offset, first.bias" in message
    assert "unexpected keys: head.weight" in message
    assert "wrong shapes: body.0.weight (expected (2, 1, 3, 3), got (2, 3, 3, 3))" in message
    assert "\n" not in message
    with pytest.raises(ValueError, match="wrong shapes: body.0.weight"):
        block.load_state_dict(state, strict=False)  # a wrong shape is wrong either way
    for key, value in block.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key], err_msg=key)


@pytest.mark.parametrize("key", list(STATE))
def test_load_state_dict_looks_for_read_only_memory_before_it_writes(key):
    block = Block()
    before = {name: value.numpy().copy() for name, value in block.state_dict().items()}
    block.state_dict()[key]._array.flags.writeable = False
    tensors = {**dict(block.named_parameters()), **dict(block.named_buffers())}
    tensors[key]._array.flags.writeable = False
    with pytest.raises(ValueError, match=f"^Block.load_state_dict: read-only memory: {key}$"):
        block.load_state_dict({name: np.full(shape, 9.0) for name, shape in STATE.items()})
    for name, value in block.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name], err_msg=name)


def test_load_state_dict_casts_everything_before_it_writes(monkeypatch):
    block = Block()
    before = {name: value.numpy().copy() for name, value in block.state_dict().items()}
    casts, to = itertools.count(), Tensor.to

    def out_of_memory(tensor, *targets, **options):
        if next(casts) == 3:
            raise MemoryError("3 TiB")
        return to(tensor, *targets, **options)

    monkeypatch.setattr(Tensor, "to", out_of_memory)
    with pytest.raises(MemoryError, match="3 TiB"):
        block.load_state_dict({name: np.full(shape, 9.0) for name, shape in STATE.items()})
    for name, value in block.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name], err_msg=name)


def test_load_state_dict_that_is_not_strict():
    block = Block()
    result = block.load_state_dict({"scale": tensor(np.full(4, 2.0)), "else": tensor(1.0)}, strict=False)
    counted = "body.1.num_batches_tracked"  # is taken as it is from a state of which no version is known
    assert result.missing_keys == [key for key in STATE if key not in ("scale", counted)]
    assert result.unexpected_keys == ["else"]
    assert block.scale.tolist() == [2.0] * 4


def test_load_state_dict_of_something_else():
    with pytest.raises(TypeError, match="Block.load_state_dict: expected a mapping of names to tensors, got Block"):
        Block().load_state_dict(Block())
    with pytest.raises(TypeError, match="Block.load_state_dict: expected a Tensor or an array as 'scale', got str"):
        Block().load_state_dict({"scale": "large"}, strict=False)
    with pytest.raises(TypeError, match="Block.load_state_dict: expected a Tensor or an array of numbers as 'scale': "):
        Block().load_state_dict({"scale": np.array(["a"] * 4)}, strict=False)
    with pytest.raises(TypeError, match="Block.load_state_dict: expected strict as True or False, got 'no'"):
        Block().load_state_dict({}, strict="no")


def test_names_with_a_prefix_and_without_submodules():
    block = Block()
    own = {"named_parameters": ["scale", "offset"], "named_buffers": ["steps", "cache"]}
    everything = {"named_parameters": NAMES, "named_buffers": BUFFERS}
    for method in own:
        named = getattr(block, method)
        assert [name for name, _ in named(recurse=False)] == own[method]
        assert [name for name, _ in named("net")] == [f"net.{name}" for name in everything[method]]
        plain = getattr(block, method.removeprefix("named_"))
        assert [id(x) for x in plain(recurse=False)] == [id(x) for _, x in named(recurse=False)]
        assert [id(x) for x in plain()] == [id(x) for _, x in named()]
    modules = ["net", "net.first", "net.body", "net.body.0", "net.body.1"]
    assert [name for name, _ in block.named_modules(prefix="net")] == modules
    assert set(block.state_dict(prefix="net.")) == {f"net.{name}" for name in STATE}


def test_what_is_set_to_none_keeps_its_place():
    block = Block()
    block.scale = block.first = block.steps = None
    assert block.scale is block.first is block.steps is None
    assert "scale" not in dict(block.named_parameters())
    assert [name for name, _ in block.named_parameters()][:2] == ["offset", "body.0.weight"]
    block.scale, block.first = nn.Parameter(tinycnn.ones(1)), nn.Linear(1, 1)
    assert [name for name, _ in block.named_parameters()][:3] == ["scale", "offset", "first.weight"]
    for name, wrong in [("scale", 3.0), ("first", "text"), ("steps", 7)]:
        with pytest.raises(TypeError, match=rf"^Block.{name}: expected a (Parameter|Module|Tensor) or None, got "):
            setattr(block, name, wrong)
    assert {"scale", "steps", "first", "body"} <= set(dir(block))


def test_to_by_name():
    block = Block()
    assert block.to(dtype="float64", device="cpu") is block
    assert {p.dtype for p in block.parameters()} == {np.dtype("float64")}
    assert block.steps.dtype == np.int64
    assert block.to("float32").scale.dtype == block.to("cpu").scale.dtype == np.float32
    with pytest.raises(TypeError, match="Block.to: expected a floating-point dtype, got int64"):
        block.to(dtype="int64")


# --- hooks ------------------------------------------------------------------------------------------------


def layer_and_input():
    layer = nn.Linear(2, 3).to(tinycnn.float64)
    return layer, tinycnn.tensor(np.arange(8.0).reshape(4, 2), requires_grad=True)


def test_forward_hooks_see_and_replace():
    layer, x = layer_and_input()
    seen = []
    pre = layer.register_forward_pre_hook(lambda module, inputs: seen.append((module, inputs)))
    post = layer.register_forward_hook(lambda module, inputs, output: seen.append((module, inputs, output)))
    y = layer(x)
    assert seen == [(layer, (x,)), (layer, (x,), y)]
    pre.remove()
    post.remove()
    layer(x)
    assert len(seen) == 2
    layer.register_forward_pre_hook(lambda module, inputs: inputs[0] * 0)
    layer.register_forward_hook(lambda module, inputs, output: output + 1)
    np.testing.assert_allclose(layer(x).detach().numpy(), np.tile(layer.bias.detach().numpy() + 1, (4, 1)))


def test_hooks_run_in_order_and_none_is_lost_when_its_handle_is():
    """Handles that nobody keeps are freed, and their memory is used again: no hook may go with them."""
    layer, x = layer_and_input()
    order = []
    for i in range(10):
        layer.register_forward_hook(lambda module, inputs, output, i=i: order.append(i))
    layer(x)
    assert order == [*range(10)]


def test_removing_one_hook_twice_removes_no_other():
    layer, x = layer_and_input()
    calls = []
    first = layer.register_forward_hook(lambda *_: calls.append("first"))
    layer.register_forward_hook(lambda *_: calls.append("second"))
    first.remove()
    first.remove()
    layer(x)
    assert calls == ["second"]


def test_backward_hook_sees_both_gradients_and_replaces_one():
    layer, x = layer_and_input()
    seen = []
    layer.register_full_backward_hook(lambda module, gi, go: seen.append((module, gi, go)))
    g = np.random.default_rng(0).standard_normal((4, 3))
    layer(x).backward(tinycnn.tensor(g))
    ((module, grad_input, grad_output),) = seen
    assert module is layer
    assert isinstance(grad_input, tuple)
    assert isinstance(grad_output, tuple)
    np.testing.assert_array_equal(grad_output[0].numpy(), g)
    np.testing.assert_allclose(grad_input[0].numpy(), g @ layer.weight.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), grad_input[0].numpy())
    np.testing.assert_allclose(layer.weight.grad.numpy(), g.T @ x.detach().numpy(), rtol=1e-12)
    layer.register_full_backward_hook(lambda module, gi, go: (gi[0] * 2,))
    x.grad = None
    layer(x).backward(tinycnn.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), 2 * g @ layer.weight.detach().numpy(), rtol=1e-12)


def test_backward_hook_of_a_module_whose_input_needs_no_gradient():
    layer, x = layer_and_input()
    seen = []
    layer.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go[0].shape)))
    layer(x.detach()).sum().backward()
    assert seen == [((None,), (4, 3))]


def test_backward_hooks_do_not_disturb_no_grad():
    layer, x = layer_and_input()
    layer.register_full_backward_hook(lambda module, gi, go: None)
    with tinycnn.no_grad():
        y = layer(x)
    assert not y.requires_grad
    np.testing.assert_array_equal(y.numpy(), layer(x).detach().numpy())


def test_backward_hooks_pass_on_gradients_of_higher_order():
    layer, x = layer_and_input()
    layer.register_full_backward_hook(lambda module, gi, go: (gi[0] * 3,))
    (first,) = tinycnn.grad((layer(x) ** 3).sum(), x, create_graph=True)
    (second,) = tinycnn.grad(first.sum(), x)
    w, y = layer.weight.detach().numpy(), layer(x).detach().numpy()
    np.testing.assert_allclose(first.detach().numpy(), 3 * (3 * y**2) @ w, rtol=1e-10)
    # The gradient is three times the true one, and its own passage through the layer triples once more.
    np.testing.assert_allclose(second.numpy(), 9 * (6 * y * w.sum(1)) @ w, rtol=1e-10)


def test_a_backward_pass_that_fails_leaves_nothing_for_the_backward_hooks_of_the_next():
    class Two(nn.Module):
        def forward(self, x):
            return x * 2, x * 3

    def fail(gradient):
        raise KeyError("planted")

    net, seen = Two(), []
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_output))
    y, z = net(tinycnn.ones(2, requires_grad=True))
    handle = y.register_hook(fail)
    with pytest.raises(KeyError):
        (y + z).sum().backward(retain_graph=True)
    handle.remove()
    y.sum().backward()
    assert [each is None for each in seen[0]] == [False, True]


def test_changes_in_place_are_noticed_through_backward_hooks():
    layer, x = layer_and_input()
    layer.register_full_backward_hook(lambda module, gi, go: None)
    x = x * 1
    y = layer(x).sum()
    with tinycnn.no_grad():
        x.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


class TwoInTwoOut(nn.Module):
    def forward(self, a, b):
        return a * b, a + b


def test_backward_hook_of_several_inputs_and_outputs():
    module, seen = TwoInTwoOut(), []
    module.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go)))
    a, b = tinycnn.tensor([2.0, 3.0], requires_grad=True), tinycnn.tensor([5.0, 7.0], requires_grad=True)
    product, total = module(a, b)
    (product.sum() + 10 * total.sum()).backward()
    ((grad_input, grad_output),) = seen
    assert [g.tolist() for g in grad_input] == [[15.0, 17.0], [12.0, 13.0]]
    assert [g.tolist() for g in grad_output] == [[1.0, 1.0], [10.0, 10.0]]
    seen.clear()
    module(a, b)[0].sum().backward()  # the second output is not used
    ((grad_input, grad_output),) = seen
    assert [g.tolist() for g in grad_input] == [[5.0, 7.0], [2.0, 3.0]]
    assert grad_output[1] is None


def test_backward_hook_runs_once_for_each_call_of_a_shared_module():
    layer, x = nn.Linear(2, 2).to(tinycnn.float64), tinycnn.tensor(np.ones((1, 2)), requires_grad=True)
    seen = []
    layer.register_full_backward_hook(lambda module, gi, go: seen.append(go[0].tolist()))
    layer(layer(x)).sum().backward()
    assert len(seen) == 2
    assert seen[0] == [[1.0, 1.0]]


def test_backward_hook_while_backward_runs_twice():
    layer, x = layer_and_input()
    seen = []
    layer.register_full_backward_hook(lambda module, gi, go: seen.append(go[0].numpy().copy()))
    loss = layer(x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert len(seen) == 2


# --- printing ---------------------------------------------------------------------------------------------


def test_repr_of_a_tree():
    assert repr(Block()) == (
        "Block(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (body): Sequential(\n"
        "    (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), bias=False)\n"
        "    (1): BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"

    class Named(nn.Module):
        def extra_repr(self):
            return "a=1"

    named = Named()
    assert repr(named) == "Named(a=1)"
    named.child = nn.ReLU()
    assert repr(named) == "Named(\n  a=1\n  (child): ReLU()\n)"


# --- containers -------------------------------------------------------------------------------------------


def test_sequential_is_a_sequence():
    layers = [nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3)]
    net = nn.Sequential(*layers)
    assert len(net) == 3
    assert list(net) == layers
    assert net[0] is layers[0]
    assert net[-1] is layers[2]
    assert isinstance(net[1:], nn.Sequential)
    assert list(net[1:]) == layers[1:]
    assert [*net[1:].state_dict()] == ["2.weight", "2.bias"]  # names stay, as in torch
    assert list(net[::-1]) == layers[::-1]
    x = tinycnn.tensor(np.ones((4, 1), np.float32))
    np.testing.assert_array_equal(net[:2](x).detach().numpy(), layers[0](x).relu().detach().numpy())
    with pytest.raises(IndexError):
        net[3]
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    net[-1] = nn.Linear(2, 7)
    assert [*net.state_dict()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    del net[1]
    assert [*net.state_dict()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert net.append(nn.ReLU()) is net
    assert isinstance(net[2], nn.ReLU)
    with pytest.raises(TypeError, match="Sequential: expected a Module as '0', got function"):
        nn.Sequential(lambda x: x)
    with pytest.raises(TypeError, match="Sequential: expected a Module or None as '3', got int"):
        net.append(3)


def test_sequential_with_names():
    net = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "act": nn.ReLU()})
    assert net.conv is net[0]
    assert [*net.state_dict()] == ["conv.weight", "conv.bias"]
    assert repr(net[1:]) == "Sequential(\n  (act): ReLU()\n)"


def test_module_list_is_a_list():
    layers = [nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3)]
    listed = nn.ModuleList(layers[:1]).extend(layers[1:])
    assert (len(listed), list(listed), listed[-1]) == (3, layers, layers[2])
    assert isinstance(listed[1:], nn.ModuleList)
    assert [*listed[1:].state_dict()] == ["1.weight", "1.bias"]  # numbered anew, as in torch
    listed.insert(0, nn.Tanh())
    assert [*listed.state_dict()] == ["1.weight", "1.bias", "3.weight", "3.bias"]
    del listed[1:3]
    assert [*listed.state_dict()] == ["1.weight", "1.bias"]
    listed[1] = nn.Linear(5, 5, bias=False)
    assert [*listed.state_dict()] == ["1.weight"]
    with pytest.raises(TypeError, match="ModuleList: expected Modules, got int"):
        listed.insert(0, 3)
    assert len(listed) == 2
    with pytest.raises(NotImplementedError, match="ModuleList: a Module defines forward"):
        listed(1.0)


def test_module_dict_is_a_dictionary():
    parts = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 2)})
    assert (len(parts), list(parts), "a" in parts, "c" in parts) == (2, ["a", "b"], True, False)
    assert list(parts.keys()) == ["a", "b"]
    assert list(parts.values()) == [parts["a"], parts["b"]] == [module for _, module in parts.items()]
    parts.update({"c": nn.Linear(2, 3, bias=False)})
    del parts["b"]
    assert [*parts.state_dict()] == ["c.weight"]
    with pytest.raises(KeyError):
        parts["b"]


# --- PyTorch ----------------------------------------------------------------------------------------------


def build(nn):
    """The same net of either library."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 2)
            self.body = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2))
            self.tail = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2, bias=False)])
            self.parts = nn.ModuleDict({"a": nn.Dropout(0.2), "b": nn.BatchNorm1d(3, track_running_stats=False)})
            self.tied = self.head

    return Net()


@pytest.mark.torch
def test_same_names_and_shapes_as_torch():
    import torch

    ours, theirs = build(nn), build(torch.nn)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    for listing in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [name for name, _ in getattr(ours, listing)()] == [name for name, _ in getattr(theirs, listing)()]
    assert repr(ours) == repr(theirs)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_same_backward_hooks_as_torch(needs, used):
    import torch

    def run(nn, tensor):
        class Mixed(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(tensor([3.0, 4.0]))

            def forward(self, a, b):
                return a * self.weight, (a + 2 * b) * self.weight

        module, calls = Mixed(), []
        module.register_full_backward_hook(
            lambda module, gi, go: calls.append([[g if g is None else g.tolist() for g in t] for t in (gi, go)])
        )
        inputs = [tensor([1.0, 2.0]).requires_grad_(needs[0]), tensor([5.0, 6.0]).requires_grad_(needs[1])]
        outputs = module(*inputs)
        sum((i + 1) * outputs[i].sum() for i in used).backward()
        return calls

    assert run(nn, Tensor) == run(torch.nn, torch.tensor)


@pytest.mark.parametrize("change", [lambda m: m.half(), lambda m: m.to("float64")], ids=["half", "double"])
@pytest.mark.parametrize("layer", [lambda: nn.Linear(2, 3), lambda: nn.Conv1d(2, 3, 1)], ids=["Linear", "Conv1d"])
def test_a_conversion_between_forward_and_backward_is_noticed(layer, change):
    layer = layer()
    x = tinycnn.ones(1, 2, requires_grad=True) if isinstance(layer, nn.Linear) else tinycnn.ones(1, 2, 4)
    y = layer(x).sum()
    change(layer) if hasattr(layer, "half") else layer.to("float16")
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("hooked", [False, True])
def test_an_error_names_the_layer_whose_function_raised_it(hooked):
    class Net(nn.Module):
        def forward(self, x):
            return nn.Sequential(nn.Flatten(), layer)(x)

    layer = nn.Softmax(3)
    if hooked:
        layer.register_forward_hook(lambda *given: None)
    with pytest.raises(IndexError, match=r"^Softmax: softmax: dim 3 is out of range for 2 dimension\(s\)"):
        Net()(tinycnn.zeros(2, 3, 4))


def test_a_subclass_may_take_keywords():
    class Named:
        def __init_subclass__(cls, label="", **keywords):
            super().__init_subclass__(**keywords)
            cls.label = label

    class Net(nn.Module, Named, label="net"):
        pass

    assert Net.label == "net"


class TwoInputs(nn.Module):
    def forward(self, a, b):
        return a * 2.0, b * 3.0


def test_a_walk_for_some_gradients_leaves_nothing_at_a_hooked_module():
    module, seen = TwoInputs(), []
    module.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(len(grad_output)))
    x, y = (tinycnn.ones(2, requires_grad=True) for _ in range(2))
    a, b = module(x, y)
    tinycnn.grad((a + b).sum(), [x], retain_graph=True)
    assert [g.tolist() for g in tinycnn.grad(a.sum(), [x, y], retain_graph=True)] == [[2.0, 2.0], [0.0, 0.0]]
    assert seen == [2, 2]


def test_threads_walk_through_one_hooked_module():
    module, wrong = TwoInputs(), []
    module.register_full_backward_hook(lambda *arguments: None)
    x, y = (tinycnn.ones(2, requires_grad=True) for _ in range(2))
    out = sum(part.sum() for part in module(x, y))

    def walk():
        for _ in range(100):
            found = [g.tolist() for g in tinycnn.grad(out, [x, y], retain_graph=True)]
            if found != [[2.0, 2.0], [3.0, 3.0]]:
                wrong.append(found)

    side_by_side(*[walk] * 4)
    assert wrong == []
