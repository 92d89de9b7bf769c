"""Functions that make tensors, and torch's old types of them; draws are in tests/test_dtypes.py and tests/backend."""

import numpy as np
import pytest

import tinycnn

TYPES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "LongTensor": "int64",
    "IntTensor": "int32", "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8", "BoolTensor": "bool",
}  # fmt: skip
NAMES = {
    "float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32", "short": "int16",
    "bool": "bool",
}  # fmt: skip


# --- names of dtypes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_short_names_are_dtypes(name):
    dtype = getattr(tinycnn, name)
    assert dtype is getattr(tinycnn, NAMES[name].replace("bool", "bool_"))
    assert isinstance(dtype, tinycnn.dtype)
    assert tinycnn.ones(2, dtype=dtype).dtype == NAMES[name] == getattr(tinycnn.ones(2), name)().dtype


@pytest.mark.parametrize("name", TYPES)
def test_old_types_make_tensors_and_know_them(name):
    made = getattr(tinycnn, name)
    x = made([[1, 0], [1, 1]])
    assert (x.tolist(), x.dtype, x.type()) == ([[1, 0], [1, 1]], TYPES[name], f"torch.{name}")
    assert repr(made) == f"torch.{name}"
    assert (made(2, 3).shape, made(tinycnn.Size((4, 1))).shape, made().shape) == ((2, 3), (4, 1), (0,))
    assert isinstance(x, made)
    assert not isinstance(np.ones(2), made)
    for spec in (made, f"torch.{name}", f"tinycnn.{name}", TYPES[name]):
        y = tinycnn.tensor([2.0, 0.0], dtype="float64" if name != "DoubleTensor" else "float32").type(spec)
        assert y.dtype == TYPES[name]
        assert not isinstance(tinycnn.ones(2, dtype="int32" if name != "IntTensor" else "int8"), made)


def test_a_copy_of_data_an_array_or_a_tensor():
    array = np.array([1.5, 2.5])
    x = tinycnn.FloatTensor(array)
    assert (x.tolist(), x.dtype) == ([1.5, 2.5], "float32")
    assert tinycnn.LongTensor([2**62 + 1]).item() == 2**62 + 1
    assert tinycnn.LongTensor(x).tolist() == [1, 2]
    with pytest.raises(TypeError, match="^FloatTensor: expected numbers, got 'a'"):
        tinycnn.FloatTensor("a")


def test_types_of_a_gpu_are_other_types():
    assert repr(tinycnn.cuda.FloatTensor) == "torch.cuda.FloatTensor"
    assert not isinstance(tinycnn.ones(2), tinycnn.cuda.FloatTensor)


@pytest.mark.parametrize("name", ["complex64", "quint8"])
def test_dtypes_that_are_not_here_are_refused_by_name(name):
    with pytest.raises(AttributeError, match=rf"^tinycnn.{name}: "):
        getattr(tinycnn, name)


# --- what dtypes can hold -------------------------------------------------------------------------------------

FLOATS, INTS = ["float16", "float32", "float64"], ["uint8", "int8", "int16", "int32", "int64"]


@pytest.mark.torch
@pytest.mark.parametrize("name", FLOATS + INTS)
def test_limits_are_those_of_torch(name):
    import torch

    kind = "finfo" if name in FLOATS else "iinfo"
    found, expected = getattr(tinycnn, kind)(name), getattr(torch, kind)(getattr(torch, name))
    floats = ["eps", "tiny", "smallest_normal", "resolution"] if name in FLOATS else []
    for attribute in ["bits", "max", "min", "dtype", *floats]:
        assert getattr(found, attribute) == getattr(expected, attribute), attribute
        assert type(getattr(found, attribute)) is type(getattr(expected, attribute))


def test_limits():
    assert tinycnn.finfo(tinycnn.float32).eps == 2**-23
    assert tinycnn.finfo().max == tinycnn.finfo("float32").max > 3e38
    assert tinycnn.iinfo("uint8").max == 255
    with pytest.raises(TypeError, match="^finfo: expected a floating-point dtype, got int64; for integers use iinfo"):
        tinycnn.finfo("int64")
    with pytest.raises(TypeError, match="^iinfo: expected an integer dtype, got float32; for floating point use finfo"):
        tinycnn.iinfo("float32")


