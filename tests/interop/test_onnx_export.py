"""ONNX export: layers, nets and idioms give in onnxruntime what they give here; what cannot be exported is named."""

import math
import re
import sys
import zlib

import numpy as np
import pytest

import tests.layers as table
import tinycnn
from tests.interop.nets import NETS
from tinycnn import nn
from tinycnn.autograd import Function
from tinycnn.interop.onnx_export import Merged, _recorded_again, export, recorded
from tinycnn.nn import functional as F

each_case = pytest.mark.parametrize("case", table.CASES, ids=lambda case: case.name)
each_net = pytest.mark.parametrize("name", NETS)


def as_float32(array):
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def with_random_state(module, rng):
    state = {name: as_float32(value) for name, value in table.state_of(module, rng).items()}
    # Small weights, or deep nets lose digits.
    state = {name: value * 0.2 if value.ndim > 1 else value for name, value in state.items()}
    module.load_state_dict({name: tinycnn.tensor(value) for name, value in state.items()})
    return module


def layer_and_inputs(case):
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    layer = with_random_state(case.build(nn).float(), rng)
    return layer, [as_float32(x) for x in (rng.standard_normal(case.input), *(sample(rng) for sample in case.others))]


def has_batch(case):
    return "one sample" not in case.name


def results(model, arrays):
    given = model(*map(tinycnn.tensor, arrays))
    return [y.detach().numpy() for y in (given if isinstance(given, tuple) else (given,))]


