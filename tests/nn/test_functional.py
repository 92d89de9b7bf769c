"""The functions of nn.functional beyond what the tests of the operators and layers say of them."""

import inspect
import re

import numpy as np
import pytest

import tinycnn
from tinycnn import gradcheck, gradgradcheck, nn, tensor
from tinycnn.nn import functional as F
from tinycnn.teaching import reference

rng = np.random.default_rng(0)

# --- arguments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [1.0, True, "1"])
def test_a_cached_geometry_excuses_no_wrong_type(wrong):
    """1.0 == 1 == True, so a cache would take one for the other."""
    x, w = tinycnn.tensor(rng.standard_normal((1, 1, 5, 5))), tinycnn.tensor(rng.standard_normal((1, 1, 2, 2)))
    F.conv2d(x, w, stride=1)
    F.conv2d(x, w, stride=(1, 1))
    F.max_pool2d(x, 1)
    F.max_pool2d(x, (1, 1))
    for call in (lambda: F.conv2d(x, w, stride=wrong), lambda: F.max_pool2d(x, wrong)):
        with pytest.raises(TypeError, match="as an int or 2 ints"):
            call()


def test_integers_of_numpy_are_integers():
    x, w = tinycnn.tensor(rng.standard_normal((1, 1, 5, 5))), tinycnn.tensor(rng.standard_normal((1, 1, 2, 2)))
    expected = F.conv2d(x, w, stride=2).numpy()
    np.testing.assert_array_equal(F.conv2d(x, w, stride=np.int64(2)).numpy(), expected)
    np.testing.assert_array_equal(F.conv2d(x, w, stride=[np.int32(2), 2]).numpy(), expected)


def test_layers_and_functions_agree():
    x = tinycnn.tensor(rng.standard_normal((2, 3, 6, 7)))
    conv = nn.Conv2d(3, 4, (2, 3), 2, 1).double()
    expected = F.conv2d(x, conv.weight, conv.bias, 2, 1).detach().numpy()
    np.testing.assert_array_equal(conv(x).detach().numpy(), expected)
    np.testing.assert_array_equal(nn.MaxPool2d(2)(x).numpy(), F.max_pool2d(x, 2).numpy())
    np.testing.assert_array_equal(nn.Flatten()(x).numpy(), x.flatten(1).numpy())


@pytest.mark.torch
@pytest.mark.parametrize("name", [n for n, f in vars(F).items() if inspect.isfunction(f) and n[0] != "_"])
def test_same_arguments_as_torch(name):
    """Names, order and defaults; some of torch's functions do not tell theirs."""
    import torch

    try:
        theirs = inspect.signature(getattr(torch.nn.functional, name)).parameters
    except ValueError:
        return
    if any(p.kind is p.VAR_POSITIONAL for p in theirs.values()):
        return
    of_layers = ("name", "num_batches_tracked")  # what only layers pass
    ours = {k: p for k, p in inspect.signature(getattr(F, name)).parameters.items() if k not in of_layers}
    positional = [k for k, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [k for k in theirs if k in positional]
    assert ours.keys() <= theirs.keys()
    # Left out: what few use.
    rare = {"_stacklevel", "out"}
    rare |= {"weight"} if name in ("mse_loss", "l1_loss", "huber_loss") else set()
    rare |= {"dtype"} if name == "softmin" else set()
    assert theirs.keys() - ours.keys() <= rare
    for argument, parameter in ours.items():
        assert parameter.default == theirs[argument].default


# --- linear, one_hot --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 5, 3), (0, 3)])
def test_linear(shape):
    x, w, b = rng.standard_normal(shape), rng.standard_normal((2, 3)), rng.standard_normal(2)
    y = F.linear(tinycnn.tensor(x), tinycnn.tensor(w), tinycnn.tensor(b))
    np.testing.assert_allclose(y.numpy(), x @ w.T + b, atol=1e-12)
    np.testing.assert_allclose(F.linear(tinycnn.tensor(x), tinycnn.tensor(w)).numpy(), x @ w.T, atol=1e-12)


def test_linear_gradients():
    inputs = [tinycnn.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((2, 4, 3), (2, 3), 2)]
    assert gradcheck(F.linear, inputs)
    assert gradgradcheck(F.linear, inputs)


@pytest.mark.parametrize(
    "shapes, message",
    [
        (((4, 5), (2, 3), 2), "linear: expected input (*, 3), got (4, 5)"),
        (((), (2, 3), 2), "linear: expected input (*, 3), got ()"),
        (((4, 3), (3,), 2), "linear: expected a weight Tensor (out_features, in_features), got (3,)"),
        (((4, 3), (2, 3), 1), "linear: expected a bias of shape (2,), got (1,)"),
        (((4, 3), (2, 3), (4, 2)), "linear: expected a bias of shape (2,), got (4, 2)"),
    ],
)
def test_linear_refuses_what_would_broadcast(shapes, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        F.linear(*(tinycnn.tensor(np.ones(shape)) for shape in shapes))
    assert str(raised.value) == message


def test_one_hot():
    assert F.one_hot(tinycnn.tensor([[0, 2], [1, 0]])).tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0]]]
    assert F.one_hot(tinycnn.tensor([1]), 4).tolist() == [[0, 1, 0, 0]]
    assert F.one_hot(tinycnn.tensor([1]), 4).dtype == np.int64
    for target, classes, message in (
        ([0, 3], 3, "one_hot: indices from 0 to 3 for 3 classes"),
        ([-1, 1], 3, "one_hot: indices from -1 to 1 for 3 classes"),
        (np.zeros(0, int), -1, "one_hot: num_classes cannot be inferred from an empty target"),
    ):
        with pytest.raises(ValueError, match=message):
            F.one_hot(tinycnn.tensor(target), classes)
    with pytest.raises(TypeError, match="one_hot: expected int64 class indices, got float32"):
        F.one_hot(tinycnn.tensor([0.0]))


