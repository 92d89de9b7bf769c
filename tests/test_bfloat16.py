"""bfloat16: a dtype of ml_dtypes. Every operator and layer takes it, in 16 bits as exactly as 16 bits allow."""

import json
import pickle
import subprocess
import sys
import zlib

import numpy as np
import pytest

import tinycnn
from tests import layers, operators
from tinycnn import nn, optim, tensor
from tinycnn.data import transforms
from tinycnn.data.transforms import v2
from tinycnn.nn import functional as F

pytest.importorskip("ml_dtypes")

BFLOAT16 = tinycnn.bfloat16
EPS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}  # half the distance of two neighbours, relative


# --- the table of operators, the table of layers --------------------------------------------------------------


def rounded(lib, array, dtype, to):
    """A Tensor of `lib` of an array's numbers, rounded to `dtype` if they have fractions, as numbers of `to`."""
    x = lib.tensor(np.array(array))
    return x.to(getattr(lib, dtype)).to(to).detach().requires_grad_() if x.is_floating_point() else x


def of_operator(case, lib, dtype, wide):
    """Outputs and first gradients: of 16 bits, or of the same numbers in float64."""
    to = lib.float64 if wide else getattr(lib, dtype)
    inputs = [rounded(lib, a, dtype, to) for a in case.inputs()]
    outputs = case.run(lib, inputs)
    kept, asked = [y for y in outputs if y.requires_grad], [x for x in inputs if x.requires_grad]
    found = {f"output{i}": y for i, y in enumerate(outputs)}
    if kept:
        rng = np.random.default_rng(zlib.crc32(case.name.encode()))
        upstream = [rounded(lib, rng.standard_normal(tuple(y.shape)), dtype, y.dtype).detach() for y in kept]
        gradients = lib.autograd.grad(kept, asked, upstream, allow_unused=True)
        found |= {f"gradient{i}": g for i, g in enumerate(gradients) if g is not None}
    return found


def of_layer(case, lib, dtype, wide):
    """Output, gradients and buffers, as of an operator."""
    to = lib.float64 if wide else getattr(lib, dtype)
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    module = case.build(lib.nn).to(to)
    state = layers.state_of(module, rng)
    module.load_state_dict({name: rounded(lib, value, dtype, to).detach() for name, value in state.items()})
    x = rounded(lib, rng.standard_normal(case.input), dtype, to)
    others = [rounded(lib, sampler(rng), dtype, to).detach() for sampler in case.others]
    y = module(x, *others)
    y.backward(rounded(lib, rng.standard_normal(tuple(y.shape)), dtype, y.dtype).detach())
    found = {"output": y, "input": x.grad} | dict(module.named_buffers())
    return found | {f"gradient of {name}": p.grad for name, p in module.named_parameters() if p.grad is not None}


def values(found):
    return {name: y.detach().double().numpy() for name, y in found.items()}


def error(found, exact):
    """The largest error of the numbers that are finite, by the largest of them."""
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    largest = np.abs(exact[finite]).max() if finite.any() else 0.0
    return np.abs(found[finite] - exact[finite]).max() / largest if largest else 0.0


