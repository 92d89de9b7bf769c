"""Changes in place: values in shared memory, gradients through them, and what is refused."""

import gc
import sys

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor, gradcheck, nn, no_grad, tensor
from tinycnn.methods import Methods
from tinycnn.nn import functional as F
from tinycnn.ops import in_place

OTHER_SHAPES = ("squeeze_", "unsqueeze_", "transpose_", "t_")
SECOND_NAMES = ("subtract_", "multiply_", "divide_", "negative_", "absolute_", "clip_")
FORMS = sorted(
    name for name, form in vars(Methods).items()
    if name.endswith("_") and hasattr(form, "__wrapped__") and name not in (*OTHER_SHAPES, *SECOND_NAMES)
    and not name.startswith("__") and name not in ("addmv_", "baddbmm_")  # of other dimensions than the sample
)  # fmt: skip
OF_INTEGERS = [name for name in FORMS if name.startswith("bitwise")]
OF_TRUTH = [name for name in FORMS if name.startswith("logical")]
PLACES = tensor([[0, 1, 1], [1, 0, 0]])
# Arguments besides the tensor itself, where there are any.
ARGUMENTS = {
    "add_": (0.5,), "sub_": (0.5,), "mul_": (3.0,), "div_": (2.0,), "floor_divide_": (0.5,), "remainder_": (0.7,),
    "pow_": (3,), "clamp_": (0.5, 1.5), "masked_fill_": (tensor([[True, False, True], [False, True, False]]), 7.0),
    "cumsum_": (1,), **dict.fromkeys(("eq_", "ne_", "lt_", "le_", "gt_", "ge_"), (1.0,)), "clamp_min_": (0.9,),
    "clamp_max_": (0.9,), "fmod_": (0.7,), **dict.fromkeys(("atan2_", "hypot_", "xlogy_"), (np.full((2, 3), 0.5),)),
    "lerp_": (np.full((2, 3), 0.5), 0.3), **dict.fromkeys(("addcmul_", "addcdiv_"), (np.full((2, 3), 0.5), np.ones(3))),
    "scatter_": (0, PLACES, np.full((2, 3), 0.5)), "scatter_add_": (0, PLACES, np.full((2, 3), 0.5)),
    "index_add_": (1, tensor([0, 2]), np.full((2, 2), 0.5)), "index_copy_": (1, tensor([0, 2]), np.full((2, 2), 0.5)),
    "index_fill_": (1, tensor([0, 2]), 0.5), "masked_scatter_": (tensor([[True, False, True]] * 2), np.full(4, 0.5)),
    "logit_": (0.1,), "cumprod_": (1,), "heaviside_": (np.ones(3),), "nextafter_": (np.ones((2, 3)),),
    "addmm_": (np.full((2, 4), 0.5), np.full((4, 3), 0.2)), "addr_": (np.ones(2), np.full(3, 0.2)),
    "addbmm_": (np.full((5, 2, 4), 0.5), np.full((5, 4, 3), 0.2)),
    "index_put_": ((tensor([0, 1]), tensor([2, 0])), np.array([3.0, 4.0])),
    **dict.fromkeys(("bitwise_left_shift_", "bitwise_right_shift_"), (1,)),
    "bitwise_not_": (), **dict.fromkeys(("bitwise_and_", "bitwise_or_", "bitwise_xor_"), (np.array([4, 1, 1]),)),
    "logical_not_": (), **dict.fromkeys(("logical_and_", "logical_or_", "logical_xor_"), (np.array([0.0, 1.0, 1.0]),)),
}  # fmt: skip
# Where the function itself is defined, and is not constant.
INSIDE = {"asin_": (0.1, 0.9), "acos_": (0.1, 0.9), "atanh_": (0.1, 0.9), "acosh_": (1.1, 2.0), "logit_": (0.2, 0.8)}


def arguments_of(name):
    return tuple(tensor(x) if isinstance(x, np.ndarray) else x for x in ARGUMENTS.get(name, ()))


def sample(seed=0, shape=(2, 3), between=(0.3, 2.0)):
    return tensor(np.random.default_rng(seed).uniform(*between, shape), requires_grad=True)