# --- transposed convolution -------------------------------------------------------------------------------


@pytest.mark.parametrize("output_padding", [0, 1])
def test_transposed_convolution_is_the_input_gradient(output_padding):
    """Also where output_padding makes the padding behind negative."""
    options = {"stride": 2, "padding": 0 if output_padding else 1, "dilation": (1, 2), "groups": 2}
    g, w = rng.standard_normal((2, 4, 3, 4)), rng.standard_normal((4, 3, 2, 3))
    y = F.conv_transpose2d(tinycnn.tensor(g), tinycnn.tensor(w), None, output_padding=output_padding, **options)
    dx, _, _ = reference.conv_nd_backward(g, np.zeros(y.shape), w, **options)
    np.testing.assert_allclose(y.numpy(), dx, atol=1e-12)


def test_transposed_convolution_gradients():
    shapes = ((1, 2, 2, 3), (2, 1, 2, 2), 2)
    inputs = [tinycnn.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]
    for options in ({}, {"stride": (2, 3), "padding": 1, "output_padding": (1, 2), "groups": 2, "dilation": 2}):
        if options:
            assert gradcheck(lambda x, w, b: F.conv_transpose2d(x, w, b, **options), inputs)  # noqa: B023
            assert gradgradcheck(lambda x, w, b: F.conv_transpose2d(x, w, b, **options), inputs)  # noqa: B023
        else:
            assert gradcheck(lambda x, w: F.conv_transpose2d(x, w), inputs[:2])


# --- padding, resolution ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode, numpy_mode", [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge"),
                                              ("circular", "wrap")])  # fmt: skip
def test_pad_as_numpy_pads(mode, numpy_mode):
    x = rng.standard_normal((2, 3, 4, 5))
    expected = np.pad(x, [(0, 0), (0, 0), (1, 2), (3, 0)], mode=numpy_mode)
    np.testing.assert_array_equal(F.pad(tinycnn.tensor(x), (3, 0, 1, 2), mode).numpy(), expected)
    tensor = tinycnn.tensor(x[:1, :1], requires_grad=True)
    assert gradcheck(lambda x: F.pad(x, (3, 0, 1, 2), mode), (tensor,))
    assert gradgradcheck(lambda x: F.pad(x, (3, 0, 1, 2), mode), (tensor,))


def test_pad_cuts_and_fills():
    x = rng.standard_normal((3, 4))
    np.testing.assert_array_equal(F.pad(tinycnn.tensor(x), (-1, -2)).numpy(), x[:, 1:-2])
    np.testing.assert_array_equal(F.pad(tinycnn.tensor(x), (0, 1), value=7.0).numpy()[:, 4], [7.0] * 3)
    for pads, mode, message in (
        ((1,), "constant", "expected pairs for at most 2 dimensions, got 1 numbers"),
        ((-3, -2), "constant", "cutting .* leaves nothing"),
        ((4, 0), "reflect", "mode 'reflect' pads a size of 4 by at most 3"),
        ((1, 1), "mirror", "expected mode as 'constant', 'reflect', 'replicate' or 'circular', got 'mirror'"),
    ):
        with pytest.raises(ValueError, match=f"pad: {message}"):
            F.pad(tinycnn.tensor(x), pads, mode)


def test_pixel_shuffle_and_back():
    x = rng.standard_normal((2, 8, 3, 4))
    y = F.pixel_shuffle(tinycnn.tensor(x), 2)
    assert y.shape == (2, 2, 6, 8)
    assert y.numpy()[1, 1, 2 * 2 + 1, 2 * 3 + 0] == x[1, 1 * 4 + 1 * 2 + 0, 2, 3]
    np.testing.assert_array_equal(F.pixel_unshuffle(y, 2).numpy(), x)


