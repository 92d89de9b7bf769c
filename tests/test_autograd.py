"""The graph: its walk, what it costs, what it frees, changes in place, modes, hooks."""

import contextlib
import copy
import gc
import pickle
import sys
import threading
import time
import weakref
import zlib

import numpy as np
import pytest

import tinycnn
from tests.side_by_side import side_by_side
from tinycnn import Function, Tensor, autograd, enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled, tensor
from tinycnn.models import LeNet5


def leaf(*shape: int, seed: int = 0) -> Tensor:
    values = np.random.default_rng(seed).uniform(0.5, 1.5, shape)
    return tensor(values, requires_grad=True)


def array(x: Tensor) -> np.ndarray:
    return x.detach().numpy()


class Square(Function):
    """A correct operator that counts its backward calls."""

    saves_inputs = True
    calls = 0

    def forward(self, x):
        return x * x

    def backward(self, grad_output):
        type(self).calls += 1
        (x,) = self.inputs
        return grad_output * x * 2.0


@pytest.fixture(autouse=True)
def _fresh_counts():
    Square.calls = 0


# --- the walk ---------------------------------------------------------------------------------------------


def test_shared_graph_is_walked_once_a_node():
    """2^60 paths lead to x; there are 60 nodes."""
    x = leaf(3)
    y = Square()(x)
    for _ in range(60):
        y = y + y
    start = time.perf_counter()
    y.sum().backward()
    assert time.perf_counter() - start < 1
    assert Square.calls == 1
    np.testing.assert_allclose(array(x.grad), 2.0**60 * 2 * array(x))


@pytest.mark.parametrize("depth", [10_000, 100_000])
def test_deep_chains_do_not_recurse(depth):
    x = leaf(2)
    y = x
    for _ in range(depth):
        y = y + 1.0
    y.sum().backward()
    np.testing.assert_array_equal(array(x.grad), 1.0)
    del y  # nor does freeing the graph