def gradient(y, x):
    upstream = tensor(np.random.default_rng(1).standard_normal(tuple(y.shape)))
    (found,) = tinycnn.grad(y, [x], upstream, retain_graph=True, allow_unused=True)
    return np.zeros(x.shape) if found is None else found.numpy()


def test_there_are_many_forms():
    assert len(FORMS) > 70
    assert all(getattr(Tensor, name) is getattr(in_place, name) for name in in_place.__all__)
    assert [getattr(Tensor, name).__name__ for name in FORMS] == FORMS


@pytest.mark.parametrize("name", FORMS)
def test_the_result_overwrites_the_memory(name):
    x = tensor([5, 3, 0]) if name in OF_INTEGERS else sample(between=INSIDE.get(name, (0.3, 2.0))).detach()
    arguments = arguments_of(name)
    held, address, view = x.numpy(), x.data_ptr(), x[0]
    expected = getattr(x, name[:-1])(*arguments)
    assert getattr(x, name)(*arguments) is x
    np.testing.assert_array_equal(x.numpy(), expected.numpy().astype(x.dtype))
    assert x.data_ptr() == address
    np.testing.assert_array_equal(held, x.numpy())
    np.testing.assert_array_equal(view.numpy(), held[0])


@pytest.mark.parametrize("name", sorted(set(FORMS) - {*OF_INTEGERS, *OF_TRUTH, "nextafter_"}))
@pytest.mark.parametrize("known", ["alone", "known", "view"])
def test_gradients_are_those_of_the_function(name, known):
    """Whether nobody else knows the memory, somebody does, or it is a part of another tensor's."""
    arguments = arguments_of(name)
    x = sample(between=INSIDE.get(name, (0.3, 2.0)))
    y = x * 1.0
    expected = getattr(y.clone(), name[:-1])(*arguments).to(y.dtype)
    base = tinycnn.cat([y, y]) if known == "view" else y
    held = base.detach() if known == "known" else None
    z = base[:2] if known == "view" else base
    changed = getattr(z, name)(*arguments)
    assert changed is z
    assert z.requires_grad
    np.testing.assert_array_equal(z.detach().numpy(), expected.detach().numpy())
    if held is not None:
        np.testing.assert_array_equal(held.numpy(), expected.detach().numpy())
    wanted = gradient(expected, x) if expected.requires_grad else np.zeros(x.shape)
    np.testing.assert_allclose(gradient(z, x), wanted, rtol=1e-12)
    if known == "view":
        np.testing.assert_array_equal(base[:2].detach().numpy(), expected.detach().numpy())
        np.testing.assert_allclose(gradient(base[:2], x), wanted, rtol=1e-12)
        assert (gradient(base[2:].sum(), x) != 0).all()


@pytest.mark.parametrize(
    "function, options",
    [
        (F.relu, {}), (F.leaky_relu, {"negative_slope": 0.2}), (F.elu, {"alpha": 0.5}), (F.silu, {}), (F.hardswish, {}),
        (F.hardtanh, {"min_val": -0.5}), (F.relu6, {}), (F.hardsigmoid, {}),
        (F.threshold, {"threshold": 0.2, "value": 3.0}), (F.mish, {}), (F.celu, {"alpha": 0.5}), (F.selu, {}),
        (F.dropout, {"p": 0.5}), (F.dropout2d, {"p": 0.5}),
    ],
)  # fmt: skip
def test_inplace_of_activations_and_dropout(function, options):
    x = tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 5)), requires_grad=True)
    y = x * 1.0
    before = y.detach().numpy().copy()
    tinycnn.manual_seed(0)
    expected = function(x, **options)
    tinycnn.manual_seed(0)
    assert function(y, inplace=True, **options) is y
    assert not np.array_equal(y.detach().numpy(), before)
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    np.testing.assert_allclose(gradient(y, x), gradient(expected, x), rtol=1e-12)
    assert gradcheck(lambda x: function(x * 1.0, inplace=True, **options), [x]) if "p" not in options else True


