"""ONNX import: each operator gives what onnxruntime gives, files of torch's exporters run, bad files are refused."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.interop.nets import NETS
from tests.interop.test_onnx_export import (
    as_float32,
    assert_same_in_onnxruntime,
    each_net,
    larger,
    results,
    with_random_state,
)
from tests.layers import state_of
from tinycnn import nn
from tinycnn.interop.onnx_functions import FUNCTIONS
from tinycnn.interop.onnx_import import load

pytestmark = pytest.mark.onnx

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"
IMAGE = (2, 4, 6, 5)


def normal(*shape):
    return np.random.default_rng(sum(shape) + len(shape)).standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


# Type, inputs (arrays; a list is an initializer), attributes, opset.
ROWS = []


def row(type, *inputs, opset=18, outputs=1, **attributes):
    ROWS.append((type, inputs, attributes, opset, outputs))


x = normal(*IMAGE)
positive, unit = np.abs(x) + 0.1, np.tanh(x)
for name in [
    "Identity", "Neg", "Abs", "Relu", "Sigmoid", "Tanh", "Exp", "Sin", "Cos", "Erf", "Floor", "Ceil", "Round", "Sign",
    "Softplus", "Softsign", "LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "Mish", "ThresholdedRelu",
    "IsNaN", "GlobalAveragePool", "GlobalMaxPool", "Shape", "Size", "Flatten", "Transpose",
]:  # fmt: skip
    row(name, x)
for name in ("Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Atanh"):
    row(name, unit)
row("Acosh", positive + 1)
for name in ("Log", "Sqrt", "Reciprocal"):
    row(name, positive)
row("Gelu", x, opset=20)
row("Gelu", x, opset=20, approximate="tanh")
row("LeakyRelu", x, alpha=0.3)
row("Elu", x, alpha=0.3)
row("Selu", x, alpha=1.5, gamma=2.0)
row("Celu", x, alpha=0.5)
row("HardSigmoid", x, alpha=0.3, beta=0.4)
row("ThresholdedRelu", x, alpha=0.2)
row("IsInf", np.array([1.0, np.inf, -np.inf], np.float32))
row("Not", x > 0)
row("BitwiseNot", ints(1, 2, -3))
row("Cast", x, to=7)
row("Cast", x, to=9)
row("CastLike", ints(1, 0), x)
row("Clip", x, [np.float32(-0.5)], [np.float32(0.3)])
row("Clip", x, None, [np.float32(0.3)])
row("Clip", x, opset=6, min=-0.1, max=0.4)
row("Dropout", x)
row("Dropout", x, opset=10, ratio=0.3)
y, line = normal(6, 5), normal(4, 1, 1)
for name in ("Add", "Sub", "Mul", "Div", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Max", "Min"):
    row(name, x, y)
    row(name, x, [line])
for name in ("And", "Or", "Xor"):
    row(name, x > 0, y > 0)
for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
    row(name, ints(1, 6, 5), ints(3, 2, 4))
row("Div", ints(7, -7, 7, -7), ints(2, 2, -2, -2))
row("Mod", ints(7, -7, 7, -7), ints(3, 3, -3, -3))
row("Mod", ints(7, -7, 7, -7), ints(3, 3, -3, -3), fmod=1)
row("Mod", x, y, fmod=1)
row("Pow", positive, [np.float32(1.7)])
row("Pow", x, [np.int64(3)])
row("Sum", x, y, x)
row("Mean", x, y)
row("PRelu", x, [line])
row("Where", x > 0, x, y)
row("Reshape", x, [ints(0, -1, 5)])
row("Reshape", x, [ints(4, 2, 0, 5)])
row("Flatten", x, axis=0)
row("Flatten", x, axis=-1)
row("Transpose", x, perm=[1, 0, 3, 2])
row("Squeeze", normal(1, 3, 1), [ints(0)])
row("Squeeze", normal(1, 3, 1))
row("Squeeze", normal(1, 3, 1), opset=11, axes=[2])
row("Unsqueeze", y, [ints(0, -1)])
row("Unsqueeze", y, opset=11, axes=[0, 2])
row("Concat", x, x, axis=-2)
row("Split", x, outputs=2, axis=1, num_outputs=2)
row("Split", x, [ints(1, 3, 2)], outputs=3, axis=2)
row("Split", x, opset=11, outputs=2, axis=2, split=[2, 4])
row("Slice", x, [ints(1, 0)], [ints(4, 2**62)], [ints(1, 3)], [ints(1, 2)])
row("Slice", x, [ints(-1)], [ints(-(2**63))], [ints(2)], [ints(-2)])
row("Slice", x, [ints(-2)], [ints(-1)], [ints(2)])
row("Slice", x, opset=9, starts=[1, 0], ends=[2, -1], axes=[0, 2])
row("Gather", x, [ints(2, 0, -1)], axis=1)
row("Gather", x, [np.int64(-2)], axis=2)
row("Gather", x, [np.array([[0, 1], [2, 3]])], axis=1)
row("GatherElements", y, ints(0, 1, -1, 2, 0).reshape(1, 5), axis=0)
row("GatherND", y, [np.array([[0, 1], [5, 4]])])
row("ScatterElements", y, ints(1, 3).reshape(1, 2), normal(1, 2), axis=1)
row("ScatterElements", y, ints(1, 1).reshape(1, 2), normal(1, 2), axis=1, reduction="add")
row("Expand", normal(3, 1), [ints(2, 1, 4)])
row("Tile", y, [ints(2, 3)])
row("Pad", x, [ints(0, 1, 2, 0, 0, 0, -1, 3)], [np.float32(1.5)])
row("Pad", x, [ints(0, 0, 2, 1, 0, 0, 1, 3)], mode="reflect")
row("Pad", x, [ints(0, 0, 2, 1, 0, 0, 1, 3)], mode="edge")
row("Pad", x, [ints(1, 2)], [np.float32(0)], [ints(-1)])
row("Pad", x, [ints(0, 0, 2, 1, 0, 0, 1, 3)], opset=19, mode="wrap")
row("Pad", x, opset=2, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=2.0)
row("OneHot", ints(1, 0, -1), [np.int64(4)], [np.array([0.5, 2.0], np.float32)])
row("OneHot", np.array([[1, 0], [2, 3]]), [np.int64(4)], [np.array([0.5, 2.0], np.float32)], axis=1)
row("Range", np.int64(1), np.int64(9), np.int64(3))
row("Trilu", y, [np.int64(1)])
row("Trilu", y, upper=0)
row("DepthToSpace", x, blocksize=2)
row("DepthToSpace", x, blocksize=2, mode="CRD")
row("SpaceToDepth", normal(2, 3, 4, 6), blocksize=2)
row("Shape", x, start=1, end=-1)
row("ConstantOfShape", ints(2, 3))
for name in ("Mean", "Max", "Min", "Prod", "L1", "L2", "LogSumExp", "SumSquare"):
    name = f"Reduce{name}"
    row(name, x, [ints(1, -1)])
    row(name, x, keepdims=0)
    row(name, x, opset=11, axes=[2], keepdims=0)
row("ReduceSum", x, [ints(0)], keepdims=0)
row("ReduceSum", x, opset=11, axes=[0, 2])
row("ReduceSum", x, noop_with_empty_axes=1)
for name in ("ArgMax", "ArgMin"):
    row(name, x, axis=1)
    row(name, x, axis=-1, keepdims=0)
for name in ("Softmax", "LogSoftmax"):
    row(name, x)
    row(name, x, axis=1)
    row(name, x, opset=11)
    row(name, x, opset=11, axis=2)
row("TopK", x, [ints(2)], axis=1, outputs=2)
row("TopK", x, [ints(3)], largest=0, outputs=2)
row("CumSum", x, [np.int64(1)])
row("CumSum", x, [np.int64(2)], exclusive=1, reverse=1)
row("MatMul", x, normal(5, 3))
row("MatMul", normal(2, 3, 4), normal(2, 4, 5))
row("Gemm", y, [normal(3, 5)], [normal(3)], transB=1)
row("Gemm", y, [normal(6, 3)], [normal(5, 3)], transA=1, alpha=0.5, beta=2.0)
row("Gemm", y, [normal(5, 3)])
weight, kernel = normal(6, 2, 3, 2), {"kernel_shape": [3, 2]}
row("Conv", x, [weight], [normal(6)], group=2)
row("Conv", x, [weight], group=2, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2])
for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    row("Conv", x, [weight], group=2, auto_pad=auto, strides=[2, 2], **kernel)
    row("MaxPool", x, auto_pad=auto, strides=[2, 2], **kernel)
    row("AveragePool", x, auto_pad=auto, strides=[1, 2], **kernel)
row("Conv", normal(1, 2, 7), [normal(3, 2, 3)], pads=[2, 1])
row("Conv", normal(1, 2, 3, 4, 5), [normal(3, 2, 2, 2, 2)])
row("ConvTranspose", x, [normal(4, 3, 3, 2)], [normal(6)], group=2, strides=[2, 3], pads=[1, 0, 1, 0])
row("ConvTranspose", x, [normal(4, 3, 3, 2)], [normal(3)], strides=[2, 3], pads=[0, 1, 2, 0], output_padding=[1, 2])
row("ConvTranspose", x, [normal(4, 3, 3, 2)], strides=[2, 2], output_shape=[12, 10])
row("ConvTranspose", x, [normal(4, 3, 3, 3)], strides=[2, 2], auto_pad="SAME_UPPER")
row("ConvTranspose", normal(1, 2, 5), [normal(2, 3, 4)], dilations=[2])
row("MaxPool", x, strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=1, **kernel)
row("MaxPool", x, dilations=[2, 2], **kernel)
row("MaxPool", x, outputs=2, strides=[2, 1], **kernel)
row("AveragePool", x, strides=[2, 2], pads=[1, 0, 1, 1], **kernel)
row("AveragePool", x, strides=[2, 2], pads=[1, 0, 1, 1], count_include_pad=1, **kernel)
row("AveragePool", x, strides=[2, 2], ceil_mode=1, opset=19, **kernel)
row("Col2Im", normal(1, 8, 12), [ints(4, 5)], [ints(2, 2)])
channels = [normal(4)], [normal(4) + 1], [normal(4)], [np.abs(normal(4)) + 0.5]
row("BatchNormalization", x, *channels)
row("BatchNormalization", x, *channels, epsilon=0.1, momentum=0.5)
row("InstanceNormalization", x, *channels[:2], epsilon=0.1)
row("GroupNormalization", x, *channels[:2], opset=21, num_groups=2)
row("LayerNormalization", x, [normal(6, 5)], [normal(6, 5)], axis=2, epsilon=0.1)
row("LRN", x, size=3, alpha=0.5, beta=0.6, bias=1.5)
row("SoftmaxCrossEntropyLoss", normal(3, 4), ints(1, 3, 0), outputs=2)
row("NegativeLogLikelihoodLoss", normal(3, 4, 2), ints(1, 3, 0, 1, 1, 2).reshape(3, 2), [np.abs(normal(4))],
    ignore_index=1, reduction="sum")  # fmt: skip
for mode in ("nearest", "linear", "cubic"):
    for transform in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
        if (mode, transform) != ("nearest", "align_corners"):  # onnxruntime rounds otherwise there
            how = {"mode": mode, "coordinate_transformation_mode": transform}
            row("Resize", x, None, None, [ints(2, 4, 9, 3)], **how)
            row("Resize", x, None, [np.array([1, 1, 2, 1.5], np.float32)], **how)
for rounding in ("floor", "ceil", "round_prefer_ceil"):
    row("Resize", x, None, [np.array([1, 1, 2, 2], np.float32)], nearest_mode=rounding)
row("Resize", x, None, None, [ints(12, 10)], axes=[2, 3], mode="linear")
row("Resize", x, [np.array([1, 1, 2, 3], np.float32)], opset=10)
row("Upsample", x, [np.array([1, 1, 2, 3], np.float32)], opset=9)
row("Upsample", x, opset=7, scales=[1.0, 1.0, 2.0, 3.0])


def model_of(type, inputs, attributes, opset, outputs):
    """A file's bytes, with one node, and the arrays that its inputs take."""
    import onnx
    from onnx import helper, numpy_helper

    names, given, initializers = [], {}, []
    for i, value in enumerate(inputs):
        names.append("" if value is None else f"i{i}")
        if isinstance(value, list):
            initializers.append(numpy_helper.from_array(np.asarray(value[0]), f"i{i}"))
        elif value is not None:
            given[f"i{i}"] = np.asarray(value)
    results = [f"o{i}" for i in range(outputs)]
    node = helper.make_node(type, names, results, name="the_node", **attributes)
    graph = helper.make_graph(
        [node], "graph",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
         for name, value in given.items()],
        [helper.make_empty_tensor_value_info(name) for name in results], initializers,
    )  # fmt: skip
    ir_version = 7 if opset < 15 else 10
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    return onnx.shape_inference.infer_shapes(model).SerializeToString(), given