def test_cost_is_linear_in_depth():
    def calls(depth):
        y = leaf(2)
        for _ in range(depth):
            y = y * 1.0
        total, count = y.sum(), 0

        def profile(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(profile)
        total.backward()
        sys.setprofile(None)
        return count

    assert calls(4000) < 8 * calls(500)


def test_diamond_waits_for_both_sides():
    x = leaf(3)
    y = Square()(x)
    z = y.exp() * y + y
    z.sum().backward()
    a = array(x)
    np.testing.assert_allclose(array(x.grad), 2 * a * (np.exp(a**2) * (1 + a**2) + 1))
    assert Square.calls == 1


def test_several_outputs_and_upstream_gradients():
    x, w = leaf(3), leaf(3, seed=1)
    u, v = leaf(3, seed=2).detach(), leaf(3, seed=3).detach()
    for outputs, expected in [
        ((x * w, x + w), array(u) * array(w) + array(v)),
        ((x * w, x * w), (array(u) + array(v)) * array(w)),
    ]:
        (found,) = grad(outputs, x, (u, v))
        np.testing.assert_allclose(array(found), expected)
    same = x * w
    (found,) = grad((same, same), (x,), (u, v))
    np.testing.assert_allclose(array(found), (array(u) + array(v)) * array(w))


def test_gradient_of_a_tensor_with_respect_to_itself_and_of_what_lies_between():
    x = leaf(3)
    y = x * 2.0
    z = (y * y).sum()
    found_z, found_y, found_x = grad(z, (z, y, x))
    assert found_z.item() == 1
    np.testing.assert_allclose(array(found_y), 2 * array(y))
    np.testing.assert_allclose(array(found_x), 4 * array(y))
    x.sum().backward()
    leaf_gradient = leaf(3, seed=5).detach()
    (found,) = grad(x, x, leaf_gradient)
    np.testing.assert_array_equal(array(found), array(leaf_gradient))


def test_backward_of_a_leaf():
    x = leaf(1)
    x.backward()
    assert x.grad.tolist() == [1.0]


def test_only_gradients_that_are_asked_for_are_computed():
    asked = []

    class Asked(Function):
        saves_inputs = True

        def forward(self, a, b):
            return a * b

        def backward(self, grad_output):
            asked.append(list(self.needs_input_grad))
            a, b = self.inputs
            return grad_output * b, grad_output * a

    x, w = leaf(3), leaf(3, seed=1)
    hidden = Square()(w)
    y = Asked()(x, hidden).sum()
    grad(y, x, retain_graph=True)
    assert Square.calls == 0
    assert asked == [[True, False]]
    grad(y, w, retain_graph=True)
    assert Square.calls == 1
    assert asked[1:] == [[False, True]]
    grad(y, hidden, retain_graph=True)  # does not go beyond what was asked for
    assert Square.calls == 1
    y.backward(inputs=[x], retain_graph=True)
    assert w.grad is None
    assert Square.calls == 1
    Asked()(x, w.detach()).sum().backward()
    assert asked[-1] == [True, False]


def test_grad_of_unused_inputs():
    x, unused = leaf(3), leaf(2)
    with pytest.raises(RuntimeError, match=r"do not depend on inputs\[1\] of shape \(2,\); pass allow_unused=True"):
        grad((x * x).sum(), (x, unused))
    found, nothing = grad((x * x).sum(), (x, unused), allow_unused=True)
    assert nothing is None
    np.testing.assert_allclose(array(found), 2 * array(x))
    assert x.grad is None


def test_grad_leaves_grad_attributes_alone():
    x, w = leaf(3), leaf(3, seed=1)
    grad((x * w).sum(), x)
    assert x.grad is None
    assert w.grad is None


def test_backward_accumulates():
    x = leaf(3)
    (x * 2.0).sum().backward()
    first = x.grad
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [5.0] * 3
    assert x.grad is first, "added in place, as in torch"
    (x * x * 1.5).sum().backward(create_graph=True)
    assert x.grad is not first
    (x * 3.0).sum().backward()
    assert first.tolist() == [5.0] * 3, "what is recorded is not changed in place"


def test_grad_has_memory_of_its_own():
    """Whatever an operator returns as a gradient, changing .grad changes nothing else."""

    class Returns(Function):
        saves_inputs = True

        def forward(self, x, y):
            return x + y

        def backward(self, grad_output):
            x, y = self.inputs
            return x, y.detach()

    x, y, upstream = leaf(3), leaf(3, seed=1), tensor(np.ones(3))
    before = [x.tolist(), y.tolist(), upstream.tolist()]

    class ReturnsBuffer(Function):
        def forward(self, x, y):
            return x + y

        def backward(self, grad_output):
            return tinycnn.from_numpy(buffer), tinycnn.from_numpy(np.frombuffer(memory))

    buffer, memory = np.ones(3), bytearray(np.full(3, 4.0).tobytes())
    for _ in range(2):
        ReturnsBuffer()(x, y).backward(upstream)
    assert buffer.tolist() == [1.0] * 3
    assert np.frombuffer(memory).tolist() == [4.0] * 3

    for function in (Returns(), Tensor.add, lambda x, y: x.reshape(3, 1).reshape(3) + y[:]):
        x.grad = y.grad = None
        function(x, y).backward(upstream)
        x.grad.mul_(0.0)
        y.grad.mul_(0.5)
        assert [x.tolist(), y.tolist(), upstream.tolist()] == before
        assert (y.grad != 0).all()


def test_gradients_of_a_step_are_not_copied(monkeypatch):
    model = LeNet5()
    copies, clone = [], Tensor.clone
    monkeypatch.setattr(Tensor, "clone", lambda x: copies.append(x.shape) or clone(x))
    model(tinycnn.randn(2, 1, 28, 28)).sum().backward()
    assert copies == []


def test_second_backward_needs_retain_graph():
    x = leaf(3)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(array(x.grad), 2 * np.exp(array(x)))
    with pytest.raises(RuntimeError, match=r"backward through Exp a second time.*pass retain_graph=True"):
        y.backward()


def test_second_backward_is_refused_where_only_part_of_the_graph_was_freed():
    x = leaf(3)
    shared = x.exp()
    shared.sum().backward()
    with pytest.raises(RuntimeError, match="Exp a second time"):
        (shared * 2.0).sum().backward()


def test_third_order_gradients():
    x = leaf(4)
    (first,) = grad((x**5).sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x, create_graph=True)
    a = array(x)
    np.testing.assert_allclose(array(first), 5 * a**4)
    np.testing.assert_allclose(array(second), 20 * a**3)
    np.testing.assert_allclose(array(third), 60 * a**2)
    assert third.requires_grad


def test_backward_with_create_graph_makes_grad_differentiable():
    x = leaf(3)
    (x.tanh() * x).sum().backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    (first * first).sum().backward()

    def gradient(x):
        return grad((x.tanh() * x).sum(), x, create_graph=True)[0]

    assert tinycnn.gradcheck(gradient, x)
    (expected,) = grad((gradient(x) ** 2).sum(), x)
    np.testing.assert_allclose(array(x.grad), array(expected))


def test_without_create_graph_nothing_is_recorded():
    x = leaf(3)
    (first,) = grad((x**3).sum(), x)
    assert not first.requires_grad
    assert first.grad_fn is None


def test_gradient_has_dtype_and_shape_of_its_input():
    x = tensor(np.ones((3, 1), np.float32), requires_grad=True)
    w = tensor(np.ones((2, 1, 4), np.float64), requires_grad=True)
    y = x * w
    assert y.dtype == np.float64
    y.sum().backward()
    assert (x.grad.dtype, x.grad.shape) == (np.float32, (3, 1))
    assert (w.grad.dtype, w.grad.shape) == (np.float64, (2, 1, 4))


# --- memory -----------------------------------------------------------------------------------------------


def test_incoming_gradients_are_not_changed():
    x, w = leaf(3), leaf(3, seed=1)
    u = leaf(3, seed=2).detach()
    before = array(u).copy()
    for _ in range(2):
        (x + w).backward(u)
    np.testing.assert_array_equal(array(u), before)
    np.testing.assert_array_equal(array(x.grad), 2 * before)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: x + w,
        lambda x, w: x - (-w),
        lambda x, w: tinycnn.cat([x, w])[:3] + tinycnn.cat([x, w])[3:],
        lambda x, w: (x.reshape(3, 1) + w.reshape(3, 1)).reshape(3),
        lambda x, w: x.clone() + w.clone(),
        lambda x, w: (x + w).expand(2, 3)[0],
    ],
)
def test_gradients_of_two_leaves_share_no_memory(function):
    x, w, u = leaf(3), leaf(3, seed=1), leaf(3, seed=2).detach()
    function(x, w).backward(u)
    arrays = [x.grad._array, w.grad._array, u._array]
    for i, a in enumerate(arrays):
        assert a.flags.writeable
        for b in arrays[i + 1 :]:
            assert not np.shares_memory(a, b)