@pytest.mark.parametrize("layer", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Hardswish, nn.Dropout])
def test_layers_write(layer):
    x = tinycnn.randn(4, 50)
    expected = x.clone()
    y = layer(inplace=True)(x)
    assert y is x
    if layer is not nn.Dropout:
        np.testing.assert_array_equal(y.numpy(), layer()(expected).numpy())


def test_a_net_with_inplace_is_the_net_without():
    """A block whose sums and activations write, in which a view of a view is changed, too."""

    def block(x, w, inplace):
        h = F.relu(F.batch_norm(F.conv2d(x, w, padding=1), None, None, training=True), inplace=inplace)
        h = h * 1.0
        if inplace:
            h += x
            h[:, 1:].mul_(0.5)
            h[0, 1].t().add_(1.0)
        else:
            h = h + x
            h = tinycnn.cat([h[:, :1], h[:, 1:] * 0.5], 1)
            one = tinycnn.zeros_like(h)
            one[0, 1] = 1.0
            h = h + one
        return F.leaky_relu(F.conv2d(h, w), 0.1, inplace=inplace)

    x, w = sample(0, (2, 2, 4, 5)), sample(1, (2, 2, 3, 3))
    results = []
    for inplace in (False, True):
        y = block(x, w, inplace)
        results.append([y.detach().numpy(), *(g.numpy() for g in tinycnn.grad((y * y).sum(), [x, w]))])
    for without, with_it in zip(*results):
        np.testing.assert_allclose(with_it, without, rtol=1e-10)


# --- assignments ------------------------------------------------------------------------------------------