# Where a tie or a step decides, what is rounded first decides otherwise.
STEPS = ("median", "mode", "unique", "sort", "topk", "kth", "cum", "arg", "whole", "floor", "trunc", "round", "fmod",
         "remainder", "histc", "quantile", "searchsorted", "grid_sample", "nextafter", "max", "min", "number",
         "embedding", "logit", "atanh", "frac", "far_out", "cosine")  # fmt: skip


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", operators.CASES, ids=lambda case: case.name)
def test_operators_of_16_bits(case, dtype):
    """Their results have 16 bits, unless they have none, and lie near those of float64."""
    found = of_operator(case, tinycnn, dtype, False)
    exact = of_operator(case, tinycnn, dtype, True)
    assert found.keys() == exact.keys()
    for name, y in found.items():
        assert y.dtype in (dtype, exact[name].dtype), name  # that of float64 where it was asked for
    if any(word in case.name for word in STEPS):
        return
    found, exact = values(found), values(exact)
    for name, value in exact.items():
        if np.abs(value[np.isfinite(value)]).max(initial=0) < 60000:
            assert error(found[name], value) < 8 * EPS[dtype], name


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", layers.CASES, ids=lambda case: case.name)
def test_layers_of_16_bits(case, dtype):
    found, exact = of_layer(case, tinycnn, dtype, False), of_layer(case, tinycnn, dtype, True)
    assert found.keys() == exact.keys()
    assert {y.dtype.name for y in found.values()} <= {dtype, "int64"}
    found, exact = values(found), values(exact)
    for name, value in exact.items():
        assert error(found[name], value) < 12 * EPS[dtype], name


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("of, case", [
    *[pytest.param(of_operator, case, id=f"operator {case.name}") for case in operators.CASES],
    *[pytest.param(of_layer, case, id=f"layer {case.name}") for case in layers.CASES],
])  # fmt: skip
def test_as_exact_as_torch(of, case, dtype):
    """Shapes and dtypes are torch's; errors at most one and a half times torch's, or two units in the last place."""
    import torch

    try:
        theirs = of(case, torch, dtype, False)
    except (NotImplementedError, RuntimeError) as refused:
        pytest.skip(f"torch: {refused!s:.60}")
    ours, exact = of(case, tinycnn, dtype, False), values(of(case, torch, dtype, True))
    theirs = {name: y for name, y in theirs.items() if name in ours}  # they have more buffers
    for name, y in theirs.items():
        assert (str(y.dtype), tuple(y.shape)) == (f"torch.{ours[name].dtype.name}", ours[name].shape), name
    theirs, ours = values(theirs), values(ours)
    for name, y in theirs.items():
        both = np.isfinite(y) & np.isfinite(exact[name])
        off, theirs_off = (np.abs(found - exact[name])[both].max(initial=0) for found in (ours[name], y))
        if off > 1.5 * theirs_off:
            scale = np.abs(y[both]).max(initial=0)
            np.testing.assert_allclose(ours[name], y, rtol=8 * EPS[dtype], atol=4 * EPS[dtype] * scale, err_msg=name)


# --- a dtype ------------------------------------------------------------------------------------------------------


def test_names_and_limits():
    x = tinycnn.ones(2, dtype=tinycnn.bfloat16)
    assert x.dtype == tinycnn.bfloat16 == tensor([1.0]).bfloat16().dtype == tensor([1.0]).to("bfloat16").dtype
    assert x.is_floating_point()
    assert (x.element_size(), x.nbytes) == (2, 4)
    assert x.bfloat16() is x
    assert x.type() == "torch.BFloat16Tensor" == repr(tinycnn.BFloat16Tensor)
    assert isinstance(x, tinycnn.BFloat16Tensor)
    assert not isinstance(x.half(), tinycnn.BFloat16Tensor)
    assert tinycnn.FloatTensor([1.5]).type(tinycnn.BFloat16Tensor).dtype == BFLOAT16
    assert repr(x) == "tensor([1., 1.], dtype=bfloat16)"
    info = tinycnn.finfo(tinycnn.bfloat16)
    assert (info.bits, info.eps, info.dtype) == (16, 2.0**-7, "bfloat16")
    assert (info.max, info.tiny) == (2.0**128 - 2.0**120, 2.0**-126)
    with pytest.raises(TypeError, match="iinfo: expected an integer dtype, got bfloat16"):
        tinycnn.iinfo(BFLOAT16)
    with pytest.raises(TypeError, match="at most 64 bits"):
        tinycnn.zeros(1, dtype=np.dtype("V2"))