def test_gradient_of_a_broadcast_upstream_can_be_changed():
    x = leaf(2, 3)
    x.sum().backward()
    x.grad[0, 0] = 7.0
    assert x.grad.tolist() == [[7.0, 1.0, 1.0], [1.0, 1.0, 1.0]]


def test_graph_is_freed_by_reference_counting_alone():
    gc.collect()
    gc.disable()
    try:
        x, w = leaf(50, 50), leaf(50, 50, seed=1)
        hidden = (x @ w).relu().exp().tanh().softmax(1).sigmoid().sqrt()
        loss = (hidden.reshape(-1)[3:] * hidden.flatten()[:-3]).amax()
        arrays = [weakref.ref(y) for y in (hidden._array, hidden, loss, loss._node, hidden._node, loss._node.edges[0])]
        loss.backward()
        del hidden, loss
        assert [r() for r in arrays] == [None] * len(arrays)
        never_backward = (x @ w).exp()
        reference = weakref.ref(never_backward._node)
        del never_backward
        assert reference() is None
    finally:
        gc.enable()


def test_backward_frees_what_was_saved_while_the_output_lives():
    x = leaf(3)
    hidden = x * 2.0
    memory = weakref.ref(hidden._array)
    y = hidden.exp().sum()
    del hidden
    assert memory() is None  # exp keeps its output, not its input
    saved = weakref.ref(y._node.edges[0]._output)
    y.backward()
    assert saved() is None


def test_retain_grad_keeps_no_cycle():
    gc.disable()
    try:
        x = leaf(3)
        y = x * 2.0
        y.retain_grad()
        reference = weakref.ref(y)
        y.sum().backward()
        del y
        assert reference() is None
    finally:
        gc.enable()


# --- changes in place -------------------------------------------------------------------------------------


def assign_all(x):
    x.detach().numpy()[...] = 2.0


def assign_one(x):
    x.detach().numpy()[0] = 2.0


def assign_to_data(x):
    x.data[0] = 2.0


def add_to_data(x):
    x.data += 1.0


def replace_data(x):
    x.data = np.full(x.shape, 2.0)


def setitem(x):
    with no_grad():
        x[0] = 2.0


def setitem_mask(x):
    with no_grad():
        x[x.detach() > 0] = 2.0


def add_under_no_grad(x):
    with no_grad():
        x += 1.0


def copy_into(x):
    with no_grad():
        x.copy_(tensor(np.full(x.shape, 2.0)))


def fill(x):
    with no_grad():
        x.fill_(0.25)


def zero(x):
    with no_grad():
        x.zero_()


def add_method(x):
    with no_grad():
        x.add_(1.0, alpha=0.5)


def mul_method(x):
    with no_grad():
        x.mul_(2.0)


def through_numpy(x):
    x.detach().numpy()[1:] *= 3.0


def through_detached(x):
    x.detach().sub_(1.0)


def through_view(x):
    with no_grad():
        x.reshape(-1)[1:2] = 3.0


def through_view_of_view(x):
    x.detach().reshape(3, 1).T[0, 1:].fill_(2.0)


def through_numpy_of_view(x):
    x.detach()[1:].numpy()[0] = 7.0


def through_numpy_asarray(x):
    np.asarray(x.detach())[0] = 7.0


def optimizer_step(x):
    """The update as an optimiser written by a user would do it."""
    with no_grad():
        x -= 0.1 * x


CHANGES = [
    assign_all, assign_one, assign_to_data,
    add_to_data, replace_data, setitem, setitem_mask, add_under_no_grad, copy_into, fill, zero,
    add_method, mul_method, through_numpy, through_detached, through_view, through_view_of_view, through_numpy_of_view,
    through_numpy_asarray, optimizer_step,
]  # fmt: skip
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@each_change
def test_changed_input_is_noticed(change):
    x, w = leaf(3), leaf(3, seed=1)
    y = (x * w).sum()
    change(w)
    with pytest.raises(RuntimeError, match=r"backward through Mul: input 1 of shape \(3,\) was changed in place"):
        y.backward()


@each_change
@pytest.mark.parametrize("operator", ["exp", "relu", "tanh", "sigmoid", "sqrt"])
def test_changed_output_is_noticed(change, operator):
    x = leaf(3)
    y = getattr(x, operator)()
    z = y.sum()
    if change in (optimizer_step, add_under_no_grad):
        y.detach().add_(1.0)
    else:
        change(y)
    if change is replace_data:  # y has other memory now; what was saved is untouched
        z.backward()
        return
    with pytest.raises(RuntimeError, match=rf"{operator.title()}: the output of shape \(3,\) was changed in place"):
        z.backward()