def title(case):
    type, _, attributes, opset, _ = case
    return f"{type} {opset} {attributes}"


@pytest.mark.parametrize("case", ROWS, ids=title)
def test_operators_give_what_onnxruntime_gives(case, tmp_path):
    import onnxruntime

    content, given = model_of(*case)
    path = tmp_path / "node.onnx"
    path.write_bytes(content)
    onnxruntime.set_default_logger_severity(4)
    expected = onnxruntime.InferenceSession(content).run(None, given)
    found = results(load(path), given.values())
    for y, z in zip(found, expected, strict=True):
        assert (y.shape, y.dtype) == (z.shape, z.dtype)
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=2e-6)


def test_every_operator_has_a_row():
    assert set(FUNCTIONS) - {type for type, *_ in ROWS} == {"Constant"}


# --- whole files --------------------------------------------------------------------------------------------------


@each_net
def test_exported_nets_come_back(name, tmp_path):
    build, shape = NETS[name]
    rng = np.random.default_rng(2)
    net, x = with_random_state(build(tinycnn), rng).eval(), as_float32(rng.standard_normal(shape))
    path = tmp_path / "net.onnx"
    tinycnn.onnx.export(net, tinycnn.tensor(x), path)
    back = tinycnn.onnx.load(path)
    for batch in (x, larger(x)):
        for y, z in zip(results(net, [batch]), results(back, [batch]), strict=True):
            np.testing.assert_allclose(z, y, rtol=1e-5, atol=1e-5 * np.abs(y).max())
    state, other = net.state_dict(), back.state_dict()
    assert set(state) - set(other) == {key for key in state if key.endswith("tracked")}
    assert set(other) <= set(state)
    assert [key for key, _ in back.named_parameters()] == [key for key, _ in net.named_parameters()]


