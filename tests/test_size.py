"""What `x.shape` and `x.size()` are."""

import pickle

import pytest

import tinycnn
from tinycnn import Size


def test_a_size_is_a_tuple_and_prints_as_one():
    x = tinycnn.ones(2, 3, 4)
    for size in (x.shape, x.size()):
        assert type(size) is Size
        assert size == (2, 3, 4)
        assert repr(size) == str(size) == "(2, 3, 4)"
    assert x.size(-1) == 4
    assert hash(x.shape) == hash((2, 3, 4))
    assert pickle.loads(pickle.dumps(x.shape)) == x.shape


SIZES = {
    "slice": lambda s: s[1:],
    "empty slice": lambda s: s[5:],
    "sum": lambda s: s + (5,),
    "sum from the left": lambda s: (5,) + s,
    "sum of two": lambda s: s + s,
    "twice": lambda s: s * 2,
    "twice from the left": lambda s: 2 * s,
    "of a list": lambda s: type(s)([7, 8]),
}


@pytest.mark.parametrize("name", SIZES)
def test_slices_and_sums_are_sizes(name):
    found = SIZES[name](tinycnn.ones(2, 3, 4).shape)
    assert type(found) is Size
    assert tuple(found) == SIZES[name]((2, 3, 4))


@pytest.mark.torch
@pytest.mark.parametrize("name", SIZES)
def test_as_torch_has_it(name):
    import torch

    found, expected = SIZES[name](Size((2, 3, 4))), SIZES[name](torch.Size((2, 3, 4)))
    assert (list(found), found.numel(), type(found).__name__) == (list(expected), expected.numel(), "Size")
    assert type(expected) is torch.Size


def test_the_number_of_elements():
    assert tinycnn.ones(2, 3, 4).shape.numel() == 24
    assert tinycnn.ones(2, 3, 4).shape[1:].numel() == 12
    assert Size().numel() == 1
    assert Size((2, 0)).numel() == 0


def test_a_size_is_as_good_as_a_tuple_of_ints():
    x = tinycnn.ones(2, 3)
    assert tinycnn.zeros(x.shape).shape == x.reshape(x.shape).shape == x.expand(4, *x.size()).shape[1:] == x.shape
    with pytest.raises(TypeError):
        x.shape + [1]