@each_change
def test_change_before_forward_is_no_error(change):
    x = leaf(3)
    (x * x).sum().backward()
    change(x)
    x.grad = None
    y = (x * x).sum()
    y.backward()
    np.testing.assert_allclose(array(x.grad), 2 * array(x))


@each_change
def test_change_after_backward_is_no_error(change):
    x = leaf(3)
    for _ in range(3):
        y = (x * x).sum()
        y.backward()
        change(x)
    assert x.grad is not None


@each_change
def test_change_of_what_was_not_saved_is_no_error(change):
    x, w = leaf(3), leaf(3, seed=1)
    y = (x + w).sum()  # an addition needs neither
    change(w)
    y.backward()
    assert x.grad.tolist() == [1.0] * 3


def test_looking_is_no_change():
    x = leaf(3)
    view = x.detach().numpy()
    y = (x * x).sum()
    _ = x.data, x.detach().numpy(), x.tolist(), repr(x), x.detach()[0].item(), view
    view[...] = view.copy()  # the same values
    y.backward()
    np.testing.assert_allclose(array(x.grad), 2 * array(x))


def test_change_in_another_part_of_the_same_memory_is_noticed():
    """As in torch, a tensor and its views count their changes together."""
    x = leaf(4)
    y = (x[:2] * x[:2]).sum()
    with no_grad():
        x[3] = 9.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_change_of_the_array_given_to_from_numpy_is_noticed():
    original = np.array([1.0, 2.0, 3.0])
    x, w = tinycnn.from_numpy(original), leaf(3)
    y = (x * w).sum()
    original[1] = 9.0
    with pytest.raises(RuntimeError, match="Mul: input 0"):
        y.backward()


def test_array_given_to_from_numpy_may_change_between_steps():
    original = np.array([1.0, 2.0, 3.0])
    w = leaf(3)
    for _ in range(3):
        (tinycnn.from_numpy(original) * w).sum().backward()
        original += 1.0
    np.testing.assert_allclose(array(w.grad), [6.0, 9.0, 12.0])


def test_array_given_to_tensor_may_change():
    original = np.array([1.0, 2.0, 3.0])
    x, w = tensor(original), leaf(3)
    y = (x * w).sum()
    original[1] = 9.0
    y.backward()
    assert w.grad.tolist() == [1.0, 2.0, 3.0]


def test_indices_may_change_after_forward():
    x = leaf(4)
    mask, index, numbers = tensor([True, False, True, False]), tensor([0, 0, 3]), [1, 1]
    y = x[index].sum() + x[mask].sum() + x[numbers].sum()
    mask.copy_(~mask)
    index.fill_(2)
    numbers[0] = 2
    y.backward()
    assert x.grad.tolist() == [3.0, 2.0, 1.0, 1.0]


# --- threads and interruptions ------------------------------------------------------------------------------


def test_no_gradient_is_lost_among_threads():
    x = leaf(5)

    def accumulate():
        for _ in range(300):
            (x * 2.0).sum().backward()

    side_by_side(*[accumulate] * 4)
    assert x.grad.tolist() == [2400.0] * 5


def test_no_gradient_is_lost_to_what_comes_in_between():
    """An addition stands for a signal handler: it runs a backward pass of its own before its sum is assigned."""
    x, inner = leaf(3), []

    class Interrupting(Function):
        def forward(self, a, b):
            if len(inner) < 5:
                inner.append(1)
                with enable_grad():
                    (x * 10.0).sum().backward()
            return a + b

    (x * x).sum().backward(create_graph=True)  # its sum is not made in place
    add = Tensor.__add__
    try:
        Tensor.__add__ = lambda a, b: Interrupting()(a, b)
        (x * x).sum().backward()
    finally:
        Tensor.__add__ = add
    assert len(inner) == 5
    np.testing.assert_allclose(x.grad.detach().numpy(), 4 * x.detach().numpy() + 50.0)


def test_threads_may_ask_one_graph_for_different_gradients():
    x, w = leaf(200), leaf(200, seed=1)
    y = x
    for _ in range(30):
        y = y * w
    total, expected = y.sum(), {}
    for name, leaves in {"x": [x], "w": [w], "both": [x, w]}.items():
        expected[name] = [g.tolist() for g in grad(total, leaves, retain_graph=True)]
    wrong = []

    def ask(name, leaves):
        found = [[g.tolist() for g in grad(total, leaves, retain_graph=True)] for _ in range(30)]
        wrong.extend(gradients for gradients in found if gradients != expected[name])

    side_by_side(lambda: ask("x", [x]), lambda: ask("w", [w]), lambda: ask("both", [x, w]))
    assert not wrong


# --- generator functions ------------------------------------------------------------------------------------


