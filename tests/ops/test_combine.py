"""Tensors side by side, in all combinations: what is refused. Values are in the operator table."""

import pytest

import tinycnn
from tinycnn import ones


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: tinycnn.atleast_2d(), TypeError, "atleast_2d: expected a sequence of Tensors, got ()"),
        (lambda: tinycnn.atleast_1d(3), TypeError, "atleast_1d: expected a Tensor, got int"),
        (lambda: tinycnn.block_diag(ones(1, 1, 1)), ValueError, "block_diag: expected matrices, got shapes"),
        (lambda: tinycnn.cartesian_prod(ones(2, 2)), ValueError, "cartesian_prod: "),
        (lambda: tinycnn.combinations(ones(2, 2)), ValueError, "combinations: expected a vector, got shape (2, 2)"),
        (lambda: tinycnn.combinations(ones(2), -1), ValueError, "combinations: expected r "),
        (lambda: tinycnn.combinations(ones(4), 10**9, True), ValueError, "combinations: "),
    ],
)
def test_what_is_refused(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(words)


def test_a_tensor_that_has_the_dimensions_is_returned_itself():
    x = ones(1, 1, 1)
    assert tinycnn.atleast_3d(x) is x
