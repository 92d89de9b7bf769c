"""Operators written as for torch, `forward(ctx, ...)` and `apply`: the same programs with tinycnn and with torch."""

import gc
import re
import weakref

import numpy as np
import pytest

import tinycnn
from tests.in_both import array, check_same, outcome
from tests.side_by_side import side_by_side
from tinycnn import autograd, gradcheck, gradgradcheck
from tinycnn.autograd import Function
from tinycnn.custom_function import once_differentiable


def leaf(lib, *shape, seed=0):
    return lib.tensor(array(*shape, seed=seed), requires_grad=True)


# --- programs ---------------------------------------------------------------------------------------------


def scale(lib):
    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, factor):
            ctx.factor = factor
            ctx.save_for_backward(x, w)
            return x * w * factor

        @staticmethod
        def backward(ctx, grad_output):
            x, w = ctx.saved_tensors
            return grad_output * w * ctx.factor, grad_output * x * ctx.factor, None

    return Scale


def exp(lib):
    class Exp(lib.autograd.Function):
        """Saves its output."""

        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, grad_output):
            (y,) = ctx.saved_tensors
            return grad_output * y

    return Exp


def both(lib):
    class Both(lib.autograd.Function):
        """Several outputs, one of them no Tensor, one that is marked and one of integers; saves two outputs."""

        @staticmethod
        def forward(ctx, x, w):
            y, z, positive = x.exp() * w, x * w, x > 1
            constant = x * 0 + 3
            ctx.mark_non_differentiable(constant)
            ctx.save_for_backward(x, w, y, None, z)
            return y, "text", z, positive, constant

        @staticmethod
        def backward(ctx, *gradients):
            _, w, y, nothing, z = ctx.saved_tensors
            assert nothing is None
            assert gradients[1] is None
            a, b = gradients[0], gradients[2]
            return a * y + b * w, a * y / w + b * z / w

    return Both


def test_the_way_of_tinycnn_stays():
    class Square(Function):
        saves_inputs = True

        def forward(self, x):
            return x * x

        def backward(self, grad_output):
            return grad_output * self.inputs[0] * 2.0

    x = leaf(tinycnn, 3)
    assert gradcheck(lambda x: Square()(x), x)
    with pytest.raises(RuntimeError, match=r"Square\.apply: expected forward as a static method.*Square\(\)\(\.\.\.\)"):
        Square.apply(x)
    with pytest.raises(RuntimeError, match=r"Scale: forward is a static method: use Scale\.apply"):
        scale(tinycnn)()(x)


@pytest.mark.parametrize("make", [exp, both, scale], ids=lambda make: make.__name__)
def test_gradients_of_both_orders_are_right(make):
    cls = make(tinycnn)
    inputs = [leaf(tinycnn, 2, 3), leaf(tinycnn, 2, 3, seed=1)]

    def run(*given):
        arguments = given[:1] if make is exp else (*given, 3.0) if make is scale else given
        found = cls.apply(*arguments)
        return [found[0], found[2], found[0] * found[2]] if make is both else found

    assert gradcheck(run, inputs[:1] if make is exp else inputs)
    assert gradgradcheck(run, inputs[:1] if make is exp else inputs)


def test_a_wrong_backward_is_caught():
    class Wrong(exp(tinycnn)):
        @staticmethod
        def backward(ctx, grad_output):
            return grad_output * 2

    assert not gradcheck(Wrong.apply, leaf(tinycnn, 2), raise_exception=False)


def run_scale(lib):
    x, w = leaf(lib, 2, 3), leaf(lib, 3, seed=1)
    y = scale(lib).apply(x, w, 3.0)
    y.sum().backward()
    return y, x.grad, w.grad, y.grad_fn is not None, y.is_leaf


def run_keyword(lib):
    x, w = leaf(lib, 2, 3), leaf(lib, 3, seed=1)
    return lib.autograd.grad(scale(lib).apply(x, factor=3.0, w=w).sum(), [x, w])


