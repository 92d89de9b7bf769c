"""The passages of the documentation that explain a mistake, as the report names them; a test looks them up."""

from __future__ import annotations

_DERIVATION, _PITFALLS = "docs/backprop-through-conv.md", "docs/pitfalls.md"

ONE_RULE = f"{_DERIVATION}#the-one-rule"
ONE_DIMENSION = f"{_DERIVATION}#one-dimension"
GEOMETRY = f"{_DERIVATION}#stride-padding-dilation"
CHANNELS = f"{_DERIVATION}#two-dimensions-channels-batch"
IM2COL = f"{_DERIVATION}#as-a-matrix-product-im2col-and-col2im"
ADJOINT = f"{_DERIVATION}#without-indices-the-adjoint-triple"
MAX_POOLING = f"{_DERIVATION}#max-pooling"
OUTPUT_SIZE = f"{_PITFALLS}#the-output-size-with-dilation-needs-its---1"
ONE_MAXIMUM = f"{_PITFALLS}#one-maximum-for-the-whole-batch"
NOT_AN_INVERSE = f"{_PITFALLS}#col2im-does-not-undo-im2col"
RULES = "coursework/README.md#rules"
