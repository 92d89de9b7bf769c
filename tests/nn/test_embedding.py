"""Embedding: what it starts with, what it trains, and what it refuses."""

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, tensor
from tinycnn.nn import functional as F


def test_the_padding_row_starts_at_0_and_stays():
    layer = nn.Embedding(5, 3, padding_idx=-2)
    assert layer.padding_idx == 3
    assert layer.weight[3].tolist() == [0.0] * 3
    layer(tensor([[0, 3], [3, 3]])).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0] * 3, *[[0.0] * 3] * 4]
    layer.reset_parameters()
    assert layer.weight[3].tolist() == [0.0] * 3


def test_a_pretrained_table():
    table = tensor([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert layer(tensor([1])).tolist() == [[3.0, 4.0]]
    assert nn.Embedding.from_pretrained(table, freeze=False, padding_idx=0).weight.requires_grad
    assert repr(layer) == "Embedding(2, 2)"
    assert repr(nn.Embedding(3, 2, 1)) == "Embedding(3, 2, padding_idx=1)"
    with pytest.raises(ValueError, match=r"Embedding.from_pretrained: expected embeddings \(M, D\), got \(2,\)"):
        nn.Embedding.from_pretrained(table[0])


def test_it_is_drawn_normal():
    tinycnn.manual_seed(0)
    weight = nn.Embedding(200, 100).weight.detach().numpy()
    assert abs(weight.mean()) < 0.04
    assert abs(weight.std() - 1) < 0.03


@pytest.mark.parametrize("call, error, message", [
    (lambda w: F.embedding(tensor([0, 3]), w), IndexError, "embedding: index 3 is out of range: the weight has 3 rows"),
    (lambda w: F.embedding(tensor([-1]), w), IndexError, "embedding: index -1 is out of range: the weight has 3 rows"),
    (lambda w: F.embedding(tensor([0.0]), w), TypeError,
     "embedding: expected indices as an integer tensor, got float32"),
    (lambda w: F.embedding(tensor([0]), w[0]), ValueError, "embedding: expected a weight (M, D), got (2,)"),
    (lambda w: F.embedding(tensor([0]), w, 3), ValueError, "embedding: expected padding_idx from -3 to 2, got 3"),
    (lambda w: F.embedding(tensor([0]), w, max_norm=1.0), ValueError, "embedding: max_norm is not supported, got 1.0"),
    (lambda w: nn.Embedding(3, 2, sparse=True), ValueError, "Embedding: sparse is not supported, got True"),
    (lambda w: nn.Embedding(3, 2, _weight=w[:2]), ValueError,
     "Embedding: expected a weight of shape (3, 2), got (2, 2)"),
])  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error) as caught:
        call(tensor(np.ones((3, 2), np.float32)))
    assert str(caught.value) == message