MASK = tensor([[True, False, True], [False, False, True]])
ASSIGNMENTS = {
    "element": ((0, 1), ()), "row": (1, (3,)), "broadcast": ((slice(None), slice(1)), (2, 1)),
    "strided": ((..., slice(None, None, 2)), (2, 2)),
    "mask": (MASK, ()), "mask_values": (MASK, (3,)), "list": ([1, 0], (2, 3)), "pairs": (([0, 1], [2, 0]), (2,)),
    "all": (..., (2, 3)), "leading_ones": (0, (1, 1, 3)), "none": (None, (1, 2, 3)), "after_int": ((1, [0, 2]), (2,)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ASSIGNMENTS)
def test_assignments_are_recorded(kind):
    index, shape = ASSIGNMENTS[kind]

    def assigned(x, value):
        y = x * 2.0
        y[index] = value
        return y * y

    x, value = sample(), sample(1, shape)
    assert gradcheck(assigned, [x, value])
    assert tinycnn.gradgradcheck(assigned, [x, value])

    def into_constant(value):
        y = tinycnn.zeros(2, 3, dtype="float64")
        y[index] = value
        return y

    assert gradcheck(into_constant, [value])
    y = x * 2.0
    y[index] = 1.0  # a number
    part = tinycnn.zeros(2, 3)
    part[index] = 1.0
    np.testing.assert_array_equal(gradient(y.sum(), x) == 0, part.numpy() == 1)


def test_an_index_may_change_after_the_assignment():
    x, index = sample(0, (4,)), tensor([0, 2])
    y = x * 1.0
    y[index] = 5.0
    index.fill_(1)
    assert gradient(y.sum(), x).astype(bool).tolist() == [False, True, False, True]


def test_whole_tensors():
    x = sample()
    for change in (lambda y: y.fill_(2.0), lambda y: y.zero_(), lambda y: y.copy_(tinycnn.ones(3))):
        y = x * 3.0
        change(y)
        assert y.requires_grad
        assert not gradient(y, x).any()
    y = tinycnn.zeros(2, 3)
    y.copy_(x)
    np.testing.assert_allclose(gradient(y, x), gradient(x.float() * 1.0, x))


# --- views ------------------------------------------------------------------------------------------------


class Program:
    """Random views and changes in place, the same ones on arrays of NumPy and on Tensors."""

    def __init__(self, seed, steps=8):
        rng = self.rng = np.random.default_rng(seed)
        self.steps = []
        shapes = [(3, 4), (3, 4)]
        self.family = [0, 1]  # of which input each is a view
        for _ in range(steps):
            i = int(rng.integers(len(shapes)))
            kind = rng.choice(["slice", "transpose", "reshape", "number", "function", "add", "assign", "fill", "new"])
            shape = shapes[i]
            if kind == "slice" and shape and shape[0] > 1:
                start = int(rng.integers(shape[0] - 1))
                self.view(i, lambda x, s=start: x[s:], (shape[0] - start, *shape[1:]), shapes)
            elif kind == "transpose" and len(shape) == 2:
                self.view(i, lambda x: x.T, shape[::-1], shapes)
            elif kind == "reshape" and len(shape) == 2:
                self.view(i, lambda x: x[..., None], (*shape, 1), shapes)
            elif kind == "number":
                factor = float(rng.uniform(0.5, 1.5))
                self.steps.append(("change", i, lambda x, f=factor: imul(x, f)))
            elif kind == "function":
                self.steps.append(("change", i, sine))
            elif kind in ("add", "assign"):
                same = [j for j, other in enumerate(shapes) if other == shape and self.family[j] != self.family[i]]
                if same:
                    j = int(rng.choice(same))
                    self.steps.append(("both", (i, j), iadd if kind == "add" else put))
            elif kind == "fill":
                self.steps.append(("change", i, fill))
            elif kind == "new":
                self.steps.append(("new", i, lambda x: x * 1.5))
                shapes.append(shape)
                self.family.append(len(shapes) - 1)
        self.shapes = shapes

    def view(self, i, function, shape, shapes):
        self.steps.append(("new", i, function))
        shapes.append(shape)
        self.family.append(self.family[i])

    def run(self, a, b):
        values = [a * 1.0, b * 1.0]
        for kind, i, function in self.steps:
            if kind == "new":
                values.append(function(values[i]))
            elif kind == "change":
                function(values[i])
            else:
                function(values[i[0]], values[i[1]])
        return values

    def loss(self, a, b):
        """A weighted sum of all values."""
        weights = np.random.default_rng(3)
        total = 0.0
        for value in self.run(a, b):
            w = weights.standard_normal(tuple(value.shape))
            total = total + (value * (w if isinstance(value, np.ndarray) else tensor(w))).sum()
        return total


def imul(x, factor):
    x *= factor


def iadd(x, y):
    x += y


def put(x, y):
    x[...] = y


def fill(x):
    x[:1] = 0.7


def sine(x):
    np.sin(x, out=x) if isinstance(x, np.ndarray) else x.sin_()


@pytest.mark.parametrize("seed", range(150))
def test_random_views_and_changes(seed):
    program, rng = Program(seed), np.random.default_rng(100 + seed)
    arrays = [rng.standard_normal((3, 4)) for _ in range(2)]
    a, b = (tensor(array, requires_grad=True) for array in arrays)
    for found, expected in zip(program.run(a, b), program.run(*arrays), strict=True):
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12)
    program.loss(a, b).backward()
    step = 1e-6
    for x, i in ((a, 0), (b, 1)):
        for place in ((0, 0), (1, 2), (2, 3)):
            moved = []
            for sign in (1, -1):
                shifted = [array.copy() for array in arrays]
                shifted[i][place] += sign * step
                moved.append(program.loss(*shifted))
            found = 0.0 if x.grad is None else x.grad.numpy()[place]
            assert found == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-6, abs=1e-6)


def test_a_change_of_the_whole_is_seen_by_its_views():
    x = sample()
    y = x * 1.0
    row = y[1]
    y.mul_(3.0)
    assert tinycnn.grad(row.sum(), x, retain_graph=True)[0].tolist() == [[0.0] * 3, [3.0] * 3]
    y.zero_()
    assert not tinycnn.grad(row.sum(), x)[0].any()


def test_rows_written_one_by_one():
    x = sample()
    rows = tinycnn.zeros(2, 3, dtype="float64")
    for i in range(2):
        rows[i] = x[i] ** 2
    rows[0].add_(x[1])
    np.testing.assert_allclose(gradient(rows, x), gradient(tinycnn.stack([x[0] ** 2 + x[1], x[1] ** 2]), x))


