"""Names of torch that are not here and are not to come: asking for one says so, where a plain AttributeError would not.
"""

from __future__ import annotations

_RECURRENT = "recurrent layers"
_ATTENTION = "attention"
_SPARSE = "sparse tensors"
_QUANTISED = "quantised tensors"
_COMPLEX = "complex numbers"

# By what is asked for the name: the names, and what they belong to.
_NAMES: dict[str, dict[str, str]] = {
    "tinycnn": {
        **dict.fromkeys(["jit", "export", "_dynamo", "_inductor"], "compilation of Python"),
        "fx": "graphs of Python's code", "profiler": "a profiler", "func": "transforms of functions",
        "special": "special functions", "sparse": _SPARSE, "fft": _COMPLEX, "distributions": "distributions",
        **dict.fromkeys(["complex32", "complex64", "complex128", "cfloat", "cdouble", "chalf", "complex", "polar",
                         "view_as_complex", "view_as_real", "stft", "istft"], _COMPLEX),
        **dict.fromkeys(["quantization", "ao", "qint8", "quint8", "qint32", "quint4x2", "quint2x4",
                         "quantize_per_tensor", "quantize_per_channel"], _QUANTISED),
        **dict.fromkeys(["sparse_coo_tensor", "sparse_csr_tensor", "sparse_coo", "sparse_csr"], _SPARSE),
        **dict.fromkeys(["lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell"], _RECURRENT),
    },
    "tinycnn.nn": {
        **dict.fromkeys(["RNN", "LSTM", "GRU", "RNNBase", "RNNCell", "LSTMCell", "GRUCell"], _RECURRENT),
        **dict.fromkeys(["MultiheadAttention", "Transformer", "TransformerEncoder", "TransformerDecoder",
                         "TransformerEncoderLayer", "TransformerDecoderLayer", "attention"], _ATTENTION),
        **dict.fromkeys(["quantized", "quantizable", "qat"], _QUANTISED),
        "CTCLoss": _RECURRENT,
    },
    "tinycnn.nn.functional": {
        **dict.fromkeys(["scaled_dot_product_attention", "multi_head_attention_forward"], _ATTENTION),
        "ctc_loss": _RECURRENT,
    },
    "Tensor": {
        **dict.fromkeys(["to_sparse", "to_sparse_csr", "to_dense", "coalesce", "is_sparse_csr"], _SPARSE),
        **dict.fromkeys(["cfloat", "cdouble"], "this dtype"),
        **dict.fromkeys(["int_repr", "dequantize", "q_scale", "q_zero_point"], _QUANTISED),
    },
}  # fmt: skip


def no_attribute(owner: str, name: str) -> AttributeError:
    """The error for a name that the module `owner` does not have."""
    return AttributeError(refusal(owner, name) or f"module {owner!r} has no attribute {name!r}")


def refusal(owner: str, name: str) -> str:
    """What is said of a name that is not to come; "" for any other name."""
    subject = _NAMES.get(owner, {}).get(name)
    if subject is None:
        return ""
    return f"{owner}.{name}: tinycnn is for convolutional nets and stays small: it does not have {subject}"


class Refused:
    """An attribute that a Tensor refuses: it is not to come. With `__getattr__`, all attributes would take longer."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, x: object, owner: type) -> object:
        if x is None:  # of the class
            return self
        raise AttributeError(refusal("Tensor", self.name), name=self.name, obj=x)


def refused() -> dict[str, Refused]:
    """The attributes of Tensor that are not to come, by name."""
    return {name: Refused() for name in _NAMES["Tensor"]}
