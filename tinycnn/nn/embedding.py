"""Embedding: a table whose rows are looked up by index."""

from __future__ import annotations

from typing import Any

from tinycnn import backend, creation
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag, check_int
from tinycnn.dtypes import DTypeLike
from tinycnn.nn import init
from tinycnn.nn.arguments import refuse_others, size
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.ops.select import where
from tinycnn.tensor import Tensor

__all__ = ["Embedding"]


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` (M, D) at the integer indices `input` (*): (*, D). The row `padding_idx` gets no gradient.

    Indices out of range raise IndexError on a CPU, and are not checked on a GPU, where the host would have to wait.
    """
    refuse_others("embedding", input=input, weight=weight)
    _refuse("embedding", max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    if input.dtype.kind not in "iu":
        raise TypeError(f"embedding: expected indices as an integer tensor, got {input.dtype}")
    if weight.ndim != 2:
        raise ValueError(f"embedding: expected a weight (M, D), got {weight.shape}")
    rows, indices = len(weight), input._array
    if indices.size and backend.host_reads(indices) and not (indices.min() >= 0 and indices.max() < rows):
        raise IndexError(f"embedding: index {_wrong(indices, rows)} is out of range: the weight has {rows} rows")
    y = weight[input.long()]
    if padding_idx is None:
        return y
    padding_idx = _row("embedding", padding_idx, rows)
    return where((input == padding_idx).unsqueeze(-1), y.detach(), y)


def _wrong(indices: backend.Array, rows: int) -> int:
    return int(indices.min() if indices.min() < 0 else indices.max())


def _row(name: str, padding_idx: int, rows: int) -> int:
    check_int(name, "padding_idx", padding_idx)
    if not -rows <= padding_idx < rows:
        raise ValueError(f"{name}: expected padding_idx from {-rows} to {rows - 1}, got {padding_idx}")
    return padding_idx % rows


def _refuse(name: str, **options: Any) -> None:
    """ValueError for the first of these options that asks for what is not here."""
    for option, value in options.items():
        if value is not None and value is not False:
            raise ValueError(f"{name}: {option} is not supported, got {value!r}")


class Embedding(Module):
    """A table of `num_embeddings` vectors: indices (*) to (*, embedding_dim).

    Args:
        num_embeddings, embedding_dim: the shape of `weight`, whose elements start normal.
        padding_idx: a row that starts at 0 and is not trained. Default None.
        max_norm, norm_type, scale_grad_by_freq, sparse: as in torch; only their defaults are supported.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
        _weight: Tensor | None = None, _freeze: bool = False, device: DeviceLike = None, dtype: DTypeLike = None,
    ):  # fmt: skip
        super().__init__()
        _refuse("Embedding", max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        self.num_embeddings = size(num_embeddings, "Embedding", "num_embeddings")
        self.embedding_dim = size(embedding_dim, "Embedding", "embedding_dim")
        self.padding_idx = None if padding_idx is None else _row("Embedding", padding_idx, self.num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        shape = (self.num_embeddings, self.embedding_dim)
        if _weight is None:
            self.weight = Parameter(creation.empty(shape, device=device, dtype=dtype), not _freeze)
            self.reset_parameters()
        elif _weight.shape != shape:
            raise ValueError(f"Embedding: expected a weight of shape {shape}, got {_weight.shape}")
        else:
            self.weight = Parameter(_weight, not _freeze)

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
    ) -> Embedding:  # fmt: skip
        """An Embedding whose table is `embeddings` (M, D), which is not trained if `freeze`."""
        refuse_others("Embedding.from_pretrained", embeddings=embeddings)
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding.from_pretrained: expected embeddings (M, D), got {embeddings.shape}")
        check_flag("Embedding.from_pretrained", "freeze", freeze)
        rows, columns = embeddings.shape
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        return cls(rows, columns, *options, embeddings, freeze)

    def reset_parameters(self) -> None:
        """Draws the table anew; the row `padding_idx` becomes 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, input: Tensor) -> Tensor:
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
