"""Indexing: every combination of what an index may hold, against torch."""

import random

import numpy as np
import pytest

import tinycnn

SHAPE = (3, 2, 4, 3)


def parts_for(rng: random.Random, lib) -> list:
    """A random index of a tensor of shape SHAPE; the same for both libraries from the same seed."""
    parts, dim = [], 0
    while dim < len(SHAPE) and rng.random() < 0.85:
        size = SHAPE[dim]
        kind = rng.choice(["int", "slice", "list", "ints", "mask", "None", "True", "False", "0-d", "uint8", "grid",
                           "matrix mask", "bool 0-d"])  # fmt: skip
        dim += {"None": 0, "True": 0, "False": 0, "bool 0-d": 0, "matrix mask": 2}.get(kind, 1)
        if kind == "matrix mask" and dim > len(SHAPE):
            break
        values = [rng.randrange(-size, size) for _ in range(2)]
        flags = [rng.random() < 0.6 for _ in range(size)]
        matrix = [[rng.random() < 0.5 for _ in range(SHAPE[min(dim - 1, 3)])] for _ in range(SHAPE[max(dim - 2, 0)])]
        parts.append({
            "int": values[0],
            "slice": slice(rng.choice([None, 0, 1, -1]), rng.choice([None, 2, -1]), rng.choice([None, 2])),
            "list": values, "ints": lib.tensor(values), "mask": lib.tensor(flags), "None": None, "True": True,
            "False": False, "0-d": lib.tensor(values[0]), "uint8": lib.tensor([int(f) for f in flags], dtype=lib.uint8),
            "matrix mask": lib.tensor(matrix), "grid": lib.tensor([values, values[::-1]]),
            "bool 0-d": lib.tensor(rng.random() < 0.8),
        }[kind])  # fmt: skip
    if rng.random() < 0.3:
        parts.insert(rng.randrange(len(parts) + 1), ...)
    return parts


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(20))
def test_any_combination_agrees_with_torch(seed):
    import torch

    array = np.arange(float(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)
    for i in range(200):
        found = []
        for lib in (tinycnn, torch):
            index = tuple(parts_for(random.Random(f"{seed} {i}"), lib))
            x = lib.tensor(array, requires_grad=True)
            try:
                y = x[index]
                changed = lib.tensor(array)
                if y.numel() != 1:  # torch assigns no single number by a uint8 mask
                    changed[index] = y.detach() * 0 - 1
                (gradient,) = lib.autograd.grad([y], [x], [lib.ones(tuple(y.shape)) * 2])
                found.append([t.detach().numpy().tolist() for t in (y, changed, gradient)] + [tuple(y.shape)])
            except IndexError:
                found.append(["IndexError"])
        if found[0] != ["IndexError"] or "0" not in map(str, found[1][-1]):
            assert found[0] == found[1], index  # torch does not look for indices out of range in an empty result


def test_a_mask_may_be_uint8_as_in_torch():
    x = tinycnn.tensor([1.0, 2.0, 3.0])
    assert x[tinycnn.tensor([1, 0, 1], dtype="uint8")].tolist() == [1.0, 3.0]
    assert x[tinycnn.tensor([1, 0, 1])].tolist() == [2.0, 1.0, 2.0]


def test_booleans_add_a_dimension():
    x = tinycnn.zeros(2, 3)
    assert x[True].shape == (1, 2, 3)
    assert x[False].shape == (0, 2, 3)
    assert x[True, 0, tinycnn.tensor([True, False, True])].shape == (2,)
    assert x[0, True].shape == (1, 3)


def test_ints_beside_arrays_do_not_move_dimensions():
    x = tinycnn.zeros(2, 3, 4, 5)
    assert x[:, 0, [0, 1]].shape == (2, 2, 5)
    assert x[:, [0, 1], ..., [0, 1, 2, 3][:2]].shape == (2, 2, 4)
    assert x[:, [0, 1], [0, 1], ...].shape == (2, 2, 5)


def test_a_list_that_holds_more_than_numbers_is_meant_as_a_tuple():
    x = tinycnn.zeros(2, 3, 4)
    assert x[[0, slice(None)]].shape == (3, 4)
    assert x[[[0, 1], [1, 2]]].shape == (2, 4)
    assert x[[0, 1]].shape == (2, 3, 4)


@pytest.mark.parametrize("index, message", [
    ((0, 0, [0, 1]), r"too many indices: 3 for 2 dimension\(s\)"),
    ("a", "expected ints, slices, None, ... and arrays of integers or booleans, got 'a'"),
    (0.5, "got 0.5"),
    (slice(0.5, None), r"expected the bounds of a slice as ints, got slice\(0.5, None, None\)"),
    (slice(0, 1, 0), "expected the step of a slice other than 0"),
    ([True, False, True], r"a mask of shape \(3,\) for dimensions of sizes \(2,\)"),
    ([[0, 1], [0, 1, 2]], "shape mismatch"),
    (([[0, 1], [0]],), r"expected lists of one length, got \[\[0, 1\], \[0\]\]"),
])  # fmt: skip
def test_refused_indices(index, message):
    x = tinycnn.zeros(2, 3)
    with pytest.raises(IndexError, match=r"^indexing a tensor of shape .*" + message):
        x[index]
    with pytest.raises((IndexError, ValueError), match=message if "mismatch" not in message else ""):
        x[index] = 0.0