def steps_of(seen):
    """A generator that notes at each step whether operators are recorded."""
    try:
        received = None
        for value in range(4):
            seen.append(is_grad_enabled())
            try:
                received = yield (value, received)
            except KeyError as error:
                seen.append(is_grad_enabled())
                received = error
    finally:
        seen.append(is_grad_enabled())
    return "end"


def test_no_grad_holds_for_every_step_of_a_generator_function():
    for decorate in (no_grad, no_grad(), lambda function: set_grad_enabled(False)(function)):
        seen: list[bool] = []
        generator = decorate(steps_of)(seen)
        assert next(generator) == (0, None)
        assert is_grad_enabled()
        assert generator.send("sent") == (1, "sent")
        error = KeyError("thrown")
        assert generator.throw(error) == (2, error)
        assert next(generator) == (3, None)
        with pytest.raises(StopIteration) as end:
            next(generator)
        assert end.value.value == "end"
        assert seen == [False] * 6
        assert is_grad_enabled()
    seen = []
    generator = no_grad(steps_of)(seen)
    next(generator)
    generator.close()
    assert seen == [False, False]
    with no_grad():
        assert all(value is not None for value in enable_grad()(steps_of)(seen))
    assert seen[2:] == [True] * 5


def test_a_coroutine_function_is_not_decorated():
    async def wait():
        pass

    async def waits():
        yield

    for function in (wait, waits):
        with pytest.raises(TypeError, match="no_grad: cannot decorate a coroutine function"):
            no_grad()(function)


# --- memory that is known outside ---------------------------------------------------------------------------


def test_a_tensor_that_was_handed_out_can_be_pickled():
    x = leaf(3)
    held = x.detach().numpy()
    loaded = pickle.loads(pickle.dumps(x))
    assert loaded.tolist() == held.tolist()
    assert loaded.requires_grad


def test_what_was_handed_out_is_watched_as_long_as_somebody_holds_it():
    x = leaf(3)
    for _ in range(20):
        _ = x.detach().numpy(), x.data[0].numpy()
        x.data = x.detach().numpy() - 0.1
    assert len(x._changes.outside) <= 1
    held = x.detach().numpy()[1:]  # a view of what was handed out, which itself is gone
    assert x._changes.mark(x._array)[2] is not None
    del held
    assert x._changes.mark(x._array)[2] is None


def test_an_array_that_was_taken_in_is_watched_as_long_as_somebody_holds_it():
    array = np.ones((4, 3))
    x = tinycnn.from_numpy(array)
    rows = x[1:3]
    assert rows._changes.mark(rows._array)[2] is not None
    view = array[0]
    del array
    assert rows._changes.mark(rows._array)[2] is not None
    del view
    assert rows._changes.mark(rows._array)[2] is None


@pytest.mark.parametrize("is_held", [True, False], ids=["still_held", "let_go"])
def test_a_change_is_noticed_of_an_array_handed_out_after_forward(is_held):
    for change, noticed in ((lambda array: None, False), (lambda array: array.__setitem__(0, 7.0), True)):
        x = leaf(3)
        hidden = x.exp()
        y = (hidden * x).sum()
        array = hidden.detach().numpy()
        change(array)
        if not is_held:
            del array
        with pytest.raises(RuntimeError, match="changed in place") if noticed else contextlib.nullcontext():
            y.backward()


def test_looks_that_change_nothing_refuse_nothing():
    """An array is held over changes that are counted, or made before the forward pass."""
    x, buffer = leaf(3), np.ones(3)
    given = tinycnn.from_numpy(buffer)
    for step in range(3):
        buffer[...] = step
        loss = (x * given * x).sum()
        held = x.detach().numpy(), x.data.numpy(), given.numpy()
        x.grad = None
        loss.backward()
        with no_grad():
            x.sub_(x.grad, alpha=0.1)
    a = x.detach().numpy()
    a += 1.0
    y = (x * x).sum()
    del a
    y.backward()
    assert len(held) == 3


def test_a_look_at_memory_that_no_graph_has_saved_costs_nothing(monkeypatch):
    summed = []
    monkeypatch.setattr(autograd, "_checksum", lambda array: summed.append(array.size) or 0)
    x = tensor(np.ones((100, 100)))
    for i in range(20):
        assert x.numpy()[i].base is not None
        assert x.detach().numpy().shape == (100, 100)
        assert x[3:5].numpy().shape == (2, 100)
    assert summed == []
    monkeypatch.undo()
    repeated = tinycnn.ones(1).expand(1 << 20, 1 << 20)
    kept = (repeated[:2, :2] * leaf(1)).sum()
    assert repeated.numpy().shape == (1 << 20, 1 << 20), "4 TB, of which one element is summed up"
    kept.backward()


def test_arrays_are_handed_out_while_other_threads_use_them():
    x, w, stop, errors = tensor(np.ones(4)), leaf(4), threading.Event(), []

    def look():
        while not stop.is_set():
            x.numpy()

    def use():
        try:
            for _ in range(2000):
                (x * w).sum().backward()
        except RuntimeError as error:
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=look) for _ in range(2)] + [threading.Thread(target=use)]
        for thread in threads:
            thread.start()
        threads[-1].join()
        stop.set()
        for thread in threads[:-1]:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert errors == []