@pytest.mark.torch
def test_promotion_is_that_of_torch():
    import torch

    names = ["bool", *INTS, *FLOATS]
    for a in names:
        for b in names:
            given = [(lib, getattr(lib, a), getattr(lib, b)) for lib in (tinycnn, torch)]
            for function in ("promote_types", "can_cast"):
                found, expected = [str(getattr(lib, function)(x, y)) for lib, x, y in given]
                assert found == expected.removeprefix("torch."), (function, a, b)
            for shapes in (((2,), (2,)), ((), (2,)), ((2,), ()), ((), ())):
                found, expected = [
                    str(lib.result_type(lib.zeros(shapes[0], dtype=x), lib.zeros(shapes[1], dtype=y)))
                    for lib, x, y in given
                ]
                assert found == expected.removeprefix("torch."), (a, b, shapes)
        for number in (True, 2, 0.5):
            given = [(lib, getattr(lib, a), None) for lib in (tinycnn, torch)]
            found, expected = [str(lib.result_type(lib.zeros(2, dtype=x), number)) for lib, x, _ in given]
            assert found == expected.removeprefix("torch."), (a, number)


# --- sizes, values and options as in torch --------------------------------------------------------------------

CALLS = {
    "zeros": lambda lib: lib.zeros(size=(2, 3), dtype=lib.int64),
    "ones": lambda lib: lib.ones(size=[2, 3]),
    "full": lambda lib: lib.full(size=(2,), fill_value=7.0),
    "arange of an end": lambda lib: lib.arange(end=4),
    "arange by names": lambda lib: lib.arange(start=1, end=8, step=3),
    "arange of Tensors": lambda lib: lib.arange(lib.tensor(2), lib.tensor(5.0)),
    "linspace of Tensors": lambda lib: lib.linspace(lib.tensor(1.0), lib.tensor(2.0), steps=3),
    "logspace": lambda lib: lib.logspace(start=-1, end=2, steps=4),
    "logspace to base 2": lambda lib: lib.logspace(0, 4, 5, base=2, dtype=lib.int64),
    "tril_indices": lambda lib: lib.tril_indices(3, 4, offset=1),
    "triu_indices": lambda lib: lib.triu_indices(3, 4, -1),
    "triu_indices of nothing": lambda lib: lib.triu_indices(0, 4),
    "as_tensor": lambda lib: lib.as_tensor([[1, 2]]),
    "as_tensor of an array": lambda lib: lib.as_tensor(np.array([1.5, 2.5])),
    "as_tensor as a dtype": lambda lib: lib.as_tensor(np.array([1.5, 2.5]), dtype=lib.int32),
    "scalar_tensor": lambda lib: lib.scalar_tensor(3),
    "zeros_like": lambda lib: lib.zeros_like(lib.ones(2, 3), dtype=lib.int32, device="cpu"),
    "full_like": lambda lib: lib.full_like(lib.ones(2), 2, dtype=lib.float64, requires_grad=True),
    "new_zeros": lambda lib: lib.ones(1, dtype=lib.float64).new_zeros(2, 3),
    "new_ones": lambda lib: lib.ones(1, dtype=lib.int64).new_ones((2, 3)),
    "new_full": lambda lib: lib.ones(1, dtype=lib.int32).new_full((2,), 5),
    "new_tensor": lambda lib: lib.ones(1, dtype=lib.float64).new_tensor([1, 2]),
    "new_zeros of a size": lambda lib: lib.ones(1).new_zeros(size=(2,), dtype=lib.bool),
    "reshape by name": lambda lib: lib.ones(4).reshape(shape=(2, 2)),
    "randint by names": lambda lib: lib.randint(high=5, size=(2, 3)) * 0,
    "randint of three": lambda lib: lib.randint(low=1, high=5, size=(2,), dtype=lib.int32) * 0,
    "randn": lambda lib: lib.randn(size=(2, 3), dtype=lib.float64) * 0,
    "rand_like": lambda lib: lib.rand_like(lib.ones(2, 3, dtype=lib.float64)) * 0,
    "randn_like": lambda lib: lib.randn_like(lib.ones(2, 3), dtype=lib.float64) * 0,
    "randint_like": lambda lib: lib.randint_like(lib.ones(2, 3), 1, 9) * 0,
    "randint_like of one bound": lambda lib: lib.randint_like(lib.ones(2, 3), 9, dtype=lib.int64) * 0,
    "randperm": lambda lib: lib.randperm(5, dtype=lib.int32).sort().values,
    "normal": lambda lib: lib.normal(2.0, 0.0, (2, 3)),
    "normal by name": lambda lib: lib.normal(mean=2, std=0, size=(2, 3)),
    "normal of Tensors": lambda lib: lib.normal(lib.arange(3.0), lib.zeros(3)),
    "normal of a mean": lambda lib: lib.normal(lib.arange(3.0).double(), 0.0),
    "bernoulli": lambda lib: lib.bernoulli(lib.tensor([0.0, 1.0])),
    "bernoulli of p": lambda lib: lib.ones(3, dtype=lib.int64).bernoulli(1.0),
    "multinomial": lambda lib: lib.multinomial(lib.tensor([[0.0, 3.0, 0.0], [0.5, 0.0, 0.0]]), 4, replacement=True),
    "multinomial of all": lambda lib: lib.multinomial(lib.tensor([0.1, 3.0, 0.0, 0.2]), 3).sort().values,
}