def test_pixel_shuffle_of_nothing():
    assert F.pixel_shuffle(tinycnn.tensor(np.zeros((0, 0, 2, 3))), 2).shape == (0, 0, 4, 6)
    assert F.pixel_unshuffle(tinycnn.tensor(np.zeros((0, 2, 4, 6))), 2).shape == (0, 8, 2, 3)


def test_interpolation_of_a_ramp_is_a_ramp():
    x = tinycnn.tensor(np.arange(4.0).reshape(1, 1, 4))
    np.testing.assert_allclose(F.interpolate(x, 7, mode="linear", align_corners=True).numpy()[0, 0], np.arange(7) / 2)
    assert F.interpolate(x, 8).tolist() == [[[0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]]]
    # Without align_corners the edges of the outer elements, not their centres, coincide.
    half = F.interpolate(x, 8, mode="linear").numpy()[0, 0]
    np.testing.assert_allclose(half, [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


def test_unpooling_an_empty_batch():
    pooled, indices = F.max_pool2d(tinycnn.empty(0, 3, 4, 6), 2, return_indices=True)
    assert F.max_unpool2d(pooled, indices, 2).shape == (0, 3, 4, 6)


def test_group_norm_of_one_value_a_group_is_a_constant():
    """As in torch: refused only where no second sample shows that it was meant."""
    x, bias = tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]]), tinycnn.tensor([5.0, 6.0])
    assert F.group_norm(x, 2, bias=bias).tolist() == [[5.0, 6.0]] * 2
    with pytest.raises(ValueError, match=r"group_norm: expected more than 1 value per group, got input \(1, 2\)"):
        F.group_norm(tinycnn.tensor([[1.0, 2.0]]), 2)


def test_running_statistics_come_in_pairs():
    with pytest.raises(ValueError, match="batch_norm: expected running_mean and running_var, or neither"):
        F.batch_norm(tinycnn.ones(2, 3), tinycnn.zeros(3), None, training=True)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling_puts_maxima_back(dims):
    x = rng.standard_normal((2, 3, *(6, 4, 5)[:dims]))
    pooled, indices = getattr(F, f"max_pool{dims}d")(tinycnn.tensor(x), 2, return_indices=True)
    assert indices.dtype == np.int64
    flat = x.reshape(2, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, indices.numpy().reshape(2, 3, -1), 2), pooled.numpy().reshape(2, 3, -1)
    )
    back = getattr(F, f"max_unpool{dims}d")(pooled, indices, 2, output_size=x.shape[2:]).numpy()
    is_maximum = back != 0
    np.testing.assert_array_equal(back[is_maximum], x[is_maximum])
    assert is_maximum.sum() == pooled.numel()


def test_adaptive_pooling_covers_every_element():
    x = rng.standard_normal((2, 3, 7, 5))
    y = F.adaptive_avg_pool2d(tinycnn.tensor(x), (3, 2)).numpy()
    expected = [[x[:, :, a:b, c:d].mean((2, 3)) for c, d in ((0, 3), (2, 5))] for a, b in ((0, 3), (2, 5), (4, 7))]
    np.testing.assert_allclose(y, np.array(expected).transpose(2, 3, 0, 1), atol=1e-12)
    np.testing.assert_allclose(F.adaptive_avg_pool2d(tinycnn.tensor(x), 1).numpy(), x.mean((2, 3), keepdims=True))
    np.testing.assert_array_equal(F.adaptive_max_pool2d(tinycnn.tensor(x), 1).numpy(), x.max((2, 3), keepdims=True))


# --- dropout ----------------------------------------------------------------------------------------------


def test_dropout_keeps_the_memory_order_and_dtype():
    x = tinycnn.tensor(np.ones((3, 4, 5), np.float32).transpose(1, 2, 0))
    y = F.dropout(x, 0.5)
    assert y.dtype == np.float32
    assert y.numpy().strides == x.numpy().strides
    assert F.dropout(x, 0.5, training=False) is x
    with pytest.raises(ValueError, match="dropout: expected p as a probability from 0 to 1, got -0.1"):
        F.dropout(x, -0.1)
    with pytest.raises(ValueError, match=r"dropout1d: expected 3 dimensions, or 2 without N, got \(2,\)"):
        F.dropout1d(tinycnn.tensor(np.ones(2)))
    with pytest.raises(TypeError, match=r"^dropout: expected a floating-point Tensor, got int64; conv"):
        F.dropout(tinycnn.tensor([1, 2]), 0.5)