def test_views_leave_no_trace():
    x = tinycnn.ones(3, 4)
    for i in range(1000):
        assert x[i % 3].shape == (4,)
    assert len(x._changes.sharers) < 50
    base = tinycnn.ones(4, requires_grad=True) * 1.0
    view = base[1:]
    view.mul_(2.0)
    count = len(gc.get_objects())
    del base, view
    assert gc.collect() == 0 or len(gc.get_objects()) <= count


def test_retained_gradients_follow():
    x = sample()
    y = x * 2.0
    y.retain_grad()
    y.mul_(3.0)
    (y * 5.0).sum().backward()
    assert y.grad.tolist() == [[5.0] * 3] * 2


# --- refused ----------------------------------------------------------------------------------------------


def test_leaves_are_refused():
    x = sample()
    changes = [
        lambda x: x.add_(1.0), lambda x: x.fill_(1.0), lambda x: x.__setitem__(0, 1.0), lambda x: x.relu_(),
        lambda x: F.relu(x, inplace=True), lambda x: x.__iadd__(1.0),
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(RuntimeError, match="a leaf that requires grad cannot be changed in place"):
            change(x)
        with pytest.raises(RuntimeError, match="a view of a leaf that requires grad cannot be changed in place"):
            change(x[1:])
        with no_grad():
            change(x.clone())
            change(x[1:])
    assert x.is_leaf


def test_what_a_graph_still_needs_is_refused_in_the_backward_pass():
    x = sample()
    for spoil in (lambda y: y.add_(1.0), lambda y: y[0].zero_(), lambda y: F.relu(y, inplace=True)):
        y = x * 2.0
        z = y * y
        spoil(y)
        with pytest.raises(RuntimeError, match="Mul: input 0 of shape .* was changed in place"):
            z.sum().backward()
        y = x.exp()
        spoil(y)
        with pytest.raises(RuntimeError, match="Exp: the output of shape .* was changed in place"):
            y.sum().backward()


@pytest.mark.parametrize("clip", [F.relu6, F.hardtanh, F.hardsigmoid, lambda x: x.clamp(0, 1)])
def test_the_output_of_clipping_may_be_changed(clip):
    x = sample()
    y = clip(x).div_(6.0)
    np.testing.assert_allclose(gradient(y, x), gradient(clip(x) / 6.0, x))


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d, nn.InstanceNorm2d, lambda C, affine: nn.GroupNorm(2, C, affine=affine)]
)
@pytest.mark.parametrize("affine", [True, False])
def test_the_output_of_a_normalisation_may_be_changed(norm, affine):
    layer, x = norm(4, affine=affine).double(), sample(0, (2, 4, 3, 3))
    y = F.relu(layer(x), inplace=True)
    y = layer(x).mul_(2.0).add_(1.0)
    np.testing.assert_allclose(gradient(y, x), gradient(layer(x) * 2.0, x), atol=1e-12)


def test_what_a_change_itself_needs_is_kept():
    """The old values, where the derivative is in terms of them; those of a number are not needed at all."""
    x = sample()
    y = x * 1.0
    y.pow_(3).sin_().mul_(x)
    np.testing.assert_allclose(gradient(y, x), gradient((x**3).sin() * x, x), rtol=1e-12)
    y = x * 1.0
    scaled = y * 3.0
    y.add_(1.0)
    assert tinycnn.grad(scaled.sum(), x)[0].tolist() == [[3.0] * 3] * 2
    y = (x * 1.0).sigmoid_()
    y.add_(1.0)
    with pytest.raises(RuntimeError, match="Sigmoid: the output"):
        y.sum().backward()


def test_shapes_and_dtypes_stay():
    x = tinycnn.ones(3)
    with pytest.raises(ValueError, match=r"add_: a change in place keeps the shape \(3,\), but the result has shape"):
        x += tinycnn.ones(2, 3)
    with pytest.raises(TypeError, match="div_: a change in place keeps the dtype int64, but the result is float32"):
        tensor([1, 2]).div_(2)
    y = tinycnn.ones(3, dtype="float16")
    y += tinycnn.ones(3, dtype="float64")
    assert y.dtype == np.float16
    w = sample(0, (3,))
    z = tinycnn.zeros(3)
    z += w
    assert (z.dtype, z.requires_grad) == (np.float32, True)
    assert gradient(z.double(), w).dtype == np.float64