def test_copies_of_a_tensor_share_its_version():
    x, w = tensor(np.ones(3)), leaf(3)
    y = (x * w).sum()
    copy.copy(x).mul_(0.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_only_what_a_graph_uses_counts_of_memory_that_is_known_outside(monkeypatch):
    array = np.ones((1000, 100))
    x, w = tinycnn.from_numpy(array), leaf(100)
    summed = []
    monkeypatch.setattr(autograd, "_checksum", lambda array: summed.append(array.size) or zlib.crc32(array.tobytes()))
    views = [x[i : i + 500] for i in range(300)]
    loss = (x[10:12] * w).sum()
    array[500] = 2.0  # not what the graph has saved
    loss.backward()
    assert sum(summed) == 2 * 200
    loss = (x[10:12] * w).sum()
    array[11] = 2.0
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()
    assert len(views) == 300


def test_a_change_by_the_setter_of_data_is_counted():
    x = leaf(3)
    y = x.exp().sum() + (x * x).sum()
    x.data += 1.0
    assert x.data.tolist() == pytest.approx((leaf(3).data + 1.0).tolist())
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


# --- modes ------------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad_nest():
    x = leaf(3)
    with no_grad():
        assert not is_grad_enabled()
        assert not (x * 2.0).requires_grad
        with enable_grad():
            assert (x * 2.0).requires_grad
            with no_grad():
                assert not (x * 2.0).requires_grad
            assert is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_modes_end_with_an_exception():
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_modes_as_decorators():
    @no_grad()
    def countdown(n):
        """Calls itself."""
        assert not is_grad_enabled()
        return 0 if n == 0 else countdown(n - 1)

    @enable_grad()
    def recorded():
        return is_grad_enabled()

    countdown(5)
    assert is_grad_enabled()
    assert countdown.__name__ == "countdown"
    with no_grad():
        assert recorded()
        assert not is_grad_enabled()


def test_one_decorator_in_two_threads():
    inside, outside = threading.Barrier(2), []

    @no_grad()
    def wait():
        inside.wait(timeout=10)

    def work():
        with enable_grad():
            wait()
        outside.append(is_grad_enabled())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outside == [True, True]


def test_modes_belong_to_a_thread():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_set_grad_enabled_is_a_call_and_a_context():
    try:
        set_grad_enabled(False)
        assert not is_grad_enabled()
        with set_grad_enabled(True):
            assert is_grad_enabled()
        assert not is_grad_enabled()

        @set_grad_enabled(True)
        def recorded():
            return is_grad_enabled()

        assert not is_grad_enabled()
        assert recorded()
        assert not is_grad_enabled()
    finally:
        set_grad_enabled(True)
    with set_grad_enabled(False):
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_backward_restores_the_mode():
    x = leaf(3)
    y = (x * x).sum()
    with no_grad():
        y.backward(retain_graph=True)
        assert not is_grad_enabled()
    y.backward()
    assert is_grad_enabled()


# --- detach, clone, hooks ---------------------------------------------------------------------------------


def test_detach_cuts_off_and_shares_memory():
    x = leaf(3)
    y = x.detach()
    assert not y.requires_grad
    assert y.is_leaf
    assert np.shares_memory(y._array, x._array)
    (x * (x * 2.0).detach()).sum().backward()
    np.testing.assert_allclose(array(x.grad), 2 * array(x))


def test_clone_copies_and_passes_gradients_on():
    x = leaf(3)
    y = x.clone()
    assert not np.shares_memory(y._array, x._array)
    (y * y).sum().backward()
    np.testing.assert_allclose(array(x.grad), 2 * array(x))


def test_hooks_see_complete_gradients_and_may_replace_them():
    x = leaf(3)
    y = x * 2.0
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10.0)
    (y + y * 3.0).sum().backward(retain_graph=True)
    assert seen == [[4.0] * 3]
    assert x.grad.tolist() == [80.0] * 3
    handle.remove()
    handle.remove()
    x.grad = None
    x.register_hook(lambda g: -g)
    y.sum().backward()
    assert x.grad.tolist() == [-2.0] * 3


def test_removing_one_hook_twice_removes_no_other_that_is_equal():
    x = leaf(3)
    seen = []
    handles = [x.register_hook(seen.append) for _ in range(2)]
    handles[0].remove()
    handles[0].remove()
    (x * 2.0).sum().backward()
    assert len(seen) == 1


def test_no_grad_decorates_without_parentheses():
    @no_grad
    def halved(x):
        """Half of it."""
        return x / 2, tinycnn.enable_grad(lambda: x / 2)()

    x = leaf(3)
    y, z = halved(x)
    assert (y.requires_grad, z.requires_grad, halved.__doc__) == (False, True, "Half of it.")
    assert (x / 2).requires_grad
    with pytest.raises(TypeError, match="no_grad: expected no argument, or a function to decorate, got False"):
        no_grad(False)


def test_hook_may_remove_itself():
    x = leaf(3)
    calls = []

    def once(gradient):
        calls.append("once")
        handle.remove()

    handle = x.register_hook(once)
    x.register_hook(lambda g: calls.append("other"))
    x.sum().backward()
    x.sum().backward()
    assert calls == ["once", "other", "other"]