@pytest.mark.parametrize("other, result", [
    ("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("int64", "bfloat16"),
    ("uint8", "bfloat16"), ("bool", "bfloat16"), ("bfloat16", "bfloat16"),
])  # fmt: skip
def test_promotion(other, result):
    x, y = tinycnn.ones(3, dtype=BFLOAT16), tinycnn.ones(3, dtype=other)
    assert (x + y).dtype == (y * x).dtype == tinycnn.promote_types(BFLOAT16, other) == result
    assert tinycnn.cat([x, y]).dtype == result
    number = tensor(2, dtype=other)
    assert (x * number).dtype == (result if other in ("bfloat16", "int64", "uint8", "bool") else "bfloat16")


@pytest.mark.parametrize("function", [
    lambda x: x * 2.5, lambda x: 2.5 * x, lambda x: x + 1, lambda x: 1 / x, lambda x: x**2, lambda x: 2.0**x,
    lambda x: x.clamp(min=0.1), lambda x: tinycnn.where(x > 0, x, 0.0), lambda x: x.masked_fill(x > 0, 0.5),
    lambda x: x.relu(), lambda x: F.hardtanh(x), lambda x: F.leaky_relu(x), lambda x: F.dropout(x, 0.5),
    lambda x: tinycnn.maximum(x, 0.5), lambda x: x.fill_(1.5), lambda x: x.add_(1.5), lambda x: x.mul_(0.3),
])  # fmt: skip
def test_numbers_do_not_promote(function):
    assert function(tinycnn.randn(3, 4).bfloat16()).dtype == BFLOAT16


def test_new_tensors():
    of = {"dtype": BFLOAT16}
    like = tinycnn.zeros(2, **of)
    for x in (
        tensor([1.5], **of), tinycnn.empty(2, **of), tinycnn.full((2,), 1.5, **of), tinycnn.arange(3, **of),
        tinycnn.linspace(0, 1, 3, **of), tinycnn.eye(2, **of), tinycnn.rand(2, **of), tinycnn.randn(2, **of),
        tinycnn.zeros_like(like), tinycnn.rand_like(like), like.new_tensor([1.0]), tinycnn.as_tensor(like.numpy()),
        tinycnn.from_numpy(like.numpy()), tensor(like), like.clone(), like.normal_(), like.uniform_(),
        like.bernoulli_(0.5), like.random_(5), nn.init.xavier_uniform_(tinycnn.empty(2, 3, **of)),
    ):  # fmt: skip
        assert x.dtype == BFLOAT16
    assert tinycnn.rand(1 << 16, **of).max() < 1  # a number above 1 − 2⁻⁹ would be rounded to it
    tinycnn.set_default_dtype(tinycnn.bfloat16)
    try:
        assert tensor([1.0]).dtype == nn.Linear(1, 1).weight.dtype == BFLOAT16
    finally:
        tinycnn.set_default_dtype(tinycnn.float32)


def test_order_with_nan():
    x = tensor([1.0, float("nan"), -2.0, 3.0]).bfloat16()
    values, places = x.sort()
    assert places.tolist() == [2, 0, 3, 1]
    assert values[:3].tolist() == [-2, 1, 3]
    assert x[[0, 2, 3]].unique().tolist() == [-2, 1, 3]
    assert x[[0, 2, 3]].unique().dtype == BFLOAT16
    assert tinycnn.searchsorted(tensor([-2.0, 1.0, 3.0]).bfloat16(), tensor([2.0]).bfloat16()).tolist() == [2]


def test_sums_are_taken_in_float32():
    ones = tinycnn.ones(5000, 2, dtype=BFLOAT16)
    assert ones.sum(0).tolist() == [4992, 4992]  # 5000 rounded; added up in bfloat16 it would be 256
    assert ones.mean(0).tolist() == ones.var(0, correction=0).add(1).tolist() == [1, 1]
    assert F.mse_loss(ones * 3, ones).tolist() == 4
    assert nn.utils.clip_grad_norm_([nn.Parameter(ones)], 1.0).item() == 0


def test_memory_that_is_known_outside_is_watched():
    x = tinycnn.ones(3, dtype=BFLOAT16, requires_grad=True)
    y = x.detach().numpy()
    assert y.dtype == BFLOAT16
    product = (x * x).sum()
    y[0] = 5
    with pytest.raises(RuntimeError, match="changed in place"):
        product.backward()


def test_gradients_of_integers_are_refused_and_of_bfloat16_are_not():
    x = tinycnn.ones(2, dtype=BFLOAT16).requires_grad_()
    (x * 2).sum().backward()
    assert x.grad.dtype == BFLOAT16
    x.data = tinycnn.zeros(2, dtype=BFLOAT16)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam",
                                  "ASGD", "Rprop", "Lion", "Muon"])  # fmt: skip
def test_optimizers_of_bfloat16_parameters(name):
    tinycnn.manual_seed(0)
    net, x = nn.Linear(4, 2, bias=name != "Muon").bfloat16(), tinycnn.randn(8, 4).bfloat16()
    optimizer = getattr(optim, name)(net.parameters(), lr=1.0 if name == "Adadelta" else 0.05)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert net.weight.dtype == BFLOAT16
    assert losses[-1] < 0.9 * losses[0]


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_files_hold_every_bit(tmp_path, suffix):
    every = tinycnn.from_numpy(np.arange(2**16, dtype=np.uint16).view(BFLOAT16)).reshape(256, 256)
    tinycnn.save({"x": every, "t": every.t()}, tmp_path / f"a.{suffix}")
    read = tinycnn.load(tmp_path / f"a.{suffix}")
    for name, expected in (("x", every), ("t", every.t())):
        assert read[name].dtype == BFLOAT16
        found, bits = (x.contiguous().numpy().view(np.uint16) for x in (read[name], expected))
        np.testing.assert_array_equal(found, bits)