def test_views_without_history_are_refused():
    x, w = tinycnn.ones(2, 3), tinycnn.ones(3, requires_grad=True)
    with no_grad():
        row = x[0]
    with pytest.raises(RuntimeError, match="mul_: a view that was made under no_grad"):
        row.mul_(w)
    row.mul_(2.0)
    assert x.tolist() == [[2.0] * 3, [1.0] * 3]
    leaf = x[1].requires_grad_()
    with pytest.raises(RuntimeError, match="is a leaf that requires grad"):
        x.mul_(w)
    assert leaf.requires_grad


def test_an_expanded_tensor_is_refused():
    x = sample(0, (3,))
    y = (x * 1.0).expand(2, 3)
    with pytest.raises(RuntimeError, match="an expanded tensor repeats its elements"):
        y.mul_(2.0)


# --- views that had to be copied ----------------------------------------------------------------------------


WAYS = {"view": lambda y: y.view(-1), "reshape": lambda y: y.reshape(4, -1), "flatten": lambda y: y.flatten(1)}


def activation(requires_grad=False):
    """Batch innermost, as convolutions make it."""
    x = tinycnn.randn(4, 3, 6, 5, requires_grad=requires_grad)
    y = F.conv2d(x, tinycnn.ones(2, 3, 3, 3))
    assert y._array.strides[0] == y._array.itemsize
    return x, y


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("recorded", [True, False])
def test_views_of_activations_are_views(way, recorded):
    x, y = activation(recorded)
    values = y.detach().clone()
    flat = WAYS[way](y)
    np.testing.assert_array_equal(flat.detach().numpy().reshape(-1), values.reshape(-1).numpy())
    flat.mul_(3.0)
    np.testing.assert_array_equal(y.detach().numpy(), values.numpy() * 3)
    y.add_(1.0)
    np.testing.assert_array_equal(flat.detach().numpy().reshape(-1), (values.numpy() * 3 + 1).reshape(-1))
    if recorded:
        np.testing.assert_allclose(gradient(y.sum(), x), gradient(F.conv2d(x, tinycnn.ones(2, 3, 3, 3)).sum() * 3, x))
    del flat
    y.view(-1)[3:].zero_()
    assert np.count_nonzero(y.detach().numpy()) == 3


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_that_should_be_a_view_is_not_changed(way):
    _, y = activation()
    held = y.numpy()  # so that the memory has to stay
    flat = WAYS[way](y)
    changes = [lambda x: x.zero_(), lambda x: x.add_(1.0), lambda x: x[:1].fill_(1.0), lambda x: x.detach().zero_()]
    for change in changes:
        with pytest.raises(RuntimeError, match="this tensor is a copy of another one, made by view"):
            change(flat)
        with pytest.raises(RuntimeError, match="there is a copy of this tensor, made by view"):
            change(y)
    assert held.any()
    del flat
    y.add_(1.0)
    flat = y.view(-1)
    del y
    flat.zero_()  # nobody can miss the change
    y = tinycnn.randn(3, 4).t().reshape(-1)  # a copy in torch, too
    y.zero_()


def test_views_of_views_of_activations():
    """Each either shares memory, as in torch, or says that it cannot."""
    makes = [
        lambda y: y[:1].reshape(2, -1), lambda y: y.unsqueeze(0).reshape(-1), lambda y: y[0].reshape(-1),
        lambda y: y.transpose(2, 3).flatten(0, 1), lambda y: y.contiguous(), lambda y: y[1].contiguous(),
        lambda y: y.view(4, 2, 4, 3).squeeze(0).reshape(-1), lambda y: y[:, 0].permute(1, 0, 2).reshape(-1),
    ]  # fmt: skip
    for make, is_view in zip(makes, [True, True, True, True, True, True, True, False], strict=True):
        for first in (True, False):
            _, y = activation()
            z = make(y)
            changed, other = (z, y) if first else (y, z)
            if z._changes is not y._changes and is_view:
                with pytest.raises(RuntimeError, match="clone\\(\\) one of them"):
                    changed.add_(100.0)
                continue
            changed.add_(100.0)
            assert bool((other.numpy() > 50).any()) == is_view
    x = tinycnn.randn(1, 3, 6, 5)
    y = F.conv2d(x, tinycnn.ones(2, 3, 3, 3))  # a batch of one
    z = y.contiguous()
    z.fill_(2.0)
    assert (y.numpy() == 2).all()