def test_a_sample_of_classes_that_has_a_gradient():
    tinycnn.manual_seed(0)
    logits = tinycnn.tensor(np.log([[0.1, 0.2, 0.7]] * 4000), requires_grad=True)
    for tau in (0.1, 1.0):
        hard = F.gumbel_softmax(logits, tau, hard=True)
        np.testing.assert_allclose(hard.detach().numpy().mean(0), [0.1, 0.2, 0.7], atol=0.03)
        np.testing.assert_allclose(np.sort(hard.detach().numpy(), 1), [[0.0, 0.0, 1.0]] * 4000, atol=1e-12)
    soft = F.gumbel_softmax(logits, 1.0)
    np.testing.assert_allclose(soft.sum(1).detach().numpy(), 1.0)
    (hard[:, 0].sum() + soft[:, 1].sum()).backward()
    assert np.abs(logits.grad.numpy()).max() > 0.01


# --- errors -----------------------------------------------------------------------------------------------

ones = tinycnn.ones
# What is refused, and a part of the one line that says so.
REFUSED = [
    (lambda: F.leaky_relu(tinycnn.tensor([1, 2])), "leaky_relu: expected a floating-point Tensor, got int64"),
    (lambda: F.relu([1.0]), "relu: expected a Tensor, got list"),
    (lambda: F.gelu(ones(2), "erf"), "gelu: expected approximate as 'none' or 'tanh', got 'erf'"),
    (lambda: F.dropout(ones(2), 1.5), "dropout: expected p as a probability from 0 to 1, got 1.5"),
    (lambda: F.smooth_l1_loss(ones(2), ones(2), beta=-1.0), "smooth_l1_loss: expected beta of at least 0, got -1"),
    (lambda: F.binary_cross_entropy(ones(2) * 1.5, ones(2)), "expected probabilities from 0 to 1 as input, got 1.5 to"),
    (lambda: F.binary_cross_entropy(ones(2), ones(2), ones(3, 2)), "expected weight to broadcast to shape (2,), got"),
    (lambda: F.binary_cross_entropy_with_logits(ones(2), ones(2), pos_weight=ones(2, 1)), "expected pos_weight to br"),
    (lambda: F.cross_entropy(tinycnn.tensor(1.0), tinycnn.tensor(0)), "got a tensor without dimensions"),
    # Normalisation.
    (lambda: F.batch_norm(ones(3), None, None), "batch_norm: expected input (N, C, *), got (3,)"),
    (lambda: F.batch_norm(ones(2, 3), ones(3), ones(2)), "expected running_var of shape (3,) for input (2, 3)"),
    (lambda: F.batch_norm(ones(2, 3), None, None), "batch_norm: running_mean and running_var are needed when not tr"),
    (lambda: F.batch_norm(ones(1, 3), None, None, training=True), "expected more than 1 value per channel"),
    (lambda: F.layer_norm(ones(2, 3), (2,)), "layer_norm: expected input (*, 2), got (2, 3)"),
    (lambda: F.layer_norm(ones(2, 3), (3,), ones(2)), "layer_norm: expected weight of shape (3,) for input (2, 3)"),
    (lambda: F.group_norm(ones(3), 1), "group_norm: expected input (N, C, *), got (3,)"),
    (lambda: F.group_norm(ones(2, 3), 2), "group_norm: num_groups=2 does not divide 3 channels"),
    (lambda: F.group_norm(ones(2, 4), 2, ones(2)), "group_norm: expected weight of shape (4,) for input (2, 4), got"),
    (lambda: F.instance_norm(ones(2, 3, 4), ones(3)), "instance_norm: expected running_mean and running_var, or nei"),
    (lambda: F.instance_norm(ones(2, 3)), "instance_norm: expected input (N, C, *) with at least one spatial"),
    (lambda: F.instance_norm(ones(2, 3, 1)), "instance_norm: expected more than 1 spatial element"),
    # Resizing.
    (lambda: F.pad(ones(2, 3), (1, 1), "mirror"), "pad: expected mode as 'constant', 'reflect', 'replicate' or"),
    (lambda: F.pad([1.0], (1, 1)), "pad: expected an input Tensor, got list"),
    (lambda: F.pad(ones(2, 3), (1.0, 1.0)), "pad: expected a sequence of ints, got (1.0, 1.0)"),
    (lambda: F.pad(ones(2, 3), (1, 1, 1)), "pad: expected pairs for at most 2 dimensions, got 3 numbers"),
    (lambda: F.pad(ones(2, 3), (-2, -2)), "pad: cutting (-2, -2) leaves nothing of shape (2, 3)"),
    (lambda: F.pad(ones(2, 3), (1, 1), "reflect", 2.0), "pad: a value belongs to mode 'constant'"),
    (lambda: F.pad(ones(2, 3, 4, 5, 6), (1, 1), "reflect"), "1 pairs need an input of 2 or 3 dimensions"),
    (lambda: F.interpolate(ones(2, 3), 4), "interpolate: expected input (N, C, L), (N, C, H, W) or"),
    (lambda: F.interpolate(ones(2, 3, 4), 4, mode="bilinear"), "mode 'bilinear' does not fit input (2, 3, 4)"),
    (lambda: F.interpolate(ones(2, 3, 4), 4, align_corners=True), "align_corners belongs to the linear modes"),
    (lambda: F.interpolate(ones(2, 3, 4)), "interpolate: expected either size or scale_factor"),
    (lambda: F.interpolate(ones(2, 3, 4), 4, 2.0), "interpolate: expected either size or scale_factor"),
    (lambda: F.interpolate(ones(2, 3, 4), scale_factor=-1.0), "expected scale_factor above 0 and below inf, got -1"),
    (lambda: F.interpolate(ones(2, 3, 4), scale_factor=0.1), "scale_factor 0.1 leaves nothing of size (4,)"),
    (lambda: F.interpolate(ones(2, 3, 4), 4, recompute_scale_factor=True), "recompute_scale_factor belongs to scale_"),
    (lambda: F.pixel_shuffle(ones(3, 2, 2), 2), "pixel_shuffle: expected input (*, C·4, H, W), got (3, 2, 2)"),
    (lambda: F.pixel_unshuffle(ones(3, 3, 2), 2), "pixel_unshuffle: expected input (*, C, H·2, W·2), got (3, 3, 2)"),
    # Convolution and pooling.
    (lambda: F.conv2d(ones(1, 2, 5, 5), ones(3, 1, 2, 2), groups=2), "groups=2 does not divide the 3 output channels"),
    (lambda: F.conv_transpose1d(ones(1, 3, 5), ones(3, 1, 2), groups=2), "groups=2 does not divide the 3 input"),
    (lambda: F.conv_transpose1d(ones(1, 1, 5), ones(1, 1, 2), output_padding=1), "expected output_padding smaller"),
    (lambda: F.conv_transpose1d(ones(1, 1, 1), ones(1, 1, 1), padding=2), "give an output of (-3,)"),
    (lambda: F.max_pool1d(ones(1, 1, 5), 2, padding=2), "max_pool1d: "),
    (lambda: F.avg_pool2d(ones(1, 1, 5, 5), 2, divisor_override=0), "avg_pool2d: "),
    (lambda: F.max_unpool1d(ones(1, 1, 2), ones(1, 1, 2), 2), "max_unpool1d: expected int64 indices of the input's"),
    (lambda: F.max_unpool1d(ones(1, 1, 2), tensor([[[0, 9]]]), 2), "indices from 0 to 9 do not fit output size (4,)"),
    (lambda: F.max_unpool1d(ones(1, 1, 2), tensor([[[0, 2]]]), 2, output_size=(9,)), "is not within stride (2,)"),
]  # fmt: skip