@each_net
def test_nets_that_were_read_can_be_written(name, tmp_path):
    build, shape = NETS[name]
    x, first, second = normal(*shape), tmp_path / "first.onnx", tmp_path / "second.onnx"
    tinycnn.onnx.export(build(tinycnn), tinycnn.tensor(x), first)
    back = load(first)
    tinycnn.onnx.export(back, tinycnn.tensor(x), second)
    assert_same_in_onnxruntime(second, back, [x])
    assert_same_in_onnxruntime(second, back, [larger(x)])


def export_by_torch(net, x, path, dynamo):
    import torch

    options = {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {} if dynamo else {"input_names": ["x"]}
        torch.onnx.export(net, (torch.tensor(x),), path, dynamo=dynamo, verbose=False, **options, **names)


@pytest.mark.torch
@pytest.mark.parametrize("dynamo", [True, False])
@each_net
def test_files_of_torch_run(name, dynamo, tmp_path):
    import torch

    build, shape = NETS[name]
    rng = np.random.default_rng(3)
    net = build(torch).eval()
    state = {key: value * 0.2 if value.ndim > 1 else value for key, value in state_of(net, rng).items()}
    net.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    x, path = as_float32(rng.standard_normal(shape)), tmp_path / "net.onnx"
    export_by_torch(net, x, path, dynamo)
    back = load(path)
    for batch in (x, larger(x)):
        expected = net(torch.tensor(batch))
        expected = [y.detach().numpy() for y in (expected if isinstance(expected, tuple) else (expected,))]
        for y, z in zip(expected, results(back, [batch]), strict=True):
            np.testing.assert_allclose(z, y, rtol=1e-5, atol=1e-5 * np.abs(y).max())


@pytest.mark.torch
def test_gradients_are_those_of_torch(tmp_path):
    import torch

    net = NETS["LeNet"][0](torch).eval()
    x = normal(2, 1, 28, 28)
    export_by_torch(net, x, tmp_path / "net.onnx", True)
    back = load(tmp_path / "net.onnx")
    given, expected = tinycnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    (back(given) ** 2).sum().backward()
    (net(expected) ** 2).sum().backward()
    gradients = {name: p.grad for name, p in back.named_parameters()} | {"x": given.grad}
    for name, p in [*net.named_parameters(), ("x", expected)]:
        np.testing.assert_allclose(gradients[name].numpy(), p.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_a_net_that_was_read_can_be_trained(tmp_path):
    tinycnn.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
    tinycnn.onnx.export(net, tinycnn.randn(3, 4), tmp_path / "net.onnx")
    back = load(tmp_path / "net.onnx")
    assert not back.training
    x = tinycnn.randn(32, 4)
    target, losses = x.sum(1, keepdim=True), []
    optimizer = tinycnn.optim.Adam(back.train().parameters(), lr=0.05)
    mean = back.state_dict()["1.running_mean"].clone()
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.MSELoss()(back(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert not tinycnn.allclose(mean, back.state_dict()["1.running_mean"])


def test_dropout_drops_in_training(tmp_path):
    content, _ = model_of("Dropout", [normal(50, 4)], {"ratio": 0.25}, 10, 1)
    (tmp_path / "node.onnx").write_bytes(content)
    net, x = load(tmp_path / "node.onnx"), np.ones((50, 4), np.float32)
    assert (results(net, [x])[0] == 1).all()
    (y,) = results(net.train(), [x])
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.6 < (y != 0).mean() < 0.9


def test_state_goes_from_one_net_to_another(tmp_path):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    tinycnn.onnx.export(net, tinycnn.randn(1, 1, 4, 4), tmp_path / "net.onnx")
    back = load(tmp_path / "net.onnx")
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    other.load_state_dict(back.state_dict())
    x = normal(2, 1, 4, 4)
    np.testing.assert_allclose(results(other, [x])[0], results(back, [x])[0], rtol=1e-6, atol=1e-6)
    assert "net.onnx: 3 operators" in repr(back)


def test_the_page_of_documentation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    text = PAGE.read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["scores"].shape == (8, 10)


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.onnx"
    tinycnn.onnx.export(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), tinycnn.randn(4, 3), path)
    return path


def saved(path, change):
    """The file, changed."""
    import onnx

    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def refused(path, message, error=ValueError):
    with pytest.raises(error, match=re.escape(message)) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_operators_that_are_not_known_are_named(file):
    def change(model):
        model.graph.node[-1].op_type, model.graph.node[-1].name = "Loop", "the_loop"

    refused(saved(file, change), "operators that tinycnn lacks: Loop (node 'the_loop')")


def test_operators_of_others_are_named(file):
    def change(model):
        model.graph.node[-1].domain = "com.microsoft"

    refused(saved(file, change), "operators that tinycnn lacks: com.microsoft.Relu (node '1/Relu')")


def test_dtypes_that_are_not_known_are_named(file):
    from onnx import TensorProto

    def change(model):
        weight = model.graph.initializer[0]
        weight.data_type, weight.raw_data = TensorProto.FLOAT8E5M2, bytes(6)

    refused(saved(file, change), "weight '0.weight' is FLOAT8E5M2, which tinycnn lacks")


def test_options_that_are_not_known_are_named(tmp_path):
    content, given = model_of("ArgMax", [normal(2, 3)], {"select_last_index": 1}, 18, 1)
    (tmp_path / "node.onnx").write_bytes(content)
    with pytest.raises(ValueError, match="node.onnx: ArgMax 'the_node': select_last_index is not supported"):
        results(load(tmp_path / "node.onnx"), given.values())


def test_damaged_files_are_refused(file, tmp_path):
    content = file.read_bytes()
    spoilt = {"cut": content[:-40], "empty": b"", "noise": bytes(range(256)), "text": b"hello " * 9}
    for name, damaged in spoilt.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(damaged)
        refused(path, f"load: {path}")
    refused(tmp_path / "nothing.onnx", "load: no file", FileNotFoundError)
    refused(tmp_path, "it is a folder", FileNotFoundError)


def test_data_beside_the_file(file, tmp_path):
    import onnx

    model, x = onnx.load(file), normal(2, 3)
    expected = results(load(file), [x])
    onnx.save_model(model, tmp_path / "outside.onnx", save_as_external_data=True, location="data.bin", size_threshold=0)
    found = results(load(tmp_path / "outside.onnx"), [x])
    np.testing.assert_array_equal(found[0], expected[0])
    data = (tmp_path / "data.bin").read_bytes()
    (tmp_path / "data.bin").write_bytes(data[:4])
    refused(tmp_path / "outside.onnx", "load: ")
    (tmp_path / "data.bin").unlink()
    refused(tmp_path / "outside.onnx", "weight '0.weight' lies in data.bin, which is not there")
    content = (tmp_path / "outside.onnx").read_bytes()
    (tmp_path / "outside.onnx").write_bytes(content.replace(b"data.bin", b"../d.bin"))
    refused(tmp_path / "outside.onnx", "weight '0.weight' lies outside of the file's folder, in ../d.bin")


def test_inputs_are_checked(file):
    net = load(file)
    for given, message in [
        ((), "net.onnx: expected 1 inputs, input, got 0"),
        ((normal(2, 3),), "net.onnx: expected input 'input' as a Tensor, got ndarray"),
        ((tinycnn.randn(2, 4),), "net.onnx: expected input 'input' float32 (*, 3), got float32 (2, 4)"),
        ((tinycnn.randn(2, 3).double(),), "net.onnx: expected input 'input' float32 (*, 3), got float64 (2, 3)"),
    ]:
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            net(*given)
