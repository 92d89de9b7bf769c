"""Tensor: making, converting, printing, promoting and refusing. What its operators compute is in test_operators.py."""

import copy
import operator
import pickle
import re

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor, dtypes, tensor

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


# --- making -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data, dtype, shape",
    [
        (1, "int64", ()),
        (2.5, "float32", ()),
        (True, "bool", ()),
        ([1, 2], "int64", (2,)),
        ([1, 2.5], "float32", (2,)),
        ([True, 2], "int64", (2,)),
        ([[1.0], [2.0]], "float32", (2, 1)),
        ([], "float32", (0,)),
        (range(3), "int64", (3,)),
        (np.ones((2, 3)), "float64", (2, 3)),
        (np.ones(2, np.uint8), "uint8", (2,)),
        (np.float64(2.0), "float64", ()),
        (tensor([1, 2]), "int64", (2,)),
        ([tensor(1.0), tensor(2.0)], "float32", (2,)),
    ],
)
def test_tensor_of_data(data, dtype, shape):
    x = tinycnn.tensor(data)
    assert (x.dtype, x.shape) == (dtype, shape)
    assert not x.requires_grad


def test_numbers_of_numpy_keep_their_dtype():
    for data in (np.float64(1.5), [np.float64(1.5), 2.0], [[2.0, np.float64(1.5)]], [np.ones(2)]):
        assert tensor(data).dtype == np.float64
    assert tensor([[1.5]]).dtype == np.float32
    assert tensor([np.float32(1.5)]).dtype == np.float32


def test_tensor_copies():
    original = np.ones(3, np.float32)
    x = tensor(original)
    y = tensor(x)
    original[0] = 5
    x.numpy()[1] = 6
    assert x.tolist() == [1.0, 6.0, 1.0]
    assert y.tolist() == [1.0, 1.0, 1.0]


def test_tensor_keeps_memory_order():
    x = tensor(np.ones((2, 3, 4)).transpose(2, 0, 1))
    assert x._array.transpose(1, 2, 0).flags.c_contiguous
    assert tinycnn.zeros_like(x)._array.strides == x._array.strides
    assert x.clone()._array.strides == x._array.strides
    assert (x * 2.0).relu().exp()._array.strides == x._array.strides


def test_from_numpy_shares():
    original = np.ones(3, np.float32)
    x = tinycnn.from_numpy(original)
    original[0] = 5
    assert x.tolist() == [5.0, 1.0, 1.0]
    x.numpy()[1] = 6
    assert original.tolist() == [5.0, 6.0, 1.0]


def test_default_dtype():
    try:
        tinycnn.set_default_dtype("float64")
        assert tinycnn.get_default_dtype() == tinycnn.float64
        for x in (tensor(1.5), tinycnn.zeros(2), tinycnn.rand(2), tensor([1, 2]) * 0.5, tensor([1, 2]) / 2):
            assert x.dtype == np.float64
        with pytest.raises(TypeError, match="expected a floating-point dtype, got int64"):
            tinycnn.set_default_dtype("int64")
    finally:
        tinycnn.set_default_dtype("float32")
    assert tensor(1.5).dtype == np.float32


def test_constant_fillings():
    assert tinycnn.zeros(2, 3).tolist() == [[0.0] * 3] * 2
    assert tinycnn.ones((2, 1), dtype="int32").tolist() == [[1], [1]]
    assert tinycnn.empty(0, 3).shape == (0, 3)
    assert tinycnn.zeros(()).shape == ()
    for value, dtype in [(3, "int64"), (3.5, "float32"), (True, "bool")]:
        x = tinycnn.full((2,), value)
        assert (x.tolist(), x.dtype) == ([value] * 2, dtype)
    like = tensor([[1, 2, 3]])
    assert tinycnn.ones_like(like).dtype == np.int64
    assert tinycnn.zeros_like(like, dtype="float32", requires_grad=True).requires_grad
    assert tinycnn.full_like(like, 7).tolist() == [[7, 7, 7]]
    assert tinycnn.empty_like(like).shape == (1, 3)
    assert tinycnn.zeros(2, requires_grad=True).requires_grad
    assert tinycnn.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_ranges():
    assert tinycnn.arange(3).tolist() == [0, 1, 2]
    assert tinycnn.arange(3).dtype == np.int64
    assert tinycnn.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert tinycnn.arange(0, 1, 0.25).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert tinycnn.arange(3.0).dtype == np.float32
    assert tinycnn.arange(3, dtype="float64").dtype == np.float64
    assert tinycnn.linspace(0, 1, 5).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_ranges_that_require_grad():
    made = [tinycnn.arange(3.0, requires_grad=True), tinycnn.linspace(0, 1, 3, requires_grad=True)]
    assert all(x.requires_grad and x.is_leaf for x in [*made, tinycnn.eye(2, requires_grad=True)])


def test_random_numbers_are_repeated_by_their_seed():
    def draw():
        tinycnn.manual_seed(3)
        return [tinycnn.rand(4), tinycnn.randn(2, 3), tinycnn.randint(5, (6,)), tinycnn.randperm(7)]

    for a, b in zip(draw(), draw()):
        assert (a == b).all()
    tinycnn.manual_seed(4)
    assert not (tinycnn.rand(4) == draw()[0]).all()


def test_random_distributions():
    tinycnn.manual_seed(0)
    uniform, normal = tinycnn.rand(100_000), tinycnn.randn(100_000)
    assert uniform.dtype == normal.dtype == np.float32
    assert 0 <= uniform.min().item() < 0.001
    assert 0.999 < uniform.max().item() < 1
    assert abs(uniform.mean().item() - 0.5) < 0.005
    assert abs(normal.mean().item()) < 0.02
    assert abs(normal.std().item() - 1) < 0.01
    assert set(tinycnn.randint(2, 5, (1000,)).tolist()) == {2, 3, 4}
    assert sorted(tinycnn.randperm(50).tolist()) == list(range(50))
    assert tinycnn.rand(2, dtype="float16").dtype == np.float16