def assert_same_in_onnxruntime(path, model, arrays, rtol=1e-5, atol=1e-5):
    """The file passes the checker, and gives what the net gives in eval mode."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(path, full_check=True)
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(path)
    modes = [module.training for module in model.modules()]
    expected = results(model.eval(), arrays)
    for module, mode in zip(model.modules(), modes):
        object.__setattr__(module, "training", mode)
    found = session.run(None, dict(zip([x.name for x in session.get_inputs()], arrays)))
    for y, z in zip(expected, found, strict=True):
        assert (y.shape, y.dtype) == (z.shape, z.dtype)
        np.testing.assert_allclose(z, y, rtol=rtol, atol=atol * max(1, np.abs(y).max()))


def larger(array):
    """Three times the batch, in another order."""
    return np.concatenate([array] * 3)[::-1].copy()


def nodes_of(path):
    import onnx

    return [node.op_type for node in onnx.load(path).graph.node if node.op_type != "Constant"]


# --- layers and nets ----------------------------------------------------------------------------------------


@each_case
def test_every_layer_is_recorded(case):
    """Without onnx: an operator that has no row is found wherever the tests run."""
    layer, arrays = layer_and_inputs(case)
    inputs, batch = [*map(tinycnn.tensor, arrays)], arrays[0].shape[0] * has_batch(case)
    names = [f"x{i}" for i in range(len(inputs))]
    merged = Merged(recorded(layer, inputs, names), _recorded_again(layer, inputs, names, batch), batch)
    assert merged.nodes


@pytest.mark.onnx
@each_case
def test_every_layer_is_the_same_in_onnxruntime(case, tmp_path):
    layer, arrays = layer_and_inputs(case)
    path = tmp_path / "layer.onnx"
    export(layer, tuple(map(tinycnn.tensor, arrays)), path, dynamic_batch=has_batch(case))
    assert_same_in_onnxruntime(path, layer, arrays)
    if has_batch(case):
        assert_same_in_onnxruntime(path, layer, [larger(x) for x in arrays])


@pytest.mark.onnx
@each_net
def test_nets_are_the_same_in_onnxruntime(name, tmp_path):
    build, shape = NETS[name]
    rng = np.random.default_rng(0)
    net, x = with_random_state(build(tinycnn), rng), as_float32(rng.standard_normal(shape))
    path = tmp_path / "net.onnx"
    export(net, tinycnn.tensor(x), path)
    assert_same_in_onnxruntime(path, net, [x])
    assert_same_in_onnxruntime(path, net, [larger(x)])


@pytest.mark.onnx
def test_layers_are_single_nodes_and_weights_keep_their_names(tmp_path):
    import onnx

    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, groups=4),
        nn.LeakyReLU(0.2), nn.ConvTranspose2d(4, 3, 2, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(3, 2),
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    export(net, tinycnn.randn(2, 2, 8, 8), path, input_names=["image"], output_names=["scores"])
    assert nodes_of(path) == [
        "Conv", "BatchNormalization", "Relu", "MaxPool", "Conv", "LeakyRelu", "ConvTranspose", "GlobalAveragePool",
        "Flatten", "Gemm",
    ]  # fmt: skip
    graph = onnx.load(path).graph
    weights = {name for name in net.state_dict() if not name.endswith("tracked")}
    assert {tensor.name for tensor in graph.initializer} == weights
    assert [x.name for x in graph.input] == ["image"]
    assert [y.name for y in graph.output] == ["scores"]
    sizes = [dim.dim_param or dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", 2, 8, 8]
    assert [node.name for node in graph.node if node.op_type == "Conv"] == ["0/Conv", "4/Conv"]


@pytest.mark.onnx
def test_bfloat16_is_written_and_read(tmp_path):
    """The versions of the operators that are written have no convolution of it, and onnxruntime no product."""
    import onnx

    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.ReLU(), nn.Linear(4, 3))
    net, x = net.bfloat16().eval(), tinycnn.randn(2, 1, 6, 6).bfloat16()
    export(net, (x,), tmp_path / "a.onnx")
    onnx.checker.check_model(tmp_path / "a.onnx", full_check=True)
    y = tinycnn.onnx.load(tmp_path / "a.onnx")(x)
    assert y.dtype == tinycnn.bfloat16
    assert (y == net(x)).all()


@pytest.mark.onnx
@pytest.mark.parametrize("layer", [nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(1, 2, 3), nn.MaxPool2d(2), nn.AvgPool2d(2)])
def test_windows_of_bfloat16_need_a_later_opset(layer, tmp_path):
    import onnx

    net, x = nn.Sequential(layer).bfloat16(), tinycnn.randn(1, 1, 5, 5).bfloat16()
    with pytest.raises(ValueError, match="^export: 0 = .*: [A-Za-z]+ of bfloat16 needs opset_version=22$"):
        export(net, (x,), tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()
    export(net, (x,), tmp_path / "net.onnx", opset_version=22)
    onnx.checker.check_model(onnx.load(tmp_path / "net.onnx"), full_check=True)


@pytest.mark.onnx
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float16", 2e-2)])
def test_other_dtypes(dtype, tolerance, tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Sigmoid(), nn.Softmax(1)).to(dtype)
    x = np.random.default_rng(0).standard_normal((3, 2, 3)).astype(dtype)
    path = tmp_path / "net.onnx"
    export(net, tinycnn.tensor(x), path)
    assert_same_in_onnxruntime(path, net, [x], tolerance, tolerance)


# --- what programs write in `forward` -----------------------------------------------------------------------


def other_scale(x):
    return F.interpolate(x, scale_factor=(0.7, 1.3), mode="bilinear"), F.interpolate(x, scale_factor=1.4)


def parts_in_place(x):
    y, z = x.clone(), tinycnn.zeros(len(x), 5, 4, 5)
    y[:, 1] = 3.0
    y[:, :, 1:3, -1] += x[:, :, :2, 0]
    y[..., 2:] *= 2
    z[:, :3] = y
    z[:, 3:, 0] = 1
    z[:, 4].transpose(1, 2).flatten(1)[:, 3:5].sub_(1).relu_()
    return y, z


def a_view_that_had_to_be_a_copy(x):
    y = F.conv2d(x, tinycnn.ones(2, 3, 1, 1))
    z = y.view(len(x), -1)
    F.relu(z, inplace=True)
    return y * 2, z


IDIOMS = {
    "sizes of the batch": lambda x: x.view(x.size(0), -1) @ x.reshape(len(x), -1).t(),
    "reshape to several sizes": lambda x: x.reshape(len(x) * 3, 2, 2, 5).permute(0, 2, 1, 3).contiguous().flatten(1),
    "batch in the middle": lambda x: x.transpose(0, 1).reshape(3, x.shape[0], 20),
    "indices": lambda x: (x[:, 0], x[:, -1:, 1:3], x[..., ::2], x[:, None, 1, ..., None], x[:, [2, 0]], x[1]),
    "backwards": lambda x: (x.flip(1), x[:, :, :-1], x[..., -2]),
    "pieces": lambda x: (*x.split(2, 1), *x.chunk(2, 3), tinycnn.cat([x, x * 2], 1), tinycnn.stack([x, x], 0)),
    "zeros of the batch": lambda x: tinycnn.cat([x, tinycnn.zeros(len(x), 1, 4, 5)], 1) + tinycnn.ones_like(x[:, :1]),
    "expand": lambda x: x.mean((2, 3), keepdim=True).expand_as(x) + x.amax(1, keepdim=True).expand(-1, 3, -1, -1),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "comparisons": lambda x: (tinycnn.where(x > 0.1, x, 0), x.masked_fill((x < 0) & ~(x == 1), -2.0), (x != 0).float()),
    "numbers": lambda x: ((2 - x) / 3 + 1 / (x * x + 1)) ** 2 - (x.abs() + 1) ** 0.5,
    "statistics": lambda x: (x.var(1), x.std((2, 3)), x.norm(dim=1), x.logsumexp(1), x.sum(), x.cumsum(3)),
    "extrema": lambda x: (x.max(1)[0], x.max(1)[1], x.argmin(2), x.max(), x.min(3).values, x.argmax()),
    "order": lambda x: (x.topk(2, 1)[0], x.sort(3)[1], x.argsort(1, descending=True)),
    "bounds": lambda x: (x.clamp(-0.5, 0.5), x.clamp(max=x.mean()), tinycnn.maximum(x, x.flip(3)), x.floor(), x.sign()),
    "one hot": lambda x: F.one_hot(x.argmax(1), 3).float(),
    "triangles": lambda x: (x.tril(), x.triu(1)),
    "scales that do not fit": other_scale,
    "nearest": lambda x: (F.interpolate(x, scale_factor=2), F.interpolate(x, (8, 10)), F.interpolate(x, (3, 7))),
    "pads": lambda x: (F.pad(x, (1, -1, 2, 0), value=3.0), F.pad(x, (2, 1, 1, 2), "circular")),
    "attention": lambda x: (x.flatten(2).softmax(-1) @ x.flatten(2).transpose(1, 2)).tanh(),
    "the input itself": lambda x: (x, x),
    "a dict": lambda x: {"a": x + 1, "b": {"c": x}},
    "in place": lambda x: (x.mul(2).relu_().add_(x), F.leaky_relu(x * 1, 0.2, inplace=True), x.clone().zero_() + x),
    "in place on the input": lambda x: x.mul_(2).clamp_(-1, 1),
    "parts in place": parts_in_place,
    "a view in place that had to be a copy": a_view_that_had_to_be_a_copy,
    "a view in place": lambda x: F.relu(F.conv2d(x, tinycnn.ones(2, 3, 1, 1)).view(len(x), -1) * 1, inplace=True),
    "more functions": lambda x: (
        x.tan(), x.atan(), x.sinh(), x.exp2(), (x.abs() + 1).log2(), (x * 9).fmod(2), (x * 3).trunc(),
        x.square().rsqrt(), tinycnn.isfinite(x * math.inf), x.unfold(3, 3, 2), x.sum() / x.shape[0], x / (3 * len(x)),
    ),
    "means without padding": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "indices of pooling": lambda x: F.max_pool2d(x, 2, 1, return_indices=True),
}  # fmt: skip


class Calling(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.onnx
@pytest.mark.parametrize("idiom", IDIOMS)
def test_idioms(idiom, tmp_path):
    def flat(x):
        given = IDIOMS[idiom](x)
        given = (given["a"], given["b"]["c"]) if isinstance(given, dict) else given
        return tuple(given) if isinstance(given, tuple) else (given,)

    x = np.random.default_rng(1).standard_normal((2, 3, 4, 5)).astype(np.float32)
    path = tmp_path / "idiom.onnx"
    export(Calling(IDIOMS[idiom]), tinycnn.tensor(x), path)
    assert_same_in_onnxruntime(path, Calling(flat), [x])
    assert_same_in_onnxruntime(path, Calling(flat), [larger(x)])


@pytest.mark.onnx
def test_several_inputs_and_keys(tmp_path):
    import onnx

    class Two(nn.Module):
        def forward(self, image, mask):
            return {"sum": image + mask, "product": image * mask}

    path = tmp_path / "two.onnx"
    export(Two(), (tinycnn.randn(2, 3), tinycnn.randn(2, 3)), path)
    graph = onnx.load(path).graph
    assert [x.name for x in graph.input] == ["image", "mask"]
    assert [y.name for y in graph.output] == ["sum", "product"]


# --- what is refused ----------------------------------------------------------------------------------------


class Twice(Function):
    def forward(self, x):
        return 2 * x


def with_item(x):
    return x * x.mean().item()


def with_memory_changed(x):
    y = x * 1
    z = y + 1
    y.numpy()[0] = 5
    return z + y


def changed_by_view(x):
    y = x * 1
    z = y.reshape(len(x), 12)
    y[:, 0].relu_()
    return z


def changed_by_arrays(x):
    y = x * 1
    y[y > 0] = 2.0
    return y


REFUSED = {
    "an operator of the user": (lambda x: Twice()(x), "Net: inner = Calling(): the operator Twice cannot be exported"),
    "a number of Python": (with_item, "inner = Calling(): Mul takes a value that changes with the input"),
    "dropout in eval mode": (lambda x: F.dropout(x), "Mul takes a value that changes"),
    "a change in place": (with_memory_changed, "inner/Mul was changed in place"),
    "a change of another view": (lambda x: changed_by_view(x), "Net: inner/Flatten was changed in place"),
    "a change by arrays": (lambda x: changed_by_arrays(x), "assignment: a change by an index of arrays"),
    "a fixed batch": (lambda x: x.reshape(2, 12), "with 5 samples instead of 2 it failed: reshape: a tensor of"),
    "half of the batch": (lambda x: x[: len(x) // 2 + 1].reshape(-1), "takes a value that changes"),
    "another path": (lambda x: x + 1 if len(x) == 2 else x * 2, "makes Add another operation"),
    "several arrays": (lambda x: x[[0, 1], [1, 0]], "an index of booleans or of several arrays"),
    "no tensor": (lambda x: "text", "expected the net to return Tensors, got str"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_exported_is_named(what, tmp_path, monkeypatch):
    function, message = REFUSED[what]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Calling(function)

        def forward(self, x):
            return self.inner(x)

    net, path = Net(), tmp_path / "net.onnx"
    net.inner.eval()
    monkeypatch.setattr("tinycnn.interop.onnx_export.onnx_ir", lambda called: None)
    with pytest.raises((ValueError, TypeError), match=re.escape(message.removeprefix("Net: "))) as caught:
        export(net, tinycnn.randn(2, 3, 4), path)
    assert str(caught.value).startswith("export: ")
    assert "\n" not in str(caught.value)
    assert not path.exists()
    assert net.training
    assert not net.inner.training
    assert sys.getprofile() is None


def test_arguments_are_checked(tmp_path, monkeypatch):
    net, x, path = nn.Linear(3, 2), tinycnn.randn(2, 3), tmp_path / "net.onnx"
    monkeypatch.setattr("tinycnn.interop.onnx_export.onnx_ir", lambda called: None)
    for arguments, options, message in [
        ((lambda x: x, x, path), {}, "export: expected model as a Module, got function"),
        ((net, x.numpy(), path), {}, "export: expected example as a Tensor or a tuple of them, got ndarray"),
        ((net, x, path), {"input_names": ["a", "b"]}, "export: expected input_names as 1 names, got ['a', 'b']"),
        ((net, x, path), {"output_names": "y"}, "export: expected output_names as 1 names, got 'y'"),
        ((net, x, path), {"opset_version": 99}, "export: expected opset_version from 18 to 23, got 99"),
        ((net, x, path), {"dynamic_axes": {"x": {0: "n", 1: "c"}}}, "export: expected dynamic_axes to name the batch"),
        ((net, x, 3), {}, "export: expected path as a str or os.PathLike, got int"),
        ((net, x, path, 1), {}, "export: expected dynamic_batch as True or False, got 1 (int)"),
        ((net, tinycnn.tensor(1.0), path), {}, "export: dynamic_batch=True expects an example with a batch"),
    ]:
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            export(*arguments, **options)
    assert not path.exists()


@pytest.mark.onnx
def test_older_versions_of_the_operators_are_not_written(tmp_path):
    with pytest.warns(UserWarning, match="writes opset 18, not 11"):
        export(nn.Linear(3, 2), tinycnn.randn(2, 3), tmp_path / "net.onnx", opset_version=11)


def test_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    with pytest.raises(ImportError, match=r'export: needs onnx-ir, .*pip install "tinycnn\[onnx\]"'):
        tinycnn.onnx.export(nn.Linear(3, 2), tinycnn.randn(2, 3), tmp_path / "net.onnx")
    with pytest.raises(ImportError, match=r'load: needs onnx-ir, .*pip install "tinycnn\[onnx\]"'):
        tinycnn.onnx.load(tmp_path / "net.onnx")


def test_a_number_of_python_is_noticed_in_an_example_of_zeros():
    net, x = Calling(lambda x: x + x.mean().item()), tinycnn.zeros(2, 3)
    with pytest.raises(ValueError, match="Add takes a value that changes with the input"):
        Merged(recorded(net, [x], ["x"]), _recorded_again(net, [x], ["x"], 2), 2)


@pytest.mark.onnx
def test_a_part_that_is_changed_is_written_once(tmp_path):
    def changed(x):
        y = x * 2
        y[:, 1] += 1
        return y

    export(Calling(changed), tinycnn.randn(2, 3), tmp_path / "net.onnx")
    expected = ["Mul", "Slice", "Squeeze", "Add", "Unsqueeze", "Slice", "Slice", "Concat"]
    assert nodes_of(tmp_path / "net.onnx") == expected


def test_statistics_are_unchanged():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    before = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    recorded(net, [tinycnn.randn(4, 3)], ["x"])
    assert net.training
    assert all((value.numpy() == before[name]).all() for name, value in net.state_dict().items())


@pytest.mark.onnx
def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="export: cannot write .*No such file or directory"):
        export(nn.Linear(3, 2), tinycnn.randn(2, 3), tmp_path / "folder" / "net.onnx")


@pytest.mark.onnx
def test_files_that_would_be_too_large_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tinycnn.interop.onnx_export._LARGEST", 100)
    path = tmp_path / "net.onnx"
    with pytest.raises(ValueError, match="export: the weights take 104 bytes, more than the 100 of an ONNX file"):
        export(nn.Linear(12, 2), tinycnn.randn(2, 12), path)
    assert not path.exists()