def run_several(lib):
    x, w = leaf(lib, 2, 3), leaf(lib, 2, 3, seed=1)
    outputs = both(lib).apply(x, w)
    y, _, z, _, _ = outputs
    first = lib.autograd.grad((y * z).sum(), [x, w], create_graph=True)
    second = lib.autograd.grad((first[0] * first[1]).sum(), [x, w])
    only_one = lib.autograd.grad(both(lib).apply(x, w)[2].sum(), w)
    return outputs, first, second, only_one


def run_output_as_target(lib):
    """Gradients with respect to single outputs, with hooks and retained gradients of these."""
    x, w = leaf(lib, 2), leaf(lib, 2, seed=1)
    y, _, z, _, _ = both(lib).apply(x * 1, w)
    found = lib.autograd.grad((y * z * z).sum(), [y, z], retain_graph=True)
    y.register_hook(lambda gradient: gradient * 10)
    z.retain_grad()
    (y * z * z).sum().backward()
    return found, x.grad, w.grad, z.grad


def run_twice(lib):
    x = leaf(lib, 3)
    y = exp(lib).apply(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    first = x.grad.clone()
    try:
        y.backward()
    except RuntimeError:
        return first
    return None


def run_twice_with_nothing_saved(lib):
    x = leaf(lib, 3)
    y = returning(lib, lib.ones(3, dtype=lib.float64), None).apply(x, 2.0).sum()
    y.backward()
    y.backward()

    class Nothing(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad_output):
            return grad_output * (2 + len(ctx.saved_tensors))

    return x.grad, lib.autograd.grad(Nothing.apply(x).sum(), x)


def run_modes(lib):
    x = leaf(lib, 3)
    with lib.no_grad():
        off = exp(lib).apply(x)
        with lib.enable_grad():
            on = exp(lib).apply(x)
    return off, on, exp(lib).apply(x.detach()), exp(lib).apply(on)


def run_inside(lib):
    """forward is not recorded, and gets the very tensors; backward is recorded with create_graph only."""
    seen = []

    class Look(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, n):
            seen.extend([x is given, lib.is_grad_enabled(), (x * 2).requires_grad, x.requires_grad])
            seen.append(ctx.needs_input_grad)
            return x * n

        @staticmethod
        def backward(ctx, grad_output):
            seen.extend([lib.is_grad_enabled(), ctx.needs_input_grad])
            return grad_output * 2, None

    given = leaf(lib, 3)
    y = Look.apply(given, 2).sum()
    lib.autograd.grad(y, given, retain_graph=True)
    lib.autograd.grad(y, given, create_graph=True)
    return seen


def run_materialize(lib):
    seen = []

    def made(materialize):
        class Two(lib.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.set_materialize_grads(materialize)
                return x * 2, x * 3

            @staticmethod
            def backward(ctx, a, b):
                seen.append((a, b))
                return b * 3

        return Two

    for materialize in (True, False):
        x = leaf(lib, 3)
        _, z = made(materialize).apply(x)
        z.sum().backward()
        seen.append(x.grad)
    return seen


def run_aliases(lib):
    """Outputs that are inputs, are other tensors of the same memory."""

    class Same(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, other):
            return x, other

        @staticmethod
        def backward(ctx, a, b):
            return a * 3, b * 5

    x, other = leaf(lib, 2), leaf(lib, 2, seed=1)
    h = x * 1
    y, z = Same.apply(h, other)
    (y.sum() + z.sum()).backward()
    return y is h, z is other, y, z, x.grad, other.grad, other.is_leaf


def run_returned_and_saved(lib):
    class Same(lib.autograd.Function):
        """What it saves is the input, with the history of that."""

        @staticmethod
        def forward(ctx, x, constant):
            ctx.save_for_backward(x)
            return x, constant

        @staticmethod
        def backward(ctx, a, b):
            (x,) = ctx.saved_tensors
            return a * x * x, None

    x, constant = leaf(lib, 3), lib.tensor(array(3, seed=1))
    y, other = Same.apply(x * 2, constant)
    (first,) = lib.autograd.grad((y * y).sum(), x, create_graph=True)
    with lib.no_grad():
        off = Same.apply(x, constant)
    return first, lib.autograd.grad(first.sum(), x), other, constant, other is constant, off[0] is x, off


def run_returned_twice(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            return y, y

        @staticmethod
        def backward(ctx, a, b):
            return a * 3 + b * 5

    x = leaf(lib, 3)
    y, z = Twice.apply(x)
    assert y is z  # whose whole gradient is that of the last
    return lib.autograd.grad((y + z * 7).sum(), x)


def run_setup_context(lib):
    class Power(lib.autograd.Function):
        @staticmethod
        def forward(x, exponent=2):
            return x**exponent, x.exp()

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.exponent = inputs
            ctx.save_for_backward(x, output[1])

        @staticmethod
        def backward(ctx, a, b):
            x, y = ctx.saved_tensors
            return a * ctx.exponent * x ** (ctx.exponent - 1) + b * y, None

    x = leaf(lib, 3)
    found = [Power.apply(x, 3), Power.apply(x), Power.apply(x, exponent=3)]
    return found, lib.autograd.grad(sum(y.sum() + z.sum() for y, z in found), x)


def run_dirty(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, grad_output):
            return grad_output * 2

    x = leaf(lib, 3)
    h = x * 1
    y = Double.apply(h)
    (h * h).sum().backward()
    plain = lib.tensor(array(3))
    return y is h, h, x.grad, Double.apply(plain), plain


def run_dirty_with_views(lib):
    """Views of an input that is changed in place have the history of what they then are."""

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x.clone(), w)
            x.pow_(2).mul_(w)
            ctx.mark_dirty(x)
            return x, x.sum()

        @staticmethod
        def backward(ctx, a, b):
            x, w = ctx.saved_tensors
            return 2 * x * w * (a + b), x * x * (a + b)

    x, w = leaf(lib, 3), leaf(lib, 3, seed=1)
    h = x * 1
    part = h[1:]
    y, total = Square.apply(h, w)
    plain = lib.tensor(array(3))
    Square.apply(plain, w)
    ((part * part).sum() + total + (y + h).sum() + plain.sum()).backward()
    return y is h, part, x.grad, w.grad, plain


def run_dirty_view_of_a_leaf(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

    Double.apply(leaf(lib, 3)[1:])


def run_alias_changed_in_place(lib):
    class Same(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad_output):
            return grad_output

    h = leaf(lib, 3) * 1
    y = Same.apply(h)
    y.mul_(2)
    h.sum().backward()


def run_output_changed_in_place(lib):
    x, w = leaf(lib, 3), leaf(lib, 3, seed=1)
    y = scale(lib).apply(x, w, 2.0)
    y.mul_(w)
    y += 1
    y[1:] = 0
    y.sum().backward()
    return y, x.grad, w.grad


def run_dirty_leaf(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

    Double.apply(leaf(lib, 3))


def run_dirty_not_returned(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x * 2

    Double.apply(leaf(lib, 3) * 1)


def run_changed_input(lib):
    x, w = leaf(lib, 3), leaf(lib, 3, seed=1)
    h = x * 1
    y = scale(lib).apply(h, w, 2.0)
    with lib.no_grad():
        h.add_(1)
    y.sum().backward()


def run_changed_output(lib):
    y = exp(lib).apply(leaf(lib, 3))
    with lib.no_grad():
        y.add_(1)
    y.sum().backward()


def run_once(lib):
    import importlib

    once = importlib.import_module(f"{lib.__name__}.autograd.function").once_differentiable

    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        @once
        def backward(ctx, grad_output):
            (x,) = ctx.saved_tensors
            modes.append(lib.is_grad_enabled())
            return grad_output * 3 * x * x

    x, modes = leaf(lib, 3), []
    (gradient,) = lib.autograd.grad(Cube.apply(x).sum(), x)
    (recorded,) = lib.autograd.grad((Cube.apply(x) ** 2).sum(), x, create_graph=True)
    try:
        recorded.sum().backward()
    except RuntimeError:
        return gradient, recorded, modes
    return None


def run_no_tensors(lib):
    class Text(lib.autograd.Function):
        @staticmethod
        def forward(ctx, *given):
            return (len(given),)

    return Text.apply("a", None, [1]), Text.apply()


def run_broadcast_gradient(lib):
    x = leaf(lib, 3)
    lib.autograd.backward(returning(lib, lib.ones(4, 3, dtype=x.dtype), None).apply(x, 2.0), lib.ones(3, dtype=x.dtype))
    return x.grad


def run_save_a_number(lib):
    class Save(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(3)
            return x * 2

    Save.apply(leaf(lib, 2))


def run_not_static(lib):
    class Plain(lib.autograd.Function):
        def forward(ctx, x):
            return x

    Plain.apply(leaf(lib, 2))


def run_without_backward(lib):
    class Forward(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    Forward.apply(leaf(lib, 2)).sum().backward()


def run_inherited(lib):
    class Fourfold(scale(lib)):
        @staticmethod
        def backward(ctx, grad_output):
            first, second, _ = super(Fourfold, Fourfold).backward(ctx, grad_output)
            return first * 4, second * 4, None

    x, w = leaf(lib, 3), leaf(lib, 3, seed=1)
    return lib.autograd.grad(Fourfold.apply(x, w, 1.0).sum(), [x, w])


def returning(lib, *gradients):
    class Returns(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            return x * factor

        @staticmethod
        def backward(ctx, grad_output):
            return gradients if len(gradients) != 1 else gradients[0]

    return Returns


PROGRAMS = {name.removeprefix("run_"): program for name, program in list(globals().items()) if name.startswith("run_")}


@pytest.mark.torch
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "not_static"])  # torch lets it be forgotten
def test_programs_agree_with_torch(name):
    import torch

    check_same(outcome(PROGRAMS[name], tinycnn), outcome(PROGRAMS[name], torch))


def test_what_the_programs_give_without_torch():
    """So that a wrong result is seen where there is no torch to compare with."""
    refused = [name for name, program in PROGRAMS.items() if isinstance(outcome(program, tinycnn), str)]
    assert refused == [
        "dirty_view_of_a_leaf", "alias_changed_in_place", "dirty_leaf", "dirty_not_returned", "changed_input",
        "changed_output", "save_a_number", "not_static", "without_backward",
    ]  # fmt: skip
    x, w = array(3), array(3, seed=1)
    assert outcome(run_twice, tinycnn) is not None
    assert outcome(run_twice_with_nothing_saved, tinycnn)[0][0].tolist() == [2, 2, 2]
    assert outcome(run_once, tinycnn)[-1] == [False, False]
    assert outcome(run_returned_and_saved, tinycnn)[4:6] == [False, False]
    np.testing.assert_array_equal(outcome(run_returned_twice, tinycnn)[0][0], 40)
    y, gradient_x, gradient_w, recorded, is_leaf = outcome(run_scale, tinycnn)
    np.testing.assert_allclose(gradient_x[0], 3 * array(3, seed=1) + 0 * gradient_x[0])
    np.testing.assert_allclose(gradient_w[0], 3 * array(2, 3).sum(0))
    assert (y[1], recorded, is_leaf) == (True, True, False)
    assert [is_recorded for _, is_recorded in outcome(run_several, tinycnn)[0][2:]] == [True, False, False]
    second = outcome(run_returned_and_saved, tinycnn)[1][0][0]
    u = 2 * array(3)
    np.testing.assert_allclose(second, 8 * u**4 + 16 * u**2)
    assert outcome(run_aliases, tinycnn)[:2] == [False, False]
    for gradient, factor in zip(outcome(run_aliases, tinycnn)[4:6], (3, 5)):
        np.testing.assert_array_equal(gradient[0], factor)
    assert [pair[0] for pair in outcome(run_materialize, tinycnn)[2:3]] == [None]
    assert outcome(run_dirty, tinycnn)[0] is True
    y = x * x * w
    found = outcome(run_dirty_with_views, tinycnn)[2][0]
    np.testing.assert_allclose(found, 2 * x * w * (3 + 2 * y * [0, 1, 1]))


@pytest.mark.parametrize(
    "gradients, kind, message",
    [
        (lambda lib: (None,), RuntimeError, "Returns.backward: expected 2 gradients, one per input, got 1"),
        (lambda lib: (1.0, None), TypeError, "Returns.backward: expected Tensors or None, got float"),
        (lambda lib: (lib.ones(3),) * 2, RuntimeError,
         "Returns.backward: expected None as gradient 1, for that input is no Tensor, got Tensor"),
        (lambda lib: (lib.ones(2), None), RuntimeError,
         "Returns.backward: a gradient of shape (2,) for an input of shape (3,)"),
        (lambda lib: (lib.ones(3), None, lib.ones(3)), RuntimeError,
         "Returns.backward: expected 2 gradients, one per input, got 3"),
        (lambda lib: (lib.ones(3), None, None, None), None, ""),
    ],
    ids=["too few", "a number", "for a number", "wrong shape", "too many", "None too many"],
)  # fmt: skip
def test_wrong_gradients_are_refused_by_name(gradients, kind, message):
    y = returning(tinycnn, *gradients(tinycnn)).apply(leaf(tinycnn, 3), 2.0).sum()
    if kind is None:
        y.backward()
    else:
        with pytest.raises(kind, match=re.escape(message)):
            y.backward()


def test_errors_name_the_class():
    def message(program):
        with pytest.raises((RuntimeError, TypeError, NotImplementedError)) as caught:
            program(tinycnn)
        return str(caught.value)

    assert "backward through Scale: saved tensor 0 of shape (3,) was changed in place" in message(run_changed_input)
    assert "backward through Exp: saved tensor 0 of shape (3,) was changed in place" in message(run_changed_output)
    assert message(run_dirty_leaf) == (
        "Double: a leaf that requires grad cannot be changed in place: do it under no_grad()"
    )
    assert message(run_dirty_not_returned) == "Double: an input that mark_dirty names must also be an output"
    assert message(run_save_a_number) == "Save: save_for_backward expected argument 0 as a Tensor or None, got int"
    assert message(run_without_backward) == "Forward: expected a static method backward(ctx, *grad_outputs)"


# --- what only tinycnn can be asked -----------------------------------------------------------------------


def test_a_view_cannot_be_dirty():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

    with pytest.raises(RuntimeError, match=r"Double: expected no view of another tensor in mark_dirty: clone\(\) it"):
        Double.apply((leaf(tinycnn, 3) * 1)[1:])


def test_the_graph_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        for make in (exp, both):
            x, w = leaf(tinycnn, 3), leaf(tinycnn, 3)
            outputs = make(tinycnn).apply(*((x,) if make is exp else (x, w)))
            first = outputs[0] if isinstance(outputs, tuple) else outputs
            first.sum().backward(retain_graph=True)
            nodes = [weakref.ref(first.grad_fn)]
            del outputs, first
            assert [node() for node in nodes] == [None]
    finally:
        gc.enable()


def test_saved_tensors_are_freed_by_the_backward_pass():
    kept = []

    class Keep(exp(tinycnn)):
        @staticmethod
        def backward(ctx, grad_output):
            kept.append(ctx)
            return exp(tinycnn).backward(ctx, grad_output)

    y = Keep.apply(leaf(tinycnn, 3))
    y.sum().backward()
    with pytest.raises(RuntimeError, match=r"Keep: ctx\.saved_tensors are there in backward, until the graph is freed"):
        _ = kept[0].saved_tensors


def test_a_walk_that_fails_leaves_nothing_for_the_next():
    x, w = leaf(tinycnn, 2), leaf(tinycnn, 2, seed=1)
    y, _, z, _, _ = both(tinycnn).apply(x, w)

    class Fails(exp(tinycnn)):
        @staticmethod
        def backward(ctx, grad_output):
            raise KeyError("planted")

    with pytest.raises(KeyError, match="planted"):
        (Fails.apply(y) + z).sum().backward(retain_graph=True)
    expected = autograd.grad(both(tinycnn).apply(x, w)[2].sum(), [x, w])
    for gradient, right in zip(autograd.grad(z.sum(), [x, w]), expected):
        np.testing.assert_array_equal(gradient.numpy(), right.numpy())


def test_several_threads_walk_through_one_node():
    x, w = leaf(tinycnn, 50), leaf(tinycnn, 50, seed=1)
    y, _, z, _, _ = both(tinycnn).apply(x, w)
    expected = autograd.grad((y * 2 + z).sum(), [x, w], retain_graph=True)
    wrong = []

    def work():
        for _ in range(20):
            found = autograd.grad((y * 2 + z).sum(), [x, w], retain_graph=True)
            wrong.extend(1 for a, b in zip(found, expected) if not tinycnn.allclose(a, b))

    side_by_side(work, work, work)
    assert wrong == []


def test_in_a_module_with_hooks_and_a_summary():
    class Layer(tinycnn.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = tinycnn.nn.Linear(3, 3, dtype="float64")

        def forward(self, x):
            y, _, z, _, _ = both(tinycnn).apply(self.linear(x), x)
            return y + z

    net = Layer()
    seen = []
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(len(grad_output)))
    x = leaf(tinycnn, 2, 3)
    output = net(x)
    output.sum().backward()
    assert seen == [1]
    assert x.grad.shape == (2, 3)
    assert "output 0 of Both" in tinycnn.graph(net.linear(x) * 0 + both(tinycnn).apply(x, x)[0])
    assert "Scale" in tinycnn.graph(scale(tinycnn).apply(x, x, 2.0))
    assert str(tinycnn.summary(tinycnn.nn.Sequential(tinycnn.nn.Linear(3, 3)), (2, 3), show=False))


def test_anomaly_mode_names_the_function():
    class Bad(exp(tinycnn)):
        @staticmethod
        def backward(ctx, grad_output):
            return grad_output * float("nan")

    class FromArray(exp(tinycnn)):
        @staticmethod
        def forward(ctx, x):
            return tinycnn.from_numpy(np.full((3,), np.nan)), x * 2

    x = leaf(tinycnn, 3)
    with tinycnn.detect_anomaly():
        with pytest.raises(RuntimeError, match="the gradient of Bad is the first nan.*test_custom_function"):
            Bad.apply(x).sum().backward()
        with pytest.raises(RuntimeError, match="FromArray produced the first nan, called at"):
            FromArray.apply(x)


def test_a_node_shows_what_it_is():
    x, w = leaf(tinycnn, 3), leaf(tinycnn, 3)
    y = scale(tinycnn).apply(x, w, 2.0)
    assert (repr(y.grad_fn), y.grad_fn.name()) == ("<Scale>", "Scale")
    assert [node.variable for node, _ in y.grad_fn.next_functions[:2]] == [x, w]
    assert y.grad_fn.next_functions[2] == (None, 0)
    output = both(tinycnn).apply(x, w)[2].grad_fn
    assert repr(output) == "<output 2 of Both>"
    assert repr(output.next_functions[0][0]) == "<Both>"


def test_once_differentiable_takes_several_gradients():
    @once_differentiable
    def backward(ctx, grad_output):
        return grad_output * 2, None

    class Ctx:
        _name = "Two"

    recorded, nothing = backward(Ctx, leaf(tinycnn, 3))
    assert nothing is None
    with pytest.raises(RuntimeError, match=r"Two\.backward is once_differentiable"):
        recorded.sum().backward()