# --- converting -------------------------------------------------------------------------------------------


def test_conversions():
    x = tensor([1.7, -2.2])
    for method, dtype in [
        ("float", "float32"), ("double", "float64"), ("half", "float16"), ("int", "int32"), ("long", "int64"),
        ("bool", "bool"),
    ]:  # fmt: skip
        assert getattr(x, method)().dtype == dtype
    assert x.long().tolist() == [1, -2]
    assert x.float() is x
    assert x.to("float64").dtype == x.to(float).double().dtype == np.float64
    assert x.to("cpu") is x
    assert x.to("cpu", tinycnn.float64).dtype == np.float64
    assert x.to(tensor([1])).dtype == np.int64
    assert x.to(None) is x
    assert x.type("int32").dtype == np.int32
    assert x.cpu() is x
    assert x.device == "cpu"


def test_python_numbers():
    assert tensor(2.5).item() == 2.5
    assert isinstance(tensor([[3]]).item(), int)
    assert float(tensor([2.5])) == 2.5
    assert int(tensor(3.7)) == 3
    assert bool(tensor(0.1))
    assert not tensor([False])
    assert ["a", "b"][tensor(1)] == "b"
    assert tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert f"{tensor(1.5):.3f}" == "1.500"
    assert len(tensor([[1], [2]])) == 2
    assert [x.tolist() for x in tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    assert 2 in tensor([[1, 2]])
    assert 5 not in tensor([[1, 2]])


def test_numpy_functions_take_tensors():
    x = tensor([1.0, 4.0])
    assert np.asarray(x) is not None
    assert np.sqrt(np.asarray(x)).tolist() == [1.0, 2.0]
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert isinstance(np.float64(2.0) * x, Tensor)
    assert isinstance(np.ones(2) - x, Tensor)


def test_sizes():
    x = tinycnn.zeros(2, 3, 0)
    assert (x.size(), x.size(-2), x.dim(), x.ndim, x.numel(), x.element_size()) == ((2, 3, 0), 3, 3, 3, 0, 4)
    assert x.is_contiguous()
    assert not tinycnn.zeros(2, 3).T.is_contiguous()
    assert x.is_floating_point()
    assert not tensor([1]).is_floating_point()


def test_views_share_memory_and_copies_do_not():
    x = tinycnn.zeros(2, 3)
    for view in (
        x.reshape(6),
        x.view(3, 2),
        x.T,
        x[0],
        x[:, 1:],
        x.unsqueeze(0),
        x.expand(4, 2, 3),
        x.flatten(),
        x.detach(),
    ):
        assert np.shares_memory(view._array, x._array)
        assert view._changes is x._changes
    for copied in (x.clone(), x.T.reshape(6), x[[0, 1]], x[x == 0], x.T.contiguous(), x + 0.0, x.double()):
        assert not np.shares_memory(copied._array, x._array)
        assert copied._changes is not x._changes or copied._changes is None


def test_deepcopy_and_pickle():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.tolist() == x.tolist()
        assert twin.grad.tolist() == x.grad.tolist()
        assert twin.requires_grad
        twin.detach().zero_()
        twin.grad.zero_()
        assert x.tolist() == [1.0, 2.0]
        assert x.grad.tolist() == [2.0, 4.0]
    both = copy.deepcopy([x, x])
    assert both[0] is both[1]
    with pytest.raises(RuntimeError, match="deepcopy: this tensor was computed from others"):
        copy.deepcopy(x * 2.0)


def test_hash_is_by_identity():
    x, y = tensor(1.0), tensor(1.0)
    assert len({x, y, x}) == 2
    assert (x == "text") is False
    assert (x != None) is True  # noqa: E711


# Every function that makes a tensor, with the values it gives; None where they are random or arbitrary.
MADE = {
    "tensor": (lambda **o: tinycnn.tensor([1.0, 2.0], **o), [1.0, 2.0]),
    "zeros": (lambda **o: tinycnn.zeros(2, 1, **o), [[0.0], [0.0]]),
    "ones": (lambda **o: tinycnn.ones((2,), **o), [1.0, 1.0]),
    "empty": (lambda **o: tinycnn.empty(3, **o), None),
    "full": (lambda **o: tinycnn.full((2,), 2.5, **o), [2.5, 2.5]),
    "arange": (lambda **o: tinycnn.arange(1.0, 2.0, 0.5, **o), [1.0, 1.5]),
    "linspace": (lambda **o: tinycnn.linspace(1, 2, 3, **o), [1.0, 1.5, 2.0]),
    "eye": (lambda **o: tinycnn.eye(2, **o), [[1.0, 0.0], [0.0, 1.0]]),
    "eye/wide": (lambda **o: tinycnn.eye(1, 2, **o), [[1.0, 0.0]]),
    "rand": (lambda **o: tinycnn.rand(2, **o), None),
    "randn": (lambda **o: tinycnn.randn(2, **o), None),
    "zeros_like": (lambda **o: tinycnn.zeros_like(tinycnn.ones(2), **o), [0.0, 0.0]),
    "ones_like": (lambda **o: tinycnn.ones_like(tinycnn.zeros(2), **o), [1.0, 1.0]),
    "empty_like": (lambda **o: tinycnn.empty_like(tinycnn.ones(2), **o), None),
    "full_like": (lambda **o: tinycnn.full_like(tinycnn.ones(2), 0.5, **o), [0.5, 0.5]),
}


@pytest.mark.parametrize("name", MADE)
def test_options_of_what_makes_a_tensor(name):
    make, values = MADE[name]
    plain, double, trained = make(), make(dtype=tinycnn.float64), make(requires_grad=True)
    assert (plain.dtype, plain.requires_grad) == (tinycnn.float32, False)
    assert (double.dtype, double.requires_grad) == (tinycnn.float64, False)
    assert (trained.dtype, trained.requires_grad) == (tinycnn.float32, True)
    assert plain.shape == double.shape == trained.shape
    if not name.endswith("_like"):
        assert make(device="cpu").device == "cpu"
    if values is not None:
        assert plain.tolist() == double.tolist() == trained.tolist() == values


def test_edges_of_what_makes_a_tensor():
    for made, values in [
        (tinycnn.arange(0), []),
        (tinycnn.arange(2, 2), []),
        (tinycnn.arange(0, 5, 5), [0]),
        (tinycnn.arange(0, 6, 5), [0, 5]),
        (tinycnn.arange(3, 0, -3), [3]),
        (tinycnn.linspace(1, 2, 0), []),
        (tinycnn.linspace(1, 2, 1), [1.0]),
        (tinycnn.eye(0), []),
        (tinycnn.eye(1, 0), [[]]),
        (tinycnn.zeros(0), []),
        (tinycnn.full((), 7), 7),
        (tinycnn.randint(3, 4, (2,)), [3, 3]),
        (tinycnn.randint(1, (2,)), [0, 0]),
        (tinycnn.randint(1), 0),
        (tinycnn.randint(-2, -1, ()), -2),
        (tinycnn.randperm(0), []),
        (tinycnn.randperm(1), [0]),
    ]:
        assert made.tolist() == values
    assert tinycnn.full((1,), 7).dtype == tinycnn.full((1,), True).long().dtype == "int64"
    assert tinycnn.full((1,), True).dtype == "bool"
    assert tinycnn.randint(9, (2,), dtype="int8").dtype == "int8"
    for call in [
        lambda: tinycnn.arange(0, -1),
        lambda: tinycnn.arange(0, 1, -1),
        lambda: tinycnn.eye(2, -1),
        lambda: tinycnn.randint(0),
        lambda: tinycnn.randint(5, 4, (1,)),
        lambda: tinycnn.full((-1,), 1.0),
    ]:
        with pytest.raises(ValueError, match=r"^\w+: "):
            call()


# --- changing in place ------------------------------------------------------------------------------------


def test_changes_in_place():
    x = tensor([1.0, 2.0, 3.0])
    same = x
    x[0] = 5
    x[1:] = tensor([6.0])
    assert x.tolist() == [5.0, 6.0, 6.0]
    x[x > 5] = 0.0
    x[tensor([0, 2])] = np.array([1.0, 2.0])
    assert x.tolist() == [1.0, 0.0, 2.0]
    x += 1
    x *= 2
    x -= tensor([1.0, 0.0, 0.0])
    x /= 2
    assert x.tolist() == [1.5, 1.0, 3.0]
    assert x.add_(1.0, alpha=2).sub_(1.0).mul_(2.0).div_(4.0).tolist() == [1.25, 1.0, 2.0]
    assert x.copy_(tensor([1, 2, 3])).tolist() == [1.0, 2.0, 3.0]
    assert x.fill_(4).tolist() == [4.0] * 3
    assert x.fill_(tensor(2.0)).tolist() == [2.0] * 3
    x[1] = tensor([7.0])
    x[2] = np.array([[8.0]])
    assert x.tolist() == [2.0, 7.0, 8.0]
    assert x.zero_() is same


# A change in place is the operator's result, written to the same memory: for every operator and argument.
IN_PLACE = {
    "add_": (lambda x, y: x.add_(y), lambda x, y: x + y),
    "add_/alpha": (lambda x, y: x.add_(y, alpha=-2.5), lambda x, y: x - 2.5 * y),
    "sub_": (lambda x, y: x.sub_(y), lambda x, y: x - y),
    "sub_/alpha": (lambda x, y: x.sub_(y, alpha=3), lambda x, y: x - 3 * y),
    "mul_": (lambda x, y: x.mul_(y), lambda x, y: x * y),
    "div_": (lambda x, y: x.div_(y), lambda x, y: x / y),
    "+=": (operator.iadd, lambda x, y: x + y),
    "-=": (operator.isub, lambda x, y: x - y),
    "*=": (operator.imul, lambda x, y: x * y),
    "/=": (operator.itruediv, lambda x, y: x / y),
    "copy_": (lambda x, y: x.copy_(y), lambda x, y: 0 * x + y),
    "zero_": (lambda x, y: x.zero_(), lambda x, y: 0 * x),
    "fill_": (lambda x, y: x.fill_(0.5), lambda x, y: 0 * x + 0.5),
}


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("shape", [(2, 3), (3,), (2, 1)])
def test_each_change_in_place(name, shape):
    change, expected = IN_PLACE[name]
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.5, 2, (2, 3)), rng.uniform(0.5, 2, shape)
    x, w = tensor(a), tensor(a, requires_grad=True)
    memory, needs_x = x._array, (w * x).sum()
    assert change(x, tensor(b)) is x
    assert x._array is memory
    with pytest.raises(RuntimeError, match="changed in place"):
        needs_x.backward()
    np.testing.assert_allclose(x.numpy(), expected(a, b), rtol=1e-12)