@pytest.mark.torch
@pytest.mark.parametrize("name", CALLS)
def test_as_torch_makes_it(name):
    import torch

    found, expected = CALLS[name](tinycnn), CALLS[name](torch)
    assert (found.shape, str(found.dtype)) == (tuple(expected.shape), str(expected.dtype).removeprefix("torch."))
    assert found.requires_grad == expected.requires_grad
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", CALLS)
def test_calls_by_name(name):
    assert CALLS[name](tinycnn).numel() >= 0


def test_as_tensor_shares_what_it_can():
    array, x = np.array([1.0, 2.0]), tinycnn.ones(2)
    assert tinycnn.as_tensor(x) is x
    tinycnn.as_tensor(array)[0] = 7.0
    assert array[0] == 7.0
    assert tinycnn.as_tensor(array, dtype="float32").dtype == "float32"


def test_sizes_given_twice_are_refused():
    with pytest.raises(TypeError, match="^zeros: expected sizes or size=, got both"):
        tinycnn.zeros(2, size=(3,))


# --- draws ----------------------------------------------------------------------------------------------------


def test_draws_follow_their_probabilities():
    tinycnn.manual_seed(0)
    weights = tinycnn.tensor([1.0, 0.0, 2.0, 5.0])
    drawn = weights.multinomial(40_000, replacement=True).bincount(minlength=4) / 40_000
    assert tinycnn.allclose(drawn, weights / 8, atol=0.01)
    first = tinycnn.cat([weights.multinomial(3)[:1] for _ in range(4000)]).bincount(minlength=4) / 4000
    assert tinycnn.allclose(first, weights / 8, atol=0.03)
    assert sorted(weights.multinomial(3).tolist()) == [0, 2, 3]
    assert abs(float(tinycnn.full((40_000,), 0.3).bernoulli().mean()) - 0.3) < 0.01
    x = tinycnn.normal(tinycnn.full((40_000,), 3.0), 0.5)
    assert abs(float(x.mean()) - 3) < 0.02
    assert abs(float(x.std()) - 0.5) < 0.02


@pytest.mark.parametrize("weights, count, replacement", [
    ([1.0, -1.0], 1, True), ([0.0, 0.0], 1, True), ([1.0, 0.0], 2, False), ([1.0, float("nan")], 1, True)])  # fmt: skip
def test_weights_that_are_none_are_refused(weights, count, replacement):
    with pytest.raises(ValueError, match="^multinomial: expected weights of at least 0"):
        tinycnn.tensor(weights).multinomial(count, replacement)
    with pytest.raises(ValueError, match="^bernoulli: expected probabilities from 0 to 1"):
        tinycnn.tensor([0.5, 1.5]).bernoulli()