def test_a_step_under_no_grad_writes_into_parameters():
    layer = nn.Linear(3, 2)
    address, version = layer.weight.data_ptr(), layer.weight._changes
    layer(tinycnn.ones(1, 3)).sum().backward()
    for parameter in layer.parameters():
        parameter.data -= 0.1 * parameter.grad
        parameter.data.add_(parameter.grad, alpha=-0.1)
    assert (layer.weight.data_ptr(), layer.weight._changes) == (address, version)
    assert sys.getrefcount(layer.weight._array) < 5


# --- random values, and other shapes ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_random_values(dtype):
    tinycnn.manual_seed(0)
    x = tinycnn.zeros(100, 200, dtype=dtype)
    for draw, mean, std, low, high in (
        (lambda: x.normal_(1.0, 2.0), 1.0, 2.0, -12, 14), (lambda: x.uniform_(-1.0, 2.0), 0.5, 0.866, -1, 2),
        (lambda: x.exponential_(2.0), 0.5, 0.5, 0, 8), (lambda: x.bernoulli_(0.3), 0.3, 0.458, 0, 1),
        (lambda: x.random_(2, 7), 4.0, 1.414, 2, 6),
    ):  # fmt: skip
        address = x.data_ptr()
        assert draw() is x
        values = x.numpy().astype(float)
        assert (x.data_ptr(), x.dtype) == (address, np.dtype(dtype))
        assert abs(values.mean() - mean) < 0.05
        assert abs(values.std() - std) < 0.05
        assert low <= values.min() < values.max() <= high
    for x in (tinycnn.zeros(10000, dtype=dtype), tinycnn.zeros(10000, dtype="int8")):
        largest = 2 ** {"float16": 11, "float32": 24, "float64": 53, "int8": 7}[str(x.dtype)]
        assert 0 <= x.random_().min().item() < largest / 2 < x.max().item() < largest + (x.dtype == "float16")
    shares = tensor([0.0, 1.0])
    assert tinycnn.zeros(3, 2).bernoulli_(shares).tolist() == [[0.0, 1.0]] * 3
    x = sample()
    y = x * 1.0
    assert not gradient(y.normal_(), x).any()


def test_other_shapes():
    x = sample()
    y = x * 1.0
    kept = y
    assert y.unsqueeze_(0).transpose_(1, 2).squeeze_().t_() is kept
    assert y.shape == (2, 3)
    y.t_().mul_(2.0)
    assert (y.shape, y.is_contiguous()) == ((3, 2), False)
    np.testing.assert_allclose(gradient(y, x), gradient((x * 2.0).t(), x))
    with pytest.raises(RuntimeError, match="unsqueeze_: a leaf that requires grad"):
        x.unsqueeze_(0)
    z = tinycnn.zeros(2, 3)
    row = z[0]
    z.t_().add_(1.0)
    assert row.tolist() == [1.0] * 3


@pytest.mark.parametrize("copied", [lambda x: x.contiguous(), lambda x: x.reshape(-1), lambda x: x.flatten()])
def test_what_is_detached_from_a_permuted_tensor_is_copied_as_in_torch(copied):
    """It has no history to tell that its strides are a permutation's, and not an activation's."""
    x = tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]]).permute(1, 0).detach().detach()
    y = copied(x)
    x.add_(1)
    assert y.flatten().tolist() == [1, 3, 2, 4]
    assert x.tolist() == [[2, 4], [3, 5]]
