"""Shapes and indices, beyond the operator table: against NumPy by properties, and as adjoints of each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices

import tinycnn
from tinycnn import Tensor, tensor

shapes = array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


def numbered(shape, **options):
    """Every element is its own position, in float64."""
    return tensor(np.arange(float(np.prod(shape))).reshape(shape), **options)


def assert_gradient_is_adjoint(y, x):
    """⟨y(x), u⟩ = ⟨x, gradient⟩ for a linear y, and exactly so for one that moves whole numbers."""
    u = tensor(np.random.default_rng(0).integers(-9, 9, y.shape).astype(float))
    (found,) = tinycnn.grad(y, x, u)
    assert found.shape == x.shape
    assert (y * u).sum().item() == (x * found).sum().item()


@st.composite
def shape_and_reshaped(draw):
    """Two shapes of the same size: factors in two groupings, with ones strewn in."""
    factors = draw(st.lists(st.integers(1, 3), max_size=5))

    def grouped():
        shape, rest = [], list(factors)
        while rest:
            take = draw(st.integers(1, len(rest)))
            shape.append(int(np.prod(rest[:take])))
            rest = rest[take:]
            if draw(st.booleans()):
                shape.append(1)
        return tuple(shape)

    return grouped(), grouped()


@given(shape_and_reshaped(), st.data())
def test_reshape(case, data):
    before, after = case
    order = data.draw(st.permutations(range(len(before))))
    array = np.arange(float(np.prod(before))).reshape([before[i] for i in order]).transpose(np.argsort(order))
    x = tinycnn.from_numpy(array).requires_grad_()  # in any memory order
    y = x.reshape(after)
    np.testing.assert_array_equal(y._array, array.reshape(after))
    assert_gradient_is_adjoint(y, x)
    if after:
        i = data.draw(st.integers(0, len(after) - 1))
        np.testing.assert_array_equal(x.reshape(*after[:i], -1, *after[i + 1 :])._array, y._array)


@given(shapes, st.data())
def test_permute_transpose_and_flip(shape, data):
    x = numbered(shape, requires_grad=True)
    dims = data.draw(st.permutations(range(len(shape))))
    signed = [d - len(shape) if data.draw(st.booleans()) else d for d in dims]
    i, j = data.draw(st.integers(0, len(shape) - 1)), data.draw(st.integers(-len(shape), -1))
    flipped = sorted(data.draw(st.sets(st.sampled_from(range(len(shape))))))
    for y, expected in [
        (x.permute(signed), x._array.transpose(dims)),
        (x.transpose(i, j), x._array.swapaxes(i, j)),
        (x.flip(flipped), np.flip(x._array, flipped)),
        (x.T, x._array.T),
    ]:
        np.testing.assert_array_equal(y._array, expected)
        assert_gradient_is_adjoint(y, x)


@given(shapes, st.data())
def test_basic_indices(shape, data):
    x = numbered(shape, requires_grad=True)
    index = data.draw(basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    y = x[index]
    np.testing.assert_array_equal(y._array, x._array[index])
    assert_gradient_is_adjoint(y, x)


@given(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), st.data())
def test_integer_array_indices(shape, data):
    """With repeats: the gradients of all the copies of an element add up."""
    x = numbered(shape, requires_grad=True)
    index = data.draw(integer_array_indices(shape, dtype=np.int64))
    y = x[tuple(tensor(i) for i in index)]
    np.testing.assert_array_equal(y._array, x._array[index])
    assert_gradient_is_adjoint(y, x)


@given(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4), st.integers(0, 99))
def test_masks(shape, seed):
    x = numbered(shape, requires_grad=True)
    mask = np.random.default_rng(seed).random(shape) < 0.4
    for index in (tensor(mask), mask):
        y = x[index]
        np.testing.assert_array_equal(y._array, x._array[mask])
        assert_gradient_is_adjoint(y, x)
    (found,) = tinycnn.grad(x[tensor(mask)].sum(), x)
    np.testing.assert_array_equal(found._array, mask)


def test_gradients_of_repeated_indices_add_up():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[[0, 2, 0, 0]].backward(tensor([1.0, 10.0, 100.0, 1000.0]))
    assert x.grad.tolist() == [1101.0, 0.0, 10.0]
    assert tinycnn.gradgradcheck(lambda x: x[tensor([0, 2, 0])] ** 2, tensor(np.ones(3), requires_grad=True))


def test_mixed_indices():
    x = numbered((3, 4, 5), requires_grad=True)
    a = x._array
    rows, columns = tensor([2, 0]), np.array([[1], [3]])
    for y, expected in [
        (x[rows], a[[2, 0]]),
        (x[rows, columns], a[[2, 0], [[1], [3]]]),
        (x[:, rows, ::2], a[:, [2, 0], ::2]),
        (x[rows, :, rows], a[[2, 0], :, [2, 0]]),
        (x[..., None, rows], a[..., None, [2, 0]]),
        (x[np.int64(1), tensor(2)], a[1, 2]),
        # torch takes integers first, where NumPy would count them among the arrays and move dimensions
        (x[-1, ..., tensor([True, False, True, False, False])], a[-1][:, [0, 2]]),
        (x[0, :, rows], a[0][:, [2, 0]]),
        (x[tensor(0), :, [1, 2]], a[0][:, [1, 2]]),
        (x[rows, None, 3], a[:, 3][[2, 0], None]),
        (x[1, None, rows], a[1][None, [2, 0]]),
        (x[2, tensor(np.eye(4, 5) > 0)], a[2][np.eye(4, 5) > 0]),
        (x[range(2), ..., -1], a[:2, :, -1]),
        (x[tensor([], dtype="int64")], a[:0]),
        (x[tensor(1) : tensor(3)], a[1:3]),
    ]:
        np.testing.assert_array_equal(y._array, expected)
        assert_gradient_is_adjoint(y, x)


@given(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), st.data())
def test_gather_against_a_loop(shape, data):
    x = numbered(shape, requires_grad=True)
    dim = data.draw(st.integers(0, len(shape) - 1))
    sizes = [data.draw(st.integers(0, 5 if d == dim else size)) for d, size in enumerate(shape)]
    index = np.random.default_rng(0).integers(0, shape[dim], sizes)
    y = x.gather(dim - len(shape), tensor(index))
    for place in np.ndindex(*sizes):
        source = list(place)
        source[dim] = index[place]
        assert y._array[place] == x._array[tuple(source)]
    assert_gradient_is_adjoint(y, x)


@given(shapes, st.data())
def test_cat_is_the_inverse_of_split(shape, data):
    x = numbered(shape, requires_grad=True)
    dim = data.draw(st.integers(0, len(shape) - 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, shape[dim]), max_size=3)))
    sizes = np.diff([0, *cuts, shape[dim]]).tolist()
    pieces = x.split(sizes, dim)
    assert [piece.shape[dim] for piece in pieces] == sizes
    y = tinycnn.cat(pieces, dim)
    np.testing.assert_array_equal(y._array, x._array)
    assert_gradient_is_adjoint(y, x)
    assert sum(piece.shape[dim] for piece in x.chunk(3, dim)) == shape[dim]


@given(shapes, st.data())
def test_stack_and_unsqueeze(shape, data):
    x = numbered(shape, requires_grad=True)
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    y = tinycnn.stack([x, x * 2.0], dim)
    np.testing.assert_array_equal(y._array, np.stack([x._array, x._array * 2], dim))
    assert_gradient_is_adjoint(y, x)
    lifted = x.unsqueeze(dim)
    np.testing.assert_array_equal(lifted._array, np.expand_dims(x._array, dim))
    assert lifted.squeeze(dim).shape == shape


@given(array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3), st.data())
def test_expand_and_sum_to_size_are_adjoint(shape, data):
    ones = tuple(1 if data.draw(st.booleans()) else size for size in shape)
    added = tuple(data.draw(st.lists(st.integers(0, 3), max_size=2)))
    x = numbered(ones, requires_grad=True)
    y = x.expand(*added, *shape)
    np.testing.assert_array_equal(y._array, np.broadcast_to(x._array, added + shape))
    assert_gradient_is_adjoint(y, x)
    z = y.sum_to_size(ones)
    assert z.shape == ones
    np.testing.assert_allclose(z._array, x._array * (y.numel() // max(x.numel(), 1)))


def test_flatten_keeps_the_batch_innermost():
    """(N, C, H, W) in the memory order (H, C, W, N), as convolutions give it, to (N, features)."""
    array = np.arange(2.0 * 3 * 4 * 5).reshape(4, 3, 5, 2).transpose(3, 1, 0, 2)
    x = tinycnn.from_numpy(array).requires_grad_()
    y = x.flatten(1)
    np.testing.assert_array_equal(y._array, array.reshape(2, -1))
    assert y._array.strides[0] == y._array.itemsize
    back = y.reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(back._array, array)
    assert_gradient_is_adjoint(y, x)


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 1), (2, 3)])
def test_reshape_of_every_order_of_few_elements(shape):
    for array in (
        np.arange(float(np.prod(shape))).reshape(shape),
        np.arange(float(np.prod(shape))).reshape(shape[::-1]).T,
    ):
        for target in [(-1,), (*shape, 1), (1, *shape), shape[::-1]]:
            np.testing.assert_array_equal(tinycnn.from_numpy(array).reshape(target)._array, array.reshape(target))


def test_views_of_views_are_one_memory():
    x = tinycnn.zeros(2, 3, 4)
    x.permute(2, 0, 1)[1:3].transpose(0, 2)[..., 0].fill_(1.0)
    assert x.sum().item() == 6
    assert x[:, :, 1].sum().item() == 6


def test_a_tensor_as_a_size_is_read_at_each_call():
    x, size = tinycnn.arange(6), tinycnn.tensor(2)
    assert x.reshape(size, -1).shape == (2, 3)
    size.fill_(3)
    assert x.reshape(size, -1).shape == (3, 2)
    dim = tinycnn.tensor(0)
    assert x.reshape(2, 3).sum(dim).shape == (3,)
    dim.fill_(1)
    assert x.reshape(2, 3).sum(dim).shape == (2,)


@pytest.mark.parametrize(
    "right, wrong",
    [
        (lambda x: x.reshape(2, 3), lambda x: x.reshape(2, 3.0)),
        (lambda x: x.reshape(2, 3), lambda x: x.reshape(np.float64(2), 3)),
        (lambda x: x.transpose(0, 1), lambda x: x.transpose(0.0, 1.0)),
        (lambda x: x.flatten(0, 1), lambda x: x.flatten(0.0, 1.0)),
        (lambda x: x.sum((0,)), lambda x: x.sum((0.0,))),
        (lambda x: x.sum(0), lambda x: x.sum(0.0)),
        (lambda x: x.unflatten(1, [3, 1]), lambda x: x.unflatten(1, [3.0, 1])),
        (lambda x: x.sum(0), lambda x: x.sum({0: 1})),
        (lambda x: x.sum(0), lambda x: x.sum([[0]])),
        (lambda x: x.reshape(6), lambda x: x.reshape([6], 1)),
        (lambda x: x.reshape(2, 3), lambda x: x.reshape([2, 3], "junk")),
        (lambda x: x.reshape(2, 3), lambda x: x.reshape({})),
        (lambda x: x.flatten(0), lambda x: x.flatten([0])),
    ],
)
def test_what_was_refused_is_refused_after_a_call_that_looks_equal(right, wrong):
    """Checks are cached, and 2.0 == 2."""
    x = tinycnn.arange(6).reshape(2, 3)
    right(x)
    with pytest.raises(TypeError, match="expected"):
        wrong(x)


def test_sizes_and_dims_may_be_named():
    x = tinycnn.arange(6).reshape(2, 3)
    assert tinycnn.reshape(x, shape=(3, 2)).tolist() == x.reshape(3, 2).tolist()
    assert tinycnn.permute(x, dims=(1, 0)).tolist() == x.permute(1, 0).tolist()
    assert tinycnn.flip(x, dims=(0,)).tolist() == x.flip(0).tolist()


# Every function of one dimension, by its name; and how many more than the tensor's the dimensions are.
OF_ONE_DIM = {
    **{name: (lambda x, d, f=name: getattr(x, f)(d), 0) for name in (
        "sum", "mean", "var", "std", "amax", "amin", "argmax", "argmin", "max", "min", "all", "any", "softmax",
        "log_softmax", "logsumexp", "cumsum", "argsort", "sort", "squeeze", "flip")},
    "size": (lambda x, d: x.size(d), 0),
    "topk": (lambda x, d: x.topk(1, d), 0),
    "norm": (lambda x, d: x.norm(2, d), 0),
    "flatten": (lambda x, d: x.flatten(d, d), 0),
    "transpose": (lambda x, d: x.transpose(d, 0), 0),
    "transpose/second": (lambda x, d: x.transpose(0, d), 0),
    "unflatten": (lambda x, d: x.unflatten(d, (-1, 1)), 0),
    "gather": (lambda x, d: x.gather(d, tinycnn.zeros(1, 1, 1, dtype="int64")), 0),
    "split": (lambda x, d: x.split(1, d), 0),
    "chunk": (lambda x, d: x.chunk(1, d), 0),
    "cat": (lambda x, d: tinycnn.cat([x, x], d), 0),
    "unsqueeze": (lambda x, d: x.unsqueeze(d), 1),
    "stack": (lambda x, d: tinycnn.stack([x], d), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_ONE_DIM)
def test_a_dimension_is_counted_from_either_end(name):
    """From −ndim to ndim − 1, and no further."""
    function, more = OF_ONE_DIM[name]
    x, ndim, called = numbered((2, 3, 4)), 3 + more, name.partition("/")[0]

    def values(result):
        results = result if isinstance(result, (tuple, list)) else [result]
        return [y.tolist() if isinstance(y, Tensor) else y for y in results]

    for dim in range(ndim):
        assert values(function(x, dim)) == values(function(x, dim - ndim))
    for dim in (ndim, -ndim - 1):
        message = rf"^{called}: dim {dim} is out of range for {ndim} dimension\(s\): expected {-ndim} to {ndim - 1}$"
        with pytest.raises(IndexError, match=message):
            function(x, dim)


def test_expanded_without_repeating_it_can_be_changed():
    x = tinycnn.zeros(2)
    x.expand(1, 1, 2)[0, 0, 1] = 5
    assert x.tolist() == [0, 5]
    assert tinycnn.zeros(1, 0).expand(2, 0).fill_(1).shape == (2, 0)


def test_numbers_of_pieces_and_elements():
    """The smallest and the largest that are accepted, and one beyond."""
    x = numbered((4, 2))
    assert [p.tolist() for p in x[:, 0].split(1)] == [[0], [2], [4], [6]]
    assert [p.shape for p in x.split(4)] == [p.shape for p in x.split(9)] == [(4, 2)]
    assert [p.shape for p in x.split([0, 4])] == [(0, 2), (4, 2)]
    assert [p.shape for p in x.chunk(4)] == [(1, 2)] * 4 == [p.shape for p in x.chunk(9)]
    assert [p.shape for p in x.chunk(3)] == [(2, 2), (2, 2)]
    assert x.topk(4, 0).values.tolist() == x.flip(0).tolist()
    assert x.repeat(0, 1).shape == (0, 2)
    assert x.permute(0, 1).shape == x.flatten(0, 0).shape == (4, 2)
    assert numbered((3,)).t().shape == (3,)
    for call, message in [
        (lambda: x.split(0), "split: expected "),
        (lambda: x.split(-1), "split: expected "),
        (lambda: x.split([5, -1]), "split: sizes must not be negative"),
        (lambda: x.split([1, 2]), r"split: sizes \[1, 2\] add up to 3, but dim 0 has size 4"),
        (lambda: x.split([1, 4]), r"split: sizes \[1, 4\] add up to 5, but dim 0 has size 4"),
        (lambda: x.chunk(0), "chunk: expected "),
        (lambda: x.topk(5, 0), "topk: expected k "),
        (lambda: x.topk(-1, 0), "topk: expected k "),
        (lambda: x.repeat(-1, 1), "repeat: expected "),
        (lambda: x.repeat(2), "repeat: expected "),
        (lambda: x.permute(0), "permute: expected 2 dims"),
        (lambda: x.permute(0, 0), "permute: a dim is given twice"),
        (lambda: x.flatten(1, 0), "flatten: start_dim 1 comes after end_dim 0"),
        (lambda: numbered((1, 1, 1)).t(), r"t\(\): expected at most 2 dimensions"),
        (lambda: numbered((3,)).tril(), "tril: expected a tensor of at least 2 dimensions"),
        (lambda: numbered((3,)).triu(), "triu: expected a tensor of at least 2 dimensions"),
        (lambda: x.reshape(-1, -1), "reshape: cannot infer the -1"),
        (lambda: x.reshape(3, -1), "reshape: cannot infer the -1"),
        (lambda: x.reshape(-1, 0), "reshape: cannot infer the -1"),
        (lambda: x.reshape(7), r"reshape: a tensor of shape \(4, 2\) \(8 elements\) does not fit shape \(7,\)"),
        (lambda: x.reshape(-2, -4), "reshape: a tensor of shape"),
        (lambda: x.expand(4, 3), "expand: a tensor of shape"),
        (lambda: x.expand(2), "expand: a tensor of shape"),
        (lambda: numbered((1,)).expand(-2), "expand: a tensor of shape"),
        (lambda: numbered((1,)).expand(-1, 1), "expand: a tensor of shape"),
        (lambda: x.sum_to_size(4, 3), "sum_to_size: shape"),
        (lambda: x.sum_to_size(1, 4, 2), "sum_to_size: shape"),
        (lambda: tinycnn.cat([x, numbered((4, 3))]), "cat: sizes other than along dim 0 must be equal"),
        (lambda: tinycnn.cat([numbered(()), numbered(())]), "cat: tensor 0 has no dimension to join along"),
        (lambda: tinycnn.stack([x, numbered((4, 1))]), "stack: expected equal shapes"),
        (lambda: tinycnn.cat([]), "cat: expected at least one tensor, got none"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}"):
            call()


def test_sizes_that_are_too_large_are_refused_beside_one_of_0():
    for make in (tinycnn.zeros, tinycnn.rand, tinycnn.eye):
        with pytest.raises(ValueError, match=rf"^{make.__name__}: sizes .* are too large"):
            make(0, 10**400)
    with pytest.raises(ValueError, match="chunk: 1000000000000 empty chunks are too many"):
        tinycnn.zeros(0, 3).chunk(10**12)