def test_gradient_kept_by_a_hook_does_not_change_with_grad():
    x = leaf(3)
    kept = []
    y = x + 1.0
    y.register_hook(kept.append)
    x.register_hook(kept.append)
    (y * 2.0).backward(tensor(np.ones(3)))
    x.grad.zero_()
    assert [g.tolist() for g in kept] == [[2.0] * 3] * 2


def test_hook_that_returns_nonsense_is_refused():
    x = leaf(3)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match=r"a hook must return None or a Tensor of shape \(3,\), got \(\)"):
        x.sum().backward()


def test_retain_grad():
    x = leaf(3)
    y = x * 2.0
    y.retain_grad()
    y.retain_grad()  # once more changes nothing
    y.register_hook(lambda g: g * 3.0)
    for _ in range(2):
        (y * y).sum().backward(retain_graph=True)
    np.testing.assert_allclose(array(y.grad), 2 * 3 * 2 * array(y))
    x.retain_grad()
    with pytest.raises(RuntimeError, match="retain_grad"):
        x.detach().retain_grad()


# --- operators written by a user --------------------------------------------------------------------------


def broken(forward, backward):
    """A Function of these two, that saves its inputs."""
    return type("Broken", (Function,), {"saves_inputs": True, "forward": forward, "backward": backward})


@pytest.mark.parametrize(
    "backward, message",
    [
        (lambda self, g: (g, g), "Broken.backward: expected 1 gradients, one per input, got 2"),
        (lambda self, g: g._array, "Broken.backward: expected Tensors or None, got ndarray"),
        (lambda self, g: g[:2], r"Broken.backward: a gradient of shape \(2,\) for an input of shape \(3,\)"),
    ],
)
def test_wrong_backward_is_named(backward, message):
    operator = broken(lambda self, x: x + 1, backward)
    with pytest.raises((RuntimeError, TypeError), match=message):
        operator()(leaf(3)).sum().backward()


def test_operator_without_gradient_says_so():
    class Round(Function):
        def forward(self, x):
            return np.round(x)

    with pytest.raises(NotImplementedError, match="Round: this operator has no gradient"):
        Round()(leaf(3)).sum().backward()
    with pytest.raises(NotImplementedError, match="defines forward"):
        Function()(leaf(3))


def test_backward_may_give_no_gradient():
    operator = broken(lambda self, x: x.copy(), lambda self, g: None)
    x = leaf(3)
    (operator()(x) + x).sum().backward()
    assert x.grad.tolist() == [1.0] * 3


def test_function_is_applied_once():
    square = Square()
    square(leaf(3))
    with pytest.raises(RuntimeError, match="make a new one for each call"):
        square(leaf(3))


# --- errors -----------------------------------------------------------------------------------------------


def test_errors_of_backward_and_grad():
    x = leaf(3)
    y = x * 2.0
    for call, error, message in [
        (y.backward, RuntimeError, r"a tensor of shape \(3,\) is not a single number"),
        (x.detach().sum().backward, RuntimeError, "this tensor needs no gradient"),
        (lambda: y.backward(tensor([1.0, 2.0])), RuntimeError, r"expected a gradient of shape \(3,\), got \(2,\)"),
        (lambda: y.backward(np.ones(3)), TypeError, "expected the gradient as a Tensor, got ndarray"),
        (lambda: y.sum().backward(inputs=[]), RuntimeError, "inputs is empty"),
        (lambda: y.sum().backward(inputs=[x.detach()]), RuntimeError, r"inputs\[0\] of shape \(3,\) has requires_grad"),
        (lambda: grad(y.sum(), x.detach()), RuntimeError, r"inputs\[0\] of shape \(3,\) has requires_grad=False"),
        (lambda: grad(y.sum(), [1.0]), TypeError, r"expected inputs\[0\] as a Tensor, got float"),
        (lambda: grad(1.0, x), TypeError, "expected outputs as a Tensor or a sequence of them, got float"),
        (lambda: grad((y, y), x, y.detach()), ValueError, "expected 2 grad_outputs, one an output, got 1"),
    ]:
        with pytest.raises(error, match=message):
            call()


# --- backward passes that are given arrays ------------------------------------------------------------------