@pytest.mark.parametrize("call, message", REFUSED, ids=[message for _, message in REFUSED])
def test_refused_with_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)) as refusal:
        call()
    assert "\n" not in str(refusal.value)


# The other side of each limit: the last value that is accepted, with the shape that it gives.
ACCEPTED = [
    (lambda: F.pad(ones(1, 4), (3, 0), "reflect"), (1, 7)),
    (lambda: F.pad(ones(1, 4), (0, 3), "reflect"), (1, 7)),
    (lambda: F.pad(ones(1, 4), (4, 0), "circular"), (1, 8)),
    (lambda: F.pad(ones(1, 1), (9, 9), "replicate"), (1, 19)),
    (lambda: F.pad(ones(2, 4), (-2, -2)), (2, 0)),
    (lambda: F.pad(ones(2, 4), (1, 1, 1, 1)), (4, 6)),
    (lambda: F.pad(ones(2, 4), ()), (2, 4)),
    (lambda: F.pad(ones(2, 4), (1, 1), "reflect", 0.0), (2, 6)),
    (lambda: F.interpolate(ones(1, 1, 4), scale_factor=0.25), (1, 1, 1)),
    (lambda: F.interpolate(ones(1, 1, 4), 1), (1, 1, 1)),
    (lambda: F.interpolate(ones(1, 1, 2, 2, 2), 3), (1, 1, 3, 3, 3)),
    (lambda: F.pixel_shuffle(ones(4, 1, 1), 2), (1, 2, 2)),
    (lambda: F.pixel_shuffle(ones(3, 2, 2), 1), (3, 2, 2)),
    (lambda: F.pixel_unshuffle(ones(1, 2, 2), 2), (4, 1, 1)),
    (lambda: F.group_norm(ones(1, 4), 2), (1, 4)),
    (lambda: F.group_norm(ones(1, 1, 2), 1), (1, 1, 2)),
    (lambda: F.instance_norm(ones(1, 3, 2)), (1, 3, 2)),
    (lambda: F.batch_norm(ones(2, 3), None, None, training=True), (2, 3)),
    (lambda: F.batch_norm(ones(1, 3, 2), None, None, training=True), (1, 3, 2)),
    (lambda: F.batch_norm(ones(1, 3), ones(3), ones(3)), (1, 3)),
    (lambda: F.layer_norm(ones(3), (3,)), (3,)),
    (lambda: F.layer_norm(ones(2, 3), 3), (2, 3)),
    (lambda: F.layer_norm(ones(2, 3), [2, 3]), (2, 3)),
    (lambda: F.dropout(ones(2), 0), (2,)),
    (lambda: F.dropout(ones(2), 1), (2,)),
    (lambda: F.dropout1d(ones(2, 3)), (2, 3)),
    (lambda: F.dropout1d(ones(2, 3, 4)), (2, 3, 4)),
    (lambda: F.dropout3d(ones(2, 3, 4, 5)), (2, 3, 4, 5)),
    (lambda: F.dropout3d(ones(1, 2, 3, 4, 5)), (1, 2, 3, 4, 5)),
    (lambda: F.cross_entropy(ones(2, 3), tinycnn.tensor([0, 2]), label_smoothing=1.0), ()),
    (lambda: F.smooth_l1_loss(ones(2), ones(2), beta=0.0), ()),
    (lambda: F.binary_cross_entropy(tinycnn.tensor([0.0, 1.0]), tinycnn.tensor([0.0, 1.0])), ()),
    (lambda: F.one_hot(tinycnn.tensor([0, 2]), 3), (2, 3)),
    (lambda: F.conv2d(ones(1, 2, 5, 4), ones(3, 2, 5, 4)), (1, 3, 1, 1)),
    (lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 7), padding=1), (1, 1, 1)),
    (lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 3), dilation=2), (1, 1, 1)),
    (lambda: F.conv1d(ones(4, 5), ones(4, 1, 1), groups=4), (4, 5)),
    (lambda: F.conv1d(ones(0, 1, 5), ones(2, 1, 3)), (0, 2, 3)),
    (lambda: F.conv_transpose1d(ones(1, 1, 5), ones(1, 1, 2), stride=2, output_padding=1), (1, 1, 11)),
    (lambda: F.conv_transpose1d(ones(1, 1, 5), ones(1, 1, 2), dilation=2, output_padding=1), (1, 1, 8)),
    (lambda: F.conv_transpose1d(ones(1, 1, 1), ones(1, 1, 3), padding=1), (1, 1, 1)),
    (lambda: F.max_pool1d(ones(1, 1, 5), 2, padding=1), (1, 1, 3)),
    (lambda: F.max_pool1d(ones(1, 1, 3), 3), (1, 1, 1)),
    (lambda: F.max_pool1d(ones(1, 1, 3), 2, dilation=2), (1, 1, 1)),
    (lambda: F.max_pool1d(ones(1, 1, 1), 3, padding=1), (1, 1, 1)),
    (lambda: F.max_unpool1d(ones(1, 1, 2), tinycnn.tensor([[[0, 3]]]), 2), (1, 1, 4)),
    (lambda: F.max_unpool1d(ones(1, 1, 2), tinycnn.tensor([[[0, 2]]]), 2, output_size=(3,)), (1, 1, 3)),
    (lambda: F.max_unpool1d(ones(1, 1, 2), tinycnn.tensor([[[0, 2]]]), 2, output_size=(5,)), (1, 1, 5)),
    (lambda: F.adaptive_avg_pool1d(ones(1, 1, 2), 9), (1, 1, 9)),
    (lambda: F.adaptive_avg_pool1d(ones(0, 1, 2), 1), (0, 1, 1)),
    (lambda: F.unfold(ones(1, 1, 2, 3), (2, 3)), (1, 6, 1)),
    (lambda: F.fold(ones(1, 6, 1), (2, 3), (2, 3)), (1, 1, 2, 3)),
]  # fmt: skip


