"""Looking inside: what `record`, `conv_parts` and `graph` show is what was computed."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.diagnostics.inspection import conv_parts, graph, graph_svg, record
from tinycnn.models import LeNet5


def batch() -> tuple[tinycnn.Tensor, tinycnn.Tensor]:
    rng = np.random.default_rng(3)
    return tinycnn.tensor(rng.standard_normal((4, 1, 28, 28)).astype("f")), tinycnn.tensor(rng.integers(0, 10, 4))


def test_record_keeps_activations_and_their_gradients():
    tinycnn.manual_seed(0)
    model = LeNet5()
    images, labels = batch()
    with record(model) as seen:
        nn.CrossEntropyLoss()(model(images), labels).backward()
    assert list(seen) == [name for name, _ in model.named_modules() if name not in ("", "features", "classifier")][
        :6
    ] + ["features"] + [f"classifier.{i}" for i in range(6)] + ["classifier", ""]
    first = seen["features.0"]
    assert first.inputs[0] is images
    np.testing.assert_array_equal(first.output.detach().numpy(), model.features[0](images).detach().numpy())
    # The bias gradient is the sum of the output's gradient: an independent way to the same numbers.
    expected = model.features[0].bias.grad.numpy()
    np.testing.assert_allclose(first.gradient.sum((0, 2, 3)).numpy(), expected, rtol=1e-4, atol=1e-6)
    assert len(model.features[0]._forward_hooks) == 0, "nothing stays behind"


def test_record_lists_repeated_calls_and_names_what_is_missing():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, layer)
    with record(model) as seen:
        model(tinycnn.ones(1, 2))
    assert len(seen.calls("0")) == 2
    assert seen["0"] is seen.calls("0")[1]
    with pytest.raises(KeyError, match=r"record: no call of 'conv'; called were '0', ''"):
        seen["conv"]


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), (3, 4, 7, 8)),
        (nn.Conv1d(2, 3, 3, padding="same"), (2, 2, 9)),
        (nn.Conv3d(1, 2, 2, bias=False), (2, 1, 3, 4, 5)),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), (2, 2, 5, 6)),
    ],
    ids=["grouped", "1d", "3d", "reflect"],
)
def test_conv_parts_make_the_convolution_and_its_gradients(layer, shape):
    layer.double()
    rng = np.random.default_rng(1)
    x = tinycnn.tensor(rng.standard_normal(shape), requires_grad=True)
    y = layer(x)
    g = tinycnn.tensor(rng.standard_normal(y.shape))
    y.backward(g)
    parts = conv_parts(layer, x.detach(), g)
    product = (parts.kernels.unsqueeze(0) @ parts.columns).reshape(*y.shape)
    if layer.bias is not None:
        product = product + layer.bias.detach().reshape(-1, *[1] * (y.ndim - 2))
    np.testing.assert_allclose(product.numpy(), y.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(parts.weight_gradient.numpy(), layer.weight.grad.numpy(), rtol=1e-12, atol=1e-12)
    if layer.padding_mode == "zeros":
        np.testing.assert_allclose(parts.input_gradient.numpy(), x.grad.numpy(), rtol=1e-12, atol=1e-12)
    assert parts.column_gradient.shape == parts.columns.shape


def test_conv_parts_refuses_what_does_not_fit():
    conv = nn.Conv2d(3, 4, 3)
    with pytest.raises(TypeError, match="conv_parts: expected a Conv1d, Conv2d or Conv3d, got Linear"):
        conv_parts(nn.Linear(1, 1), tinycnn.ones(1, 1))
    with pytest.raises(ValueError, match=r"conv_parts: expected input \(N, 3, \*S\)"):
        conv_parts(conv, tinycnn.ones(1, 2, 5, 5))
    with pytest.raises(ValueError, match=r"expected grad_output of shape \(1, 4, 3, 3\), got \(1, 4, 5, 5\)"):
        conv_parts(conv, tinycnn.ones(1, 3, 5, 5), tinycnn.ones(1, 4, 5, 5))


def test_graph_names_operators_and_leaves_once():
    w, x = tinycnn.ones(2, 3, requires_grad=True), tinycnn.ones(3, requires_grad=True)
    h = w @ x
    dot = graph((h * h).sum(), {"weight": w})
    assert dot == graph((h * h).sum(), {"weight": w}), "the same text every time"
    boxes = re.findall(r'shape=box.*?label="(\w+)', dot)
    assert sorted(boxes) == ["MatMul", "Mul", "Reshape", "Reshape", "Sum"]
    assert dot.count("weight") == 1
    assert "weight\\n2 × 3" in dot
    assert "leaf\\n3" in dot
    reshaped = re.search(r'(\d+) \[shape=box, label="Reshape"\]', dot)[1]
    multiplied = re.search(r'(\d+) \[shape=box, label="Mul"\]', dot)[1]
    assert dot.count(f"  {reshaped} -> {multiplied} ") == 2, "h goes into the product twice"


def test_graph_refuses_a_leaf():
    with pytest.raises(ValueError, match="graph: this tensor was not computed"):
        graph(tinycnn.ones(2, requires_grad=True))


def test_graph_svg_draws_or_says_what_to_install(monkeypatch):
    y = tinycnn.ones(2, requires_grad=True).sum()
    if shutil.which("dot"):
        assert "<svg" in graph_svg(y)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(RuntimeError, match="install graphviz"):
        graph_svg(y)


def test_the_code_blocks_of_the_document_run(capsys):
    text = (Path(__file__).parents[2] / "docs" / "looking-inside.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    names: dict = {}
    for block in blocks:
        exec(block, names)
    printed = capsys.readouterr().out
    for shape in ["(8, 6, 14, 14)", "(8, 16, 10, 10)", "(8, 1, 150, 100)", "(1, 16, 150)"]:
        assert shape in printed