def test_threads_walk_one_graph_of_arithmetic():
    """Which kind a backward is given is state of the thread, not of the node that threads share."""
    z, w = tinycnn.randn(4, requires_grad=True), tinycnn.randn(4, requires_grad=True)
    y = ((z * w).tanh().exp() / (w * w + 1)).sum()
    expected = [g.numpy() for g in tinycnn.grad(y, (z, w), retain_graph=True)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    wrong = []

    def walk(create_graph):
        try:
            for _ in range(150):
                found = tinycnn.grad(y, (z, w), retain_graph=True, create_graph=create_graph)
                wrong.extend(g for g, e in zip(found, expected) if not np.array_equal(g.detach().numpy(), e))
        except Exception as error:
            wrong.append(error)

    try:
        threads = [threading.Thread(target=walk, args=(i % 2 == 1,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


class Scaled(Function):
    """a · b, by arithmetic; what `backward` returns is up to the test."""

    saves_inputs = True
    saves_output = True
    works_on_arrays = True

    def __init__(self, returns):
        self.returns = returns

    def forward(self, a, b):
        return a * b

    def backward(self, grad_output):
        return self.returns(grad_output, *self.inputs)


def test_arithmetic_is_given_arrays_unless_it_is_recorded():
    given = []

    def product(u, a, b):
        given.append((type(u), type(a)))
        return u * b, u * a

    x, y = tinycnn.ones(3, requires_grad=True), tinycnn.ones(3, requires_grad=True)
    tinycnn.grad(Scaled(product)(x, y).sum(), (x, y))
    tinycnn.grad(Scaled(product)(x, y).sum(), (x, y), create_graph=True)
    with tinycnn.detect_anomaly():
        tinycnn.grad(Scaled(product)(x, y).sum(), (x, y))
    assert given == [(np.ndarray, np.ndarray), (Tensor, Tensor), (Tensor, Tensor)]


@pytest.mark.parametrize(
    "returns, error, message",
    [
        (lambda u, a, b: u * b, RuntimeError, "expected 2 gradients, one per input, got 1"),
        (lambda u, a, b: (u, u, u), RuntimeError, "expected 2 gradients, one per input, got 3"),
        (lambda u, a, b: [u, u], RuntimeError, "expected 2 gradients, one per input, got 1"),
        (lambda u, a, b: ("u", u), TypeError, "expected Tensors or None, got str"),
    ],
)
def test_what_arithmetic_returns_is_checked(returns, error, message):
    x, y = tinycnn.ones(3, requires_grad=True), tinycnn.ones(3, requires_grad=True)
    with pytest.raises(error, match=f"Scaled.backward: {message}"):
        Scaled(returns)(x, y).sum().backward()


def test_another_backward_does_not_inherit_that_it_works_on_arrays():
    class Clamped(Scaled):
        def backward(self, grad_output):
            a, b = self.inputs
            return (grad_output * b).clamp(max=0.5), (grad_output * a).clamp(max=0.5)

    x = tinycnn.ones(3, requires_grad=True)
    Clamped(None)(x, 1.0).sum().backward()
    assert x.grad.tolist() == [0.5] * 3


def test_a_hook_keeps_the_dtype():
    x = tinycnn.ones(3, requires_grad=True)
    x.register_hook(lambda gradient: gradient.double())
    with pytest.raises(RuntimeError, match="a hook must return a Tensor of dtype float32, got float64"):
        (x * 2).sum().backward()


def test_an_operator_whose_output_is_a_saved_view_notices_changes_of_its_input():
    class Seen(Function):
        saves_output = True
        returns_view = True

        def forward(self, x):
            return x[:2]

        def backward(self, grad_output):
            return tinycnn.cat([grad_output * self.output, tinycnn.zeros(1)])

    x = tinycnn.ones(3, requires_grad=True) * 1
    y = Seen()(x)
    with no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_functions_of_users_may_have_no_tensor_among_their_inputs():
    class Constant(Function):
        def forward(self, *numbers):
            return np.array(numbers, np.float32)

    assert Constant()(1.0, 2.0).tolist() == [1.0, 2.0]
    assert Constant()().shape == (0,)


# --- hooks of complete gradients, and what is called at the end -------------------------------------------------


def test_hooks_are_called_as_soon_as_a_gradient_is_complete():
    """A leaf that goes into two operators waits for both; a hook on its gradient comes first."""
    early, late = (tensor(np.ones(2), requires_grad=True) for _ in range(2))
    seen = []
    y = early * 2
    z = y * late
    early.register_post_accumulate_grad_hook(lambda x: seen.append(("early", x.grad.tolist())))
    late.register_post_accumulate_grad_hook(lambda x: seen.append(("late", x.grad.tolist())))
    late.register_hook(lambda gradient: gradient * 10)
    y.register_hook(lambda gradient: seen.append("y"))
    (z * late).sum().backward()  # 2 early · late²
    assert seen == [("late", [40.0, 40.0]), "y", ("early", [2.0, 2.0])]
    (early * 3).sum().backward()
    assert early.grad.tolist() == [5.0, 5.0]


def test_gradients_given_early_are_not_shared():
    a, b = (tensor(np.ones(2), requires_grad=True) for _ in range(2))
    for x in (a, b):
        x.register_post_accumulate_grad_hook(lambda x: None)
    (a + b).backward(tensor(upstream := np.ones(2)))
    a.grad += 1
    assert (b.grad.tolist(), upstream.tolist()) == ([1.0, 1.0], [1.0, 1.0])


def test_callbacks_at_the_end_of_backward():
    x, seen = tensor(np.ones(2), requires_grad=True), []

    def at_end():
        seen.append(x.grad.tolist())

    handle = x.register_post_accumulate_grad_hook(lambda x: autograd.queue_callback(at_end))
    (x * 2).sum().backward()
    assert seen == [[2.0, 2.0]]
    handle.remove()
    (x * 2).sum().backward()
    assert len(seen) == 1