@pytest.mark.parametrize("call, shape", ACCEPTED)
def test_accepted_up_to_the_limit(call, shape):
    assert call().shape == shape


def test_what_is_one_beyond_is_refused():
    """A step over the limits of ACCEPTED, in one dimension where there are several."""
    for call in [
        lambda: F.pad(ones(1, 4), (0, 4), "reflect"),
        lambda: F.pad(ones(1, 4), (5, 0), "circular"),
        lambda: F.pad(ones(1, 4), (0, 5), "circular"),
        lambda: F.pad(ones(1, 0), (1, 0), "replicate"),
        lambda: F.pad(ones(2, 4), (-2, -3)),
        lambda: F.pad(ones(2, 4), (0, 0, -3, 0)),
        lambda: F.pad(ones(4), (1, 1), "reflect"),
        lambda: F.pad(ones(1, 1, 1, 4), (1, 1), "reflect"),
        lambda: F.interpolate(ones(1, 1, 4), scale_factor=0.24),
        lambda: F.interpolate(ones(1, 1, 4), scale_factor=0.0),
        lambda: F.interpolate(ones(1, 1, 4), scale_factor=(1.0, 1.0)),
        lambda: F.interpolate(ones(1, 1, 4), 0),
        lambda: F.interpolate(ones(1, 1, 2, 2, 2, 2), 3),
        lambda: F.pixel_shuffle(ones(4, 1), 2),
        lambda: F.pixel_shuffle(ones(5, 1, 1), 2),
        lambda: F.pixel_shuffle(ones(4, 1, 1), 0),
        lambda: F.pixel_unshuffle(ones(4, 4), 2),
        lambda: F.pixel_unshuffle(ones(1, 2, 3), 2),
        lambda: F.dropout1d(ones(2)),
        lambda: F.dropout1d(ones(2, 3, 4, 5)),
        lambda: F.dropout2d(ones(2)),
        lambda: F.dropout3d(ones(2)),
        lambda: F.dropout(ones(2), 1.001),
        lambda: F.cross_entropy(ones(2, 3), tinycnn.tensor([0, 3])),
        lambda: F.cross_entropy(ones(2, 3), tinycnn.tensor([0, -1])),
        lambda: F.cross_entropy(ones(2, 3), tinycnn.tensor([0, 2]), label_smoothing=1.001),
        lambda: F.cross_entropy(ones(2, 3), tinycnn.tensor([0, 2]), label_smoothing=-0.001),
        lambda: F.binary_cross_entropy(tinycnn.tensor([0.0, 1.001]), tinycnn.tensor([0.0, 1.0])),
        lambda: F.binary_cross_entropy(tinycnn.tensor([-0.001, 1.0]), tinycnn.tensor([0.0, 1.0])),
        lambda: F.conv2d(ones(1, 2, 5, 4), ones(3, 2, 5, 5)),
        lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 8), padding=1),
        lambda: F.conv1d(ones(1, 1, 4), ones(1, 1, 3), dilation=2),
        lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 3), padding=-1),
        lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 3), stride=0),
        lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 3), dilation=0),
        lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 3), groups=0),
        lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 0)),
        lambda: F.conv1d(ones(1, 1, 0), ones(1, 1, 1), padding=1),
        lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 2), stride=2, padding="same"),
        lambda: F.conv1d(ones(1, 1, 5), ones(1, 1, 2), ones(2)),
        lambda: F.conv_transpose1d(ones(1, 1, 5), ones(1, 1, 2), stride=2, output_padding=2),
        lambda: F.conv_transpose1d(ones(1, 1, 1), ones(1, 1, 2), padding=1),
        lambda: F.conv_transpose1d(ones(1, 1, 5), ones(1, 1, 2), padding=-1),
        lambda: F.conv_transpose1d(ones(1, 1, 5), ones(1, 1, 2), output_padding=-1),
        lambda: F.max_pool1d(ones(1, 1, 5), 3, padding=2),
        lambda: F.max_pool1d(ones(1, 1, 2), 3),
        lambda: F.max_pool1d(ones(1, 1, 2), 2, dilation=2),
        lambda: F.max_unpool1d(ones(1, 1, 2), tinycnn.tensor([[[0, 4]]]), 2),
        lambda: F.max_unpool1d(ones(1, 1, 2), tinycnn.tensor([[[-1, 3]]]), 2),
        lambda: F.max_unpool1d(ones(1, 1, 2), tinycnn.tensor([[[0, 1]]]), 2, output_size=(2,)),
        lambda: F.max_unpool1d(ones(1, 1, 2), tinycnn.tensor([[[0, 1]]]), 2, output_size=(6,)),
        lambda: F.adaptive_avg_pool1d(ones(1, 1, 2), 0),
        lambda: F.adaptive_avg_pool1d(ones(1, 0, 2), 1),
        lambda: F.adaptive_avg_pool2d(ones(1, 1, 2, 2), (1, 1, 1)),
        lambda: F.unfold(ones(1, 1, 2, 3), (3, 3)),
        lambda: F.unfold(ones(2, 3), 1),
        lambda: F.fold(ones(1, 6, 2), (2, 3), (2, 3)),
        lambda: F.fold(ones(1, 7, 1), (2, 3), (2, 3)),
        lambda: F.fold(ones(1, 1, 6, 1), (2, 3), (2, 3)),
        lambda: F.fold(ones(6), (2, 3), (2, 3)),
    ]:
        with pytest.raises(ValueError, match=r"^\w+: "):
            call()