def test_in_place_keeps_dtype():
    x = tensor(np.ones(2, np.float32))
    x.mul_(tensor(np.full(2, 2.0)))
    assert (x.dtype, x.tolist()) == ("float32", [2.0, 2.0])
    n = tensor(np.ones(2, np.uint8))
    n.add_(tensor([1, 2]))
    assert (n.dtype, n.tolist()) == ("uint8", [2, 3])


def test_overlapping_copy():
    x = tensor([1.0, 2.0, 3.0, 4.0])
    x[1:] = x[:-1]
    assert x.tolist() == [1.0, 1.0, 2.0, 3.0]


# --- printing ---------------------------------------------------------------------------------------------


def test_repr():
    x = tensor([1.5, -2.0], requires_grad=True)
    assert repr(x) == "tensor([ 1.5000, -2.0000], requires_grad=True)"
    assert repr(x * 2.0) == "tensor([ 3., -4.], grad_fn=<Mul>)"
    assert repr(tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tensor([True])) == "tensor([True])"
    assert repr(tensor(np.ones(1))) == "tensor([1.], dtype=float64)"
    assert repr(tensor(2.5)) == "tensor(2.5000)"
    assert repr(tinycnn.zeros(0, 3)) == "tensor([], size=(0, 3))"
    assert repr(tensor([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]])"
    assert repr(tensor([1 / 3])) == "tensor([0.3333])"
    long = repr(tinycnn.zeros(2000))
    assert "..." in long
    assert len(long) < 100


