"""Products and running products where elements are 0."""

import pytest

import tinycnn


@pytest.mark.parametrize("function", [lambda x: x.prod(), lambda x: x.prod(1), lambda x: x.cumprod(0)])
def test_second_derivatives_of_products_with_zeros(function):
    x = tinycnn.tensor([[0.0, 2.0, 3.0], [0.0, 0.5, 0.0]], dtype="float64", requires_grad=True)
    assert tinycnn.gradcheck(function, x)
    assert tinycnn.gradgradcheck(function, x)