# A function with arguments that fit, of which the first is replaced below.
INPUTS = {
    "conv1d": (ones(1, 2, 5), ones(3, 2, 2)),
    "conv2d": (ones(1, 2, 5, 5), ones(3, 2, 2, 2)),
    "conv3d": (ones(1, 2, 5, 5, 5), ones(3, 2, 2, 2, 2)),
    "conv_transpose1d": (ones(1, 2, 5), ones(2, 3, 2)),
    "conv_transpose2d": (ones(1, 2, 5, 5), ones(2, 3, 2, 2)),
    "conv_transpose3d": (ones(1, 2, 5, 5, 5), ones(2, 3, 2, 2, 2)),
    "fold": (ones(1, 4, 1), 2, 2),
    "unfold": (ones(1, 1, 4, 4), 2),
    "linear": (ones(1, 4), ones(2, 4)),
    "layer_norm": (ones(2, 3), 3),
    "group_norm": (ones(2, 4, 3), 2),
    "instance_norm": (ones(2, 4, 3),),
    "batch_norm": (ones(2, 4, 3), None, None, None, None, True),
    "interpolate": (ones(1, 1, 4), 2),
    "pixel_shuffle": (ones(1, 4, 2, 2), 2),
    "pixel_unshuffle": (ones(1, 1, 2, 2), 2),
    **{f"{kind}_pool{d}d": (ones(1, 1, *[4] * d), 2) for kind in ("max", "avg") for d in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{d}d": (ones(1, 1, *[4] * d), 2) for kind in ("max", "avg") for d in (1, 2, 3)},
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_wrong_input_is_named_as_what_it_is(name):
    """Its type if it is no Tensor, else its shape."""
    function, (_, *others) = getattr(F, name), INPUTS[name]
    function(*INPUTS[name])
    with pytest.raises((TypeError, ValueError), match=rf"^{name}: expected .*(input|Tensor).*, got list$"):
        function([1.0], *others)
    with pytest.raises(ValueError, match=rf"^{name}: .*\(7,\)"):
        function(ones(7), *others)


def test_arguments_that_a_cache_cannot_take():
    x, w = tinycnn.randn(1, 2, 5, 5), tinycnn.randn(3, 2, 3, 3)
    assert F.conv2d(x, w, stride=[2, 2], padding=[1, 1]).shape == (1, 3, 3, 3)
    assert F.conv2d(x, w, stride=(np.int64(2), 2)).shape == (1, 3, 2, 2)
    assert F.max_pool2d(x, [2, 2]).shape == (1, 2, 2, 2)
    for wrong in ((1.0, 1.0), (True, 1), np.ones(2), {1: 1}, [[1]], 1.0, "ab"):
        F.conv2d(x, w, stride=(1, 1))
        with pytest.raises(TypeError, match="conv2d: expected stride as an int or 2 ints"):
            F.conv2d(x, w, stride=wrong)
        with pytest.raises(TypeError, match="max_pool2d: expected kernel_size as an int or 2 ints"):
            F.max_pool2d(x, wrong)
    for groups in ([1], np.array(1), 1.0, True):
        with pytest.raises(ValueError, match="conv2d: expected groups as a positive int"):
            F.conv2d(x, w, groups=groups)


def test_a_layers_options_may_be_set_to_lists():
    x, layer, pool = tinycnn.randn(1, 2, 5, 5), nn.Conv2d(2, 3, 3), nn.MaxPool2d(2)
    layer.stride, pool.kernel_size = [2, 2], [3, 3]
    assert layer(x).shape == (1, 3, 2, 2)
    assert pool(x).shape == (1, 2, 2, 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w: nn.Linear(4, 3)(None),
        lambda x, w: F.linear(None, x),
        lambda x, w: F.linear(x, None),
        lambda x, w: F.conv2d(x, None),
        lambda x, w: F.conv2d(None, w),
        lambda x, w: F.conv2d("a", np.zeros(3)),
        lambda x, w: F.conv2d(x, w, "bias"),
        lambda x, w: F.conv_transpose2d(x, None),
        lambda x, w: F.cross_entropy(None, w),
        lambda x, w: F.mse_loss(x, None),
        lambda x, w: F.nll_loss(x, None),
        lambda x, w: F.max_pool2d(None, 2),
    ],
)
def test_what_is_no_tensor_is_refused_by_name(call):
    with pytest.raises(TypeError, match="expected .*(Tensor|weight).*, got (NoneType|str)"):
        call(tinycnn.randn(1, 2, 5, 5), tinycnn.randn(3, 2, 3, 3))