# --- promotion --------------------------------------------------------------------------------------------

# What torch gives for tensors with dimensions: a row and a column for each of DTYPES, in their order.
PROMOTED = """
    bool  uint8 int8  int16 int32 int64 float16 float32 float64
    uint8 uint8 int16 int16 int32 int64 float16 float32 float64
    int8  int16 int8  int16 int32 int64 float16 float32 float64
    int16 int16 int16 int16 int32 int64 float16 float32 float64
    int32 int32 int32 int32 int32 int64 float16 float32 float64
    int64 int64 int64 int64 int64 int64 float16 float32 float64
    float16 float16 float16 float16 float16 float16 float16 float32 float64
    float32 float32 float32 float32 float32 float32 float32 float32 float64
    float64 float64 float64 float64 float64 float64 float64 float64 float64
"""
TABLE = dict(zip([(a, b) for a in DTYPES for b in DTYPES], PROMOTED.split()))
RANK = {"b": 0, "u": 1, "i": 1, "f": 2}


def expected_dtype(a, b, a_dims, b_dims):
    """By the table; but within a rank, a number without dimensions yields to a tensor with some."""
    if RANK[np.dtype(a).kind] == RANK[np.dtype(b).kind] and bool(a_dims) != bool(b_dims):
        return a if a_dims else b
    return TABLE[a, b]


DIMS = [((2,), (2,)), ((), (2,)), ((2,), ()), ((), ())]


@pytest.mark.parametrize("a_dims, b_dims", DIMS)
@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_promotion_of_two_tensors(a, b, a_dims, b_dims):
    x, y = tinycnn.ones(*a_dims, dtype=a), tinycnn.ones(*b_dims, dtype=b)
    expected = expected_dtype(a, b, a_dims, b_dims)
    assert (x + y).dtype == (x * y).dtype == tinycnn.maximum(x, y).dtype == expected
    assert tinycnn.where(x == y, x, y).dtype == expected
    assert (x / y).dtype == (expected if expected.startswith("float") else "float32")
    if a_dims and b_dims:
        assert tinycnn.cat([x, y]).dtype == expected
    assert (x == y).dtype == (x < y).dtype == bool


@pytest.mark.torch
@pytest.mark.parametrize("a_dims, b_dims", DIMS)
def test_the_table_is_torchs(a_dims, b_dims):
    import torch

    for a in DTYPES:
        for b in DTYPES:
            found = torch.ones(a_dims, dtype=getattr(torch, a)) + torch.ones(b_dims, dtype=getattr(torch, b))
            assert str(found.dtype) == f"torch.{expected_dtype(a, b, a_dims, b_dims)}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2,), ()])
def test_python_and_numpy_numbers_do_not_widen(dtype, shape):
    x = tinycnn.ones(*shape, dtype=dtype)
    with_int = "int64" if dtype == "bool" else dtype
    with_float = dtype if dtype.startswith("float") else "float32"
    assert (x + True).dtype == (True * x).dtype == dtype
    assert (x + 2).dtype == (2 * x).dtype == (x**2).dtype == with_int
    assert (x + 0.5).dtype == (0.5 * x).dtype == (x / 2).dtype == (2.0**x).dtype == with_float
    assert (x * np.float64(0.5)).dtype == with_float
    assert (x < 0.5).dtype == bool


@pytest.mark.torch
def test_python_numbers_as_torch():
    import torch

    for dtype in DTYPES:
        x, y = tinycnn.ones(2, dtype=dtype), torch.ones(2, dtype=getattr(torch, dtype))
        for other in (True, 2, 0.5):
            assert str((y + other).dtype) == f"torch.{(x + other).dtype}"
            assert str((y / other).dtype) == f"torch.{(x / other).dtype}"
            if not (dtype == "bool" and other is True):  # the one that differs: NumPy has no boolean powers
                assert str((y**other).dtype) == f"torch.{(x**other).dtype}"


def test_comparison_promotes_first():
    tenth = tensor([0.1])
    assert (tenth == 0.1).all()
    assert (tenth == tensor(np.array(0.1))).all()  # a number without dimensions becomes float32
    assert not (tenth == tensor(np.array([0.1]))).all()


def test_result_type_and_promote():
    assert dtypes.promote(np.dtype("int64"), np.dtype("float16")) == np.float16
    assert dtypes.result_type(np.ones(2, np.int8), np.ones((), np.int64)) == np.int8


# --- refusing ---------------------------------------------------------------------------------------------