def test_files_that_name_the_dtype(tmp_path):
    tinycnn.save({"dtype": tinycnn.bfloat16}, tmp_path / "a.pt")
    assert tinycnn.load(tmp_path / "a.pt")["dtype"] == BFLOAT16
    assert pickle.loads(pickle.dumps(tinycnn.ones(2, dtype=BFLOAT16))).dtype == BFLOAT16


@pytest.mark.torch
def test_files_from_and_for_torch(tmp_path):
    torch = pytest.importorskip("torch")
    x = torch.randn(3, 4).bfloat16()
    torch.save({"x": x, "dtype": torch.bfloat16, "w": torch.nn.Parameter(x)}, tmp_path / "theirs.pt")
    read = tinycnn.load(tmp_path / "theirs.pt")
    assert read["dtype"] == read["x"].dtype == read["w"].dtype == BFLOAT16
    np.testing.assert_array_equal(read["x"].float().numpy(), x.float().numpy())
    tinycnn.save(read, tmp_path / "ours.pt")
    back = torch.load(tmp_path / "ours.pt")
    assert back["dtype"] is torch.bfloat16
    assert torch.equal(back["x"], x)


# --- without the package ----------------------------------------------------------------------------------------


def without_ml_dtypes(code):
    """What a process prints as JSON in which ml_dtypes cannot be imported."""
    lines = ["import json, sys", "sys.modules['ml_dtypes'] = None", "import tinycnn", code]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_name_without_the_package():
    code = """
x = tinycnn.ones(2)
told = []
for use in (x.bfloat16, lambda: x.to(tinycnn.bfloat16), lambda: tinycnn.zeros(2, dtype="bfloat16"),
            lambda: tinycnn.nn.Linear(1, 1).bfloat16(), lambda: tinycnn.finfo(tinycnn.bfloat16),
            lambda: tinycnn.autocast("cpu")):
    try:
        use()
    except ImportError as error:
        told.append(str(error))
print(json.dumps([str(tinycnn.bfloat16), x.dtype == tinycnn.bfloat16, tinycnn.float16 == tinycnn.bfloat16, told]))
"""
    name, *equal, told = without_ml_dtypes(code)
    assert (name, equal) == ("bfloat16", [False, False])
    assert len(told) == 6
    assert set(told) == {
        "bfloat16: the package ml_dtypes is missing: "
        'pip install "tinycnn[bfloat16]" (from a checkout: pip install -e ".[bfloat16]")'
    }


def test_importing_tinycnn_does_not_import_it():
    code = "import sys, tinycnn; tinycnn.ones(2).half(); print('ml_dtypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_comparisons_with_python_numbers():
    """The number is rounded to bfloat16 first, as in torch."""
    x = tinycnn.tensor([0.1, 0.2, 0.3]).bfloat16()
    assert (x == 0.1).tolist() == [True, False, False]
    assert (x != 0.1).tolist() == [False, True, True]
    assert (x <= 0.2).tolist() == [True, True, False]
    assert (x > 0.2).tolist() == [False, False, True]
    assert (x.clamp(max=0.1) == 0.1).all()
    assert (x == x.float()).tolist() == [True, True, True]


def test_augmentation_of_images():
    """As of float32, and rounded once."""
    images = tinycnn.rand(4, 3, 9, 8)
    affine = transforms.RandomAffine(20, interpolation=transforms.InterpolationMode.BILINEAR)
    labels = tinycnn.arange(4)
    mixtures = [v2.MixUp(num_classes=4), v2.CutMix(num_classes=4)]
    for augment in (affine, *[lambda x, mix=mix: mix(x, labels)[0] for mix in mixtures]):
        found = []
        for x in (images, images.bfloat16()):
            tinycnn.manual_seed(3)
            found.append(augment(x))
        assert found[1].dtype == tinycnn.bfloat16
        np.testing.assert_allclose(found[1].float().numpy(), found[0].numpy(), atol=2**-7)