def floats(lib, *shape):
    return lib.arange(float(np.prod(shape)), dtype=lib.float32).reshape(shape)


def ints(lib, *shape):
    return lib.arange(int(np.prod(shape))).reshape(shape)


# What is refused, with which error and a part of its message; torch refuses all of these too.
REFUSED = [
    (lambda lib: floats(lib, 2, 3) + floats(lib, 2), ValueError, "add: shapes (2, 3) and (2,) do not broadcast"),
    (lambda lib: floats(lib, 2) == floats(lib, 3), ValueError, "eq: shapes (2,) and (3,) do not broadcast"),
    (lambda lib: floats(lib, 2) * "a", TypeError, "mul: expected a Tensor, an array or a number, got str"),
    (lambda lib: None - floats(lib, 2), TypeError, "sub: expected a Tensor, an array or a number, got NoneType"),
    (lambda lib: floats(lib, 2) < "a", TypeError, "'<' not supported"),
    (lambda lib: -(ints(lib, 2) > 0), TypeError, "neg: not defined for boolean tensors; use ~x"),
    (lambda lib: 1 - (ints(lib, 2) > 0), TypeError, "sub: not defined for boolean tensors"),
    (lambda lib: floats(lib, 2) & floats(lib, 2), TypeError, "bitwise_and: expected boolean or integer tensors"),
    (lambda lib: (ints(lib, 2) > 0) ^ 1.5, TypeError, "bitwise_xor: expected boolean or integer tensors, got float"),
    (lambda lib: ~floats(lib, 2), TypeError, "bitwise_not: expected boolean or integer tensors"),
    (lambda lib: (ints(lib, 2) > 0) | (ints(lib, 3) > 0), ValueError, "bitwise_or: shapes (2,) and (3,)"),
    (lambda lib: lib.exp(1.0), TypeError, "exp: expected a Tensor, got float"),
    (lambda lib: lib.sum([1.0, 2.0]), TypeError, "sum: expected a Tensor, got list"),
    (lambda lib: lib.reshape(None, (2, 1)), TypeError, "reshape: expected a Tensor, got NoneType"),
    (lambda lib: ints(lib, 2) // 0, ZeroDivisionError, "floor_divide: division of integers by zero"),
    (lambda lib: ints(lib, 2) % ints(lib, 2), ZeroDivisionError, "remainder: division of integers by zero"),
    (lambda lib: (ints(lib, 2) > 0) % (ints(lib, 2) > 0), TypeError, "remainder: not defined for boolean tensors"),
    (lambda lib: (ints(lib, 2) > 0).floor(), TypeError, "floor: expected numbers, got a boolean tensor"),
    (lambda lib: floats(lib, 2).masked_fill(floats(lib, 2), 0), TypeError, "masked_fill: expected a boolean Tensor"),
    (lambda lib: floats(lib, 2).masked_fill(ints(lib, 2) > 0, floats(lib, 2)), ValueError, "masked_fill: expected a s"),
    (lambda lib: floats(lib, 2).isclose(floats(lib, 2).double()), TypeError, "isclose: expected two Tensors of one"),
    (lambda lib: floats(lib, 2).isclose(floats(lib, 3)), ValueError, "isclose: shapes (2,) and (3,)"),
    (lambda lib: ints(lib, 2) ** -1, ValueError, "pow: expected an exponent of at least 0 for integers, got -1"),
    (lambda lib: floats(lib, 2).clamp(), ValueError, "clamp: expected min, max or both"),
    (lambda lib: lib.where(floats(lib, 2), 1.0, 2.0), TypeError, "where: expected a boolean Tensor as condition"),
    (lambda lib: lib.where(floats(lib, 2) > 0, floats(lib, 3), 0.0), ValueError, "where: shapes (2,) and (3,)"),
    (lambda lib: ints(lib, 2).mean(), TypeError, "mean: expected a floating-point Tensor, got int64"),
    (lambda lib: ints(lib, 2).var(), TypeError, "var: expected a floating-point Tensor"),
    (lambda lib: ints(lib, 2).norm(), TypeError, "norm: expected a floating-point Tensor"),
    (lambda lib: ints(lib, 2).softmax(0), TypeError, "softmax: expected a floating-point Tensor"),
    (lambda lib: floats(lib, 2).softmax(1), IndexError, "softmax: dim 1 is out of range for 1 dimension(s)"),
    (lambda lib: floats(lib, 2, 3).sum(2), IndexError, "sum: dim 2 is out of range for 2 dimension(s)"),
    (lambda lib: floats(lib, 2, 3).mean(-3), IndexError, "mean: dim -3 is out of range"),
    (lambda lib: lib.tensor(1.0).sum(1), IndexError, "sum: dim 1 is out of range for 0 dimension(s)"),
    (lambda lib: floats(lib, 2, 3).sum((0, -2)), ValueError, "sum: a dim is given twice in (0, -2)"),
    (lambda lib: floats(lib, 2, 3).sum(1.0), TypeError, "sum: expected an int as dim, got 1.0"),
    (lambda lib: floats(lib, 0, 2).amax(0), ValueError, "amax: no elements to choose from"),
    (lambda lib: floats(lib, 0).max(), ValueError, "no elements to choose from"),
    (lambda lib: floats(lib, 2, 0).argmax(1), ValueError, "argmax: no elements to choose from in shape (2, 0)"),
    (lambda lib: floats(lib, 6).reshape(4, 2), ValueError, "reshape: a tensor of shape (6,) (6 elements) does not fit"),
    (lambda lib: floats(lib, 6).reshape(-1, -1), ValueError, "reshape: cannot infer the -1 in (-1, -1)"),
    (lambda lib: floats(lib, 6).reshape(-1, 4), ValueError, "reshape: cannot infer the -1 in (-1, 4)"),
    (lambda lib: floats(lib, 6).reshape(-2, -3), ValueError, "reshape: a tensor of shape (6,)"),
    (lambda lib: floats(lib, 0).reshape(-1, 0), ValueError, "reshape: cannot infer"),
    (lambda lib: floats(lib, 6).reshape(2.0, 3), TypeError, "expected sizes or dims as ints"),
    (lambda lib: floats(lib, 2, 3).permute(0), ValueError, "permute: expected 2 dims for shape (2, 3), got (0,)"),
    (lambda lib: floats(lib, 2, 3).permute(0, 0), ValueError, "permute: a dim is given twice"),
    (lambda lib: floats(lib, 2, 3).transpose(0, 2), IndexError, "transpose: dim 2 is out of range"),
    (lambda lib: floats(lib, 2, 3, 1).t(), ValueError, "t(): expected at most 2 dimensions"),
    (lambda lib: floats(lib, 2, 3).expand(2, 4), ValueError, "expand: a tensor of shape (2, 3)"),
    (lambda lib: floats(lib, 2, 3).expand(3), ValueError, "does not expand to (3,)"),
    (lambda lib: floats(lib, 3).expand(-1, 3), ValueError, "does not expand to (-1, 3)"),
    (lambda lib: floats(lib, 2, 3).repeat(2), ValueError, "repeat: expected at least 2 counts of at least 0"),
    (lambda lib: floats(lib, 2).repeat(-1), ValueError, "repeat: expected at least 1 counts of at least 0"),
    (lambda lib: floats(lib, 2).tril(), ValueError, "tril: expected a tensor of at least 2 dimensions"),
    (lambda lib: floats(lib, 2, 3).topk(4), ValueError, "topk: expected k as an int from 0 to 3, the size of dim 1"),
    (lambda lib: floats(lib, 2, 3).cumsum(2), IndexError, "cumsum: dim 2 is out of range"),
    (lambda lib: floats(lib, 2, 3).argsort(-3), IndexError, "argsort: dim -3 is out of range"),
    (lambda lib: floats(lib, 2, 3).sum_to_size(2), ValueError, "sum_to_size: shape (2,) does not expand to (2, 3)"),
    (lambda lib: floats(lib, 2, 3).squeeze(2), IndexError, "squeeze: dim 2 is out of range"),
    (lambda lib: floats(lib, 2, 3).unsqueeze(4), IndexError, "unsqueeze: dim 4 is out of range"),
    (lambda lib: floats(lib, 2, 3).flatten(1, 0), ValueError, "flatten: start_dim 1 comes after end_dim 0"),
    (lambda lib: floats(lib, 2, 6).unflatten(1, (4, 2)), ValueError, "does not fit shape (4, 2)"),
    (lambda lib: floats(lib, 2, 3).flip(2), IndexError, "flip: dim 2 is out of range"),
    (lambda lib: lib.cat([]), ValueError, "cat: expected at least one tensor"),
    (lambda lib: lib.cat([lib.tensor(1.0)]), ValueError, "cat: tensor 0 has no dimension to join along; use stack"),
    (lambda lib: lib.cat([floats(lib, 2, 3), floats(lib, 2, 2)]), ValueError, "tensor 1 (2, 2)"),
    (lambda lib: lib.cat([floats(lib, 2, 3), floats(lib, 2)]), ValueError, "tensor 0 has shape (2, 3), tensor 1 (2,)"),
    (lambda lib: lib.cat(floats(lib, 2, 3)), TypeError, "cat: expected a sequence of Tensors, got Tensor"),
    (lambda lib: lib.cat([floats(lib, 2), 1.0]), TypeError, "item 1 is float"),
    (lambda lib: lib.stack([floats(lib, 2), floats(lib, 3)]), ValueError, "stack: expected equal shapes"),
    (lambda lib: floats(lib, 4).split(-1), ValueError, "split: expected split_size of at least 1, got -1"),
    (lambda lib: floats(lib, 4).split([1, 2]), ValueError, "split: sizes [1, 2] add up to 3, but dim 0 has size 4"),
    (lambda lib: floats(lib, 4).split([5, -1]), ValueError, "split: sizes must not be negative"),
    (lambda lib: floats(lib, 4).chunk(0), ValueError, "chunk: expected chunks of at least 1"),
    (lambda lib: floats(lib, 4).gather(0, floats(lib, 2)), TypeError, "gather: expected a Tensor of integers, int32"),
    (lambda lib: floats(lib, 4).gather(0, lib.tensor([4])), IndexError, "gather: indices from 4 to 4 are out of range"),
    (lambda lib: floats(lib, 4).gather(0, lib.tensor([-1])), IndexError, "are out of range for dim 0 of size 4"),
    (lambda lib: floats(lib, 4).gather(0, lib.tensor([[1]])), ValueError, "gather: an index of shape (1, 1)"),
    (lambda lib: floats(lib, 4)[4], IndexError, "indexing a tensor of shape (4,): index 4 is out of bounds"),
    (lambda lib: floats(lib, 4)[0, 0], IndexError, "too many indices"),
    (lambda lib: lib.tensor(1.0)[0], IndexError, "indexing a tensor of shape ()"),
    (lambda lib: floats(lib, 4)[1.0], IndexError, "expected ints, slices, None, ... and arrays"),
    (lambda lib: floats(lib, 4)["a"], IndexError, "expected ints, slices, None, ... and arrays"),
    (lambda lib: floats(lib, 4)[lib.tensor([1.0])], IndexError, "arrays of integers or booleans, got float32"),
    (lambda lib: floats(lib, 4)[lib.tensor([True, False])], IndexError, "a mask of shape (2,) for dimensions of sizes"),
    (lambda lib: floats(lib, 4)[lib.tensor([1, 9])], IndexError, "index 9 is out of bounds"),
    (lambda lib: floats(lib, 4, 4)[lib.tensor([1, 2]), lib.tensor([1, 2, 3])], IndexError, "could not be broadcast"),
    (lambda lib: floats(lib, 2, 3) @ floats(lib, 2, 3), ValueError, "matmul: shapes (2, 3) and (2, 3) do not match"),
    (lambda lib: floats(lib, 2, 3) @ lib.tensor(1.0), ValueError, "matmul: expected at least one dimension each"),
    (lambda lib: floats(lib, 2, 3) @ ints(lib, 3), TypeError, "expected two tensors of one numeric dtype"),
    (lambda lib: floats(lib, 2, 3, 4) @ floats(lib, 3, 4, 2), ValueError, "matmul: the batch dimensions of (2, 3, 4)"),
    (lambda lib: floats(lib, 2, 3) @ 2.0, TypeError, "matmul: expected two Tensors, got float"),
    (lambda lib: floats(lib, 4).item(), ValueError, "item(): expected a tensor of one element, got shape (4,)"),
    (lambda lib: bool(floats(lib, 4)), ValueError, "the truth value of a tensor of shape (4,) is ambiguous"),
    (lambda lib: float(floats(lib, 4)), ValueError, "item(): expected a tensor of one element"),
    (lambda lib: [1, 2][lib.tensor(1.0)], TypeError, "a tensor of dtype float32 cannot be an index"),
    (lambda lib: len(lib.tensor(1.0)), TypeError, "len() of a tensor without dimensions"),
    (lambda lib: list(lib.tensor(1.0)), TypeError, "a tensor without dimensions"),
    (lambda lib: floats(lib, 2).size(1), IndexError, "size: dim 1 is out of range"),
    (lambda lib: lib.tensor([1, 2], requires_grad=True), TypeError, "only floating-point tensors have gradients"),
    (lambda lib: ints(lib, 2).requires_grad_(), TypeError, "this one is int64"),
    (lambda lib: setattr(lib.ones(1, requires_grad=True) * 2, "requires_grad", False), RuntimeError, "use detach()"),
    (lambda lib: lib.ones(1, requires_grad=True).numpy(), RuntimeError, "use tensor.detach().numpy()"),
    (lambda lib: np.asarray(lib.ones(1, requires_grad=True)), RuntimeError, "use tensor.detach().numpy()"),
    (lambda lib: floats(lib, 2).register_hook(print), RuntimeError, "register_hook: this tensor needs no gradient"),
    (lambda lib: lib.tensor([[1, 2], [3]]), ValueError, "tensor: cannot make an array of list"),
    (lambda lib: lib.tensor("a"), TypeError, "tensor: expected numbers, got 'a'"),
    (lambda lib: lib.tensor(None), TypeError, "tensor: expected numbers, got None"),
    (lambda lib: lib.tensor(None, dtype=lib.float32), TypeError, "tensor: expected numbers, got None"),
    (lambda lib: lib.tensor([1.0, None], dtype=lib.float32), TypeError, "tensor: expected numbers, got [1.0, None]"),
    (lambda lib: lib.tensor(["1"], dtype=lib.float32), TypeError, "tensor: expected numbers, got ['1']"),
    (lambda lib: lib.from_numpy([1.0]), TypeError, "from_numpy: expected a numpy.ndarray, got list"),
    (lambda lib: lib.zeros(-1), ValueError, "zeros: sizes must not be negative, got (-1,)"),
    (lambda lib: lib.zeros(2.5), TypeError, "expected sizes or dims as ints, got (2.5,)"),
    (lambda lib: lib.eye(-1), ValueError, "eye: sizes must not be negative"),
    (lambda lib: lib.arange(5, 0), ValueError, "arange: a step of 1 does not lead from 5 to 0"),
    (lambda lib: lib.arange(0, 5, 0), ValueError, "arange: a step of 0"),
    (lambda lib: lib.linspace(0, 1, -1), ValueError, "linspace: expected steps of at least 0"),
    (lambda lib: lib.randint(3, 3, (2,)), ValueError, "randint: expected low < high, got 3 and 3"),
    (lambda lib: lib.randn(-1), ValueError, "randn: sizes must not be negative, got (-1,)"),
    (lambda lib: lib.randint(3, (-2,)), ValueError, "randint: sizes must not be negative, got (-2,)"),
    (lambda lib: lib.randperm(-1), ValueError, "randperm: expected n of at least 0, got -1"),
    (lambda lib: lib.arange(3, requires_grad=True), TypeError, "only floating-point tensors have gradients"),
    (lambda lib: floats(lib, 2).fill_(floats(lib, 2)), ValueError, "fill_: expected a single number, got shape (2,)"),
    (lambda lib: setattr(floats(lib, 2), "grad", floats(lib, 3)), ValueError, "dtype float32, got (3,)"),
    (lambda lib: setattr(floats(lib, 2), "grad", floats(lib, 2).double()), ValueError, "got (2,) and float64"),
    (lambda lib: setattr(floats(lib, 2), "grad", 1.0), TypeError, "Tensor.grad: expected a Tensor or None, got float"),
    (lambda lib: lib.randn(2, dtype=lib.int64), TypeError, "expected a floating-point dtype, got int64"),
    (lambda lib: ints(lib, 2).add_(2.5), TypeError, "keeps the dtype int64, but the result is float32"),
    (lambda lib: ints(lib, 2).div_(2), TypeError, "keeps the dtype int64"),
    (lambda lib: floats(lib, 2).add_(floats(lib, 3, 2)), ValueError, "add_: a change in place keeps the shape"),
    (lambda lib: floats(lib, 2).copy_(floats(lib, 3)), ValueError, "a value of shape (3,) to a tensor region"),
    (lambda lib: floats(lib, 4).__setitem__(slice(2), floats(lib, 3)), ValueError, "to a tensor region of shape (2,)"),
    (lambda lib: floats(lib, 4).__setitem__(7, 1.0), IndexError, "index 7 is out of bounds"),
    (lambda lib: floats(lib).div_(floats(lib, 1)), ValueError, "div_: a change in place keeps the shape ()"),
    (lambda lib: floats(lib, 1).copy_(floats(lib, 1, 1)), ValueError, "copy_: a change in place keeps the shape (1,)"),
    (lambda lib: floats(lib, 4).__setitem__(1, None), TypeError, "expected a value as a number, got None"),
    (lambda lib: floats(lib, 4).__setitem__(1, "a"), TypeError, "expected a value as a number, got 'a'"),
    (lambda lib: floats(lib, 1).expand(3).add_(1.0), RuntimeError, "an expanded tensor repeats its elements"),
    (lambda lib: floats(lib, 2).to("float99"), (TypeError, RuntimeError), "expected the name of a dtype"),
    (lambda lib: f"{floats(lib, 2):.3f}", TypeError, "unsupported format string"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, message", REFUSED, ids=[message for _, _, message in REFUSED])
def test_refused_with_one_clear_line(call, error, message):
    with pytest.raises(error, match=re.escape(message)) as refusal:
        call(tinycnn)
    assert "\n" not in str(refusal.value)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@pytest.mark.parametrize("call", [call for call, _, _ in REFUSED], ids=[message for _, _, message in REFUSED])
def test_torch_refuses_it_too(call):
    import torch

    with pytest.raises((TypeError, ValueError, RuntimeError, IndexError, NotImplementedError)):
        call(torch)


def test_data_shares_memory_and_can_be_replaced():
    x = tinycnn.ones(2, 3, requires_grad=True)
    x.data *= 2
    x.data[0] = 5.0
    x.data.t().mul_(2)
    assert x.tolist() == [[10.0] * 3, [4.0] * 3]
    assert not x.data.requires_grad
    other = tinycnn.zeros(4, dtype="float64")
    x.data = other
    other.add_(1)
    assert (x.tolist(), x.dtype, x.requires_grad, x.is_leaf) == ([1.0] * 4, np.float64, True, True)
    x.data = np.full((1, 2), 3.0)
    assert x.tolist() == [[3.0, 3.0]]
    with pytest.raises(TypeError, match="Tensor.data: expected a Tensor or an array, got list"):
        x.data = [1.0]
    with pytest.raises(TypeError, match="this tensor requires a gradient, and int64 has none"):
        x.data = tensor([1])


def test_the_class_makes_tensors_of_the_default_dtype():
    for made in (tinycnn.Tensor([1, 2]), tinycnn.Tensor(np.array([1, 2])), tinycnn.Tensor(tensor([1.0, 2.0]))):
        assert (made.dtype, made.tolist()) == (np.float32, [1.0, 2.0])
    assert tinycnn.Tensor().shape == (0,)
    assert tinycnn.Tensor(3).shape == (3,)
    assert tinycnn.Tensor(2, 3).shape == (2, 3)
    with pytest.raises(ValueError, match="Tensor: sizes"):
        tinycnn.Tensor(-1)


# Every flag of the methods, with arguments that go before it.
FLAGS = {
    **dict.fromkeys(("sum", "mean", "var", "std", "amax", "amin", "max", "min", "argmax", "argmin", "all", "any",
                     "logsumexp"), ("keepdim", 0)),
    "norm": ("keepdim", 2, 0), "var/2": ("unbiased", 0), "std/2": ("unbiased", 0), "topk": ("largest", 1),
    "sort": ("descending",), "argsort": ("descending",), "requires_grad_": ("requires_grad",),
    "isclose": ("equal_nan", tinycnn.ones(2, 3)), "allclose": ("equal_nan", tinycnn.ones(2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("wrong", [0, 1, "yes"])
def test_a_flag_is_true_or_false(name, wrong):
    flag, *arguments = FLAGS[name]
    name = name.partition("/")[0]
    for value in (True, False):
        getattr(tinycnn.ones(2, 3), name)(*arguments, **{flag: value})
    with pytest.raises(TypeError, match=rf"^{name}: expected {flag} as True or False, got {wrong!r} \("):
        getattr(tinycnn.ones(2, 3), name)(*arguments, **{flag: wrong})


@pytest.mark.parametrize("p", [0, -1, "nuc"])
def test_norms_that_do_not_exist_here(p):
    with pytest.raises(ValueError, match="norm: expected p > 0 or 'fro'"):
        tinycnn.ones(3).norm(p)


@pytest.mark.parametrize("dtype", ["complex64", "U4", "O"])
def test_dtypes_that_do_not_exist_here(dtype):
    with pytest.raises(TypeError, match="expected a boolean, integer or floating-point type"):
        tinycnn.zeros(2, dtype=dtype)


def test_arrays_of_other_kinds_of_numbers():
    swapped = np.full((5000, 2), 100, np.dtype("float16").newbyteorder())
    with pytest.raises(TypeError, match="dtype: expected a boolean, integer or floating-point type of at most 64 bits"):
        tinycnn.from_numpy(swapped)
    assert tensor(swapped).mean(0).tolist() == [100.0, 100.0]
    assert tensor(swapped).dtype.isnative
    if np.dtype(np.longdouble).itemsize > 8:
        for make in (tensor, tinycnn.from_numpy):
            with pytest.raises(TypeError, match="at most 64 bits"):
                make(np.ones(3, np.longdouble))
