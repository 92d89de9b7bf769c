"""Every layer: values and gradients as torch's, live and recorded; printing, signatures, errors; dropout."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.layers import CASES, run
from tests.recorded import unpacked
from tinycnn import nn, tensor

FIXTURE = Path(__file__).parents[1] / "fixtures" / "layers.npz"
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def assert_same(found, expected, rtol, atol):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        np.testing.assert_allclose(found[name], value, rtol=rtol, atol=atol, err_msg=name)


# --- values and gradients ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded():
    """What torch gave, by row and name, unpacked from one long array."""
    return unpacked(FIXTURE)


@each_case
def test_same_as_recorded(case, recorded):
    assert_same(run(case, tinycnn), recorded[case.name], 1e-5, 1e-5)


@pytest.mark.torch
@each_case
def test_same_as_torch(case):
    import torch

    rtol = 1e-7 if case.name == "Hardsigmoid" else 1e-9  # its slope, 1/6, is rounded to float32 in torch
    assert_same(run(case, tinycnn), run(case, torch), rtol, 1e-11)


@each_case
def test_gradients_are_the_same_whether_they_are_recorded_or_not(case):
    rng = np.random.default_rng(2)
    module = case.build(nn).double()
    x = tensor(rng.standard_normal(case.input), requires_grad=True)
    others = [tensor(sampler(rng)) for sampler in case.others]
    asked = [x, *module.parameters()]
    gradients = []
    for create_graph in (False, True):
        y = module(x, *others)
        upstream = tensor(np.random.default_rng(3).standard_normal(y.shape))
        gradients.append(tinycnn.grad(y, asked, upstream, create_graph=create_graph, allow_unused=True))
    for plain, recorded in zip(*gradients):
        np.testing.assert_allclose(plain.numpy(), recorded.detach().numpy(), rtol=1e-7, atol=1e-10)


def test_every_layer_has_a_row():
    used = {type(module).__name__ for case in CASES for module in case.build(nn).modules()}
    layers = {name for name, kind in vars(nn).items() if inspect.isclass(kind) and issubclass(kind, nn.Module)}
    used |= {case.name.split("/")[0] for case in CASES if case.name.startswith("Lazy")}  # they have become others
    without_forward = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"}
    layers.discard("DataParallel")  # it calls another module
    layers.discard("SyncBatchNorm")  # on several ranks: tests/distributed; on one, it is BatchNorm
    dropouts = {"AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"}
    assert layers - used == without_forward | dropouts


@each_case
def test_float32_in_float32_out(case):
    rng = np.random.default_rng(0)
    module = case.build(nn).float()
    x = tensor(rng.standard_normal(case.input), dtype="float32", requires_grad=True)
    others = [tensor(sampler(rng)) for sampler in case.others]
    y = module(x, *[other.float() if other.is_floating_point() else other for other in others])
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float32
    assert {p.grad.dtype for p in module.parameters()} <= {np.dtype(np.float32)}


def gradients_with_changes(case, after="", place=0, by_method=True, device="cpu", twice=True):
    """Gradients, and their gradients, where the input, target, parameter or buffer of number `place` is overwritten
    after the pass of that name, by a method or from outside. None if there are not so many."""
    rng = np.random.default_rng(2)
    module = case.build(nn).double().to(device)
    arrays = [rng.uniform(0.2, 0.8, case.input), *[sampler(rng) for sampler in case.others]]
    inputs = [tinycnn.from_numpy(array).to(device) for array in arrays]
    inputs[0].requires_grad_()
    leaves = [inputs[0], *module.parameters()]

    def change():
        tensors = [*inputs, *module.parameters(), *module.buffers()]
        if by_method:
            with tinycnn.no_grad():
                tensors[place].mul_(0) if tensors[place].dtype.kind in "iu" else tensors[place].copy_(0.123)
        elif place < len(arrays):
            arrays[place][...] = 0
        else:
            tensors[place].detach().numpy()[...] = 0

    if place >= len(inputs) + len(list(module.parameters())) + len(list(module.buffers())):
        return None
    for parameter in module.parameters():
        parameter.data.copy_(tensor(rng.uniform(0.2, 0.8, parameter.shape)))
    y = module(*inputs)
    upstream = tensor(rng.standard_normal(y.shape), device=device, requires_grad=True)
    if after == "forward":
        change()
    first = tinycnn.autograd.grad(y, leaves, upstream, create_graph=twice)
    if not twice:
        return [g.detach().cpu().numpy() for g in first]
    weights = [tensor(rng.standard_normal(g.shape), device=device) for g in first]
    if after == "backward":
        change()
    total = sum((g * w).sum() for g, w in zip(first, weights))
    second = tinycnn.autograd.grad(total, [*leaves, upstream], allow_unused=True)
    return [None if g is None else g.cpu().numpy() for g in (*(g.detach() for g in first), *second)]


@pytest.mark.parametrize("by_method", [True, False], ids=["method", "outside"])
@pytest.mark.parametrize("after", ["forward", "backward"])
@each_case
def test_what_a_layer_keeps_does_not_change_unseen(case, after, by_method):
    assert_nothing_changes_unseen(case, after, by_method)


def assert_nothing_changes_unseen(case, after, by_method, device="cpu", twice=True):
    expected = gradients_with_changes(case, device=device, twice=twice)
    for place in range(100):
        try:
            found = gradients_with_changes(case, after, place, by_method, device, twice)
        except RuntimeError as error:
            if "was changed in place" not in str(error):
                raise
            continue
        if found is None:
            break
        for a, b in zip(found, expected, strict=True):
            if a is not None or b is not None:
                np.testing.assert_allclose(a, b, err_msg=f"number {place}")


@each_case
def test_forward_changes_no_input(case):
    rng = np.random.default_rng(1)
    array, module = rng.standard_normal(case.input), case.build(nn).double()
    x = tensor(array, requires_grad=True)
    module(x, *[tensor(sampler(rng)) for sampler in case.others]).sum().backward()
    np.testing.assert_array_equal(x.detach().numpy(), array)


# --- printing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer, text",
    [
        (nn.Linear(3, 4, bias=False), "Linear(in_features=3, out_features=4, bias=False)"),
        (nn.Conv2d(1, 6, 5, padding=2), "Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))"),
        (
            nn.Conv1d(4, 6, 3, 2, "valid", 2, 2, False),
            "Conv1d(4, 6, kernel_size=(3,), stride=(2,), padding=valid, dilation=(2,), groups=2, bias=False)",
        ),
        (nn.ReLU(), "ReLU()"),
        (nn.ReLU(inplace=True), "ReLU(inplace=True)"),
        (nn.Softmax(dim=1), "Softmax(dim=1)"),
        (nn.MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
        (nn.AvgPool2d((2, 3), padding=1), "AvgPool2d(kernel_size=(2, 3), stride=(2, 3), padding=1)"),
        (nn.Dropout(0.3), "Dropout(p=0.3, inplace=False)"),
        (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (nn.Identity(), "Identity()"),
        (nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
    ],
)
def test_repr(layer, text):
    assert repr(layer) == text


@each_case
def test_same_repr_as_recorded(case):
    with np.load(FIXTURE) as file:
        assert repr(case.build(nn)) == json.loads(str(file["reprs"]))[case.name]


@pytest.mark.torch
@each_case
def test_same_repr_as_torch(case):
    import torch

    assert repr(case.build(nn)) == repr(case.build(torch.nn))


# --- signatures -------------------------------------------------------------------------------------------

# What torch has and we do not: it is deprecated there.
NOT_HERE = {"min_value", "max_value"}


@pytest.mark.torch
@pytest.mark.parametrize("name", [n for n in nn.__all__ if inspect.isclass(getattr(nn, n))])
def test_same_arguments_as_torch(name):
    """Names, order and defaults, so that whoever knows torch's layers knows these."""
    import torch

    if name in ("Module", "Sequential", "ModuleList", "Identity", "Parameter", "UninitializedBuffer"):
        return
    theirs = dict(inspect.signature(getattr(torch.nn, name)).parameters)
    ours = dict(inspect.signature(getattr(nn, name)).parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in theirs.values()):
        return
    assert theirs.keys() - ours.keys() <= NOT_HERE
    assert ours.keys() <= theirs.keys()
    assert [n for n in ours if ours[n].kind is not inspect.Parameter.KEYWORD_ONLY] == [
        n for n in theirs if n in ours and ours[n].kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    for argument, parameter in ours.items():
        assert parameter.default == theirs[argument].default, argument


# --- errors -----------------------------------------------------------------------------------------------

X = tensor(np.zeros((64, 1, 28, 28), np.float32))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: nn.Conv2d(3, 8, 3)(X), ValueError,
         "Conv2d(in_channels=3): expected input (N, 3, H, W), got (64, 1, 28, 28)"),
        (lambda: nn.Conv2d(1, 8, 30)(X), ValueError,
         "Conv2d(in_channels=1): kernel (30, 30) with dilation (1, 1) spans"),
        (lambda: nn.Conv2d(1, 8, 3)(X.double()), TypeError,
         "Conv2d(in_channels=1): input is float64, weight is"),
        (lambda: nn.Conv2d(1, 8, 3)(X.numpy()), TypeError,
         "Conv2d(in_channels=1): expected an input Tensor (N, 1, H, W)"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), ValueError, "Conv2d: groups=4 does not divide out_channels=6"),
        (lambda: nn.Conv2d(6, 4, 3, groups=4), ValueError, "Conv2d: groups=4 does not divide in_channels=6"),
        (lambda: nn.Conv2d(1, 8, 3, stride=0), ValueError, "Conv2d: expected stride of at least 1, got 0"),
        (lambda: nn.Conv2d(1, 8, 3, stride=-1), ValueError, "Conv2d: expected stride of at least 1, got -1"),
        (lambda: nn.Conv2d(1, 8, 3, padding=-1), ValueError, "Conv2d: expected padding of at least 0, got -1"),
        (lambda: nn.Conv2d(1, 8, "3"), TypeError, "Conv2d: expected kernel_size as an int or 2 ints, got '3'"),
        (lambda: nn.Conv2d(1, 8, 3.0), TypeError, "Conv2d: expected kernel_size as an int or 2 ints, got 3.0"),
        (lambda: nn.Conv2d("1", 8, 3), TypeError, "Conv2d: expected in_channels as an int, got '1'"),
        (lambda: nn.Conv2d(0, 8, 3), ValueError, "Conv2d: expected in_channels of at least 1, got 0"),
        (lambda: nn.Conv2d(1, 8, 3, padding="both"), ValueError,
         "expected padding as ints, 'valid' or 'same', got 'both'"),
        (lambda: nn.Conv2d(1, 8, 3, 2, "same"), ValueError, "Conv2d: padding='same' needs stride 1, got stride (2, 2)"),
        (lambda: nn.ConvTranspose2d(1, 8, 3, padding="same"), (TypeError, ValueError),
         "ConvTranspose2d: expected padding as"),
        (lambda: nn.Conv3d(1, 8, (3, 3))(X), ValueError, "Conv3d: expected kernel_size as one int or 3, got 2: (3, 3)"),
        (lambda: nn.Linear(784, 10)(X), ValueError,
         "Linear(in_features=784): expected input (*, 784), got (64, 1, 28, 28)"),
        (lambda: nn.Linear(28, 10)(X.double()), TypeError,
         "Linear(in_features=28): input is float64, weight is"),
        (lambda: nn.Linear(2.5, 1), TypeError, "Linear: expected in_features as an int, got 2.5"),
        (lambda: nn.MaxPool2d(29)(X), ValueError,
         "MaxPool2d: kernel (29, 29) with dilation (1, 1) spans (29, 29), more"),
        (lambda: nn.MaxPool2d(2)(X[0, 0]), ValueError,
         "MaxPool2d: expected input (N, C, H, W) or one sample without N"),
        (lambda: nn.MaxPool2d("2"), TypeError, "MaxPool2d: expected kernel_size as an int or 2 ints, got '2'"),
        (lambda: nn.MaxPool2d(2, padding=2)(X), ValueError,
         "MaxPool2d: expected padding of at most half the kernel size"),
        (lambda: nn.AvgPool2d(2, stride=0), ValueError, "AvgPool2d: expected stride of at least 1, got 0"),
        (lambda: nn.BatchNorm2d(3)(X), ValueError,
         "BatchNorm2d(num_features=3): expected input (N, 3, H, W), got (64, 1, 28, 28)"),
        (lambda: nn.BatchNorm1d(1)(X), ValueError,
         "BatchNorm1d(num_features=1): expected input (N, 1) or (N, 1, L), got"),
        (lambda: nn.BatchNorm2d(1)(X[:1, :, :1, :1]), ValueError,
         "expected more than 1 value per channel when training"),
        (lambda: nn.Dropout(1.5), ValueError, "Dropout: expected p as a probability from 0 to 1, got 1.5"),
        (lambda: nn.Dropout("0.5"), ValueError, "Dropout: expected p as a probability from 0 to 1, got '0.5'"),
        (lambda: nn.CrossEntropyLoss()(X[:, 0, 0], tensor(np.full(64, 28))), ValueError,
         "CrossEntropyLoss: class index 28 is out of range: the input (64, 28) has classes 0 to 27"),
        (lambda: nn.CrossEntropyLoss()(X[:0, 0, 0], tensor(np.zeros(0, int))), ValueError,
         "CrossEntropyLoss: the mean over an empty batch is undefined, got input of shape (0, 28)"),
        (lambda: nn.NLLLoss()(X[:, 0, 0], tensor(np.zeros(64))), TypeError,
         "NLLLoss: expected class indices as an integer tensor of shape (64,), got float64 of shape (64,)"),
        (lambda: nn.MSELoss()(X, X[:1]), ValueError,
         "MSELoss: expected a target of the input's shape (64, 1, 28, 28), got"),
        (lambda: nn.CrossEntropyLoss(reduction="avg")(X[:, 0, 0], tensor(np.zeros(64, int))), ValueError,
         "CrossEntropyLoss: expected reduction as 'mean', 'sum' or 'none', got 'avg'"),
        (lambda: nn.ReLU()(X.numpy()), TypeError, "relu: expected a Tensor, got ndarray"),
    ],
)  # fmt: skip
def test_errors_name_layer_argument_and_value(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


# --- options ------------------------------------------------------------------------------------------------

# Every layer that has parameters, made with `dtype` and `device`.
WITH_PARAMETERS = {
    "Linear": lambda **o: nn.Linear(3, 2, **o),
    **{f"Conv{d}d": lambda d=d, **o: getattr(nn, f"Conv{d}d")(2, 4, 2, **o) for d in (1, 2, 3)},
    **{f"ConvTranspose{d}d": lambda d=d, **o: getattr(nn, f"ConvTranspose{d}d")(2, 4, 2, **o) for d in (1, 2, 3)},
    **{f"BatchNorm{d}d": lambda d=d, **o: getattr(nn, f"BatchNorm{d}d")(2, **o) for d in (1, 2, 3)},
    **{f"InstanceNorm{d}d": lambda d=d, **o: getattr(nn, f"InstanceNorm{d}d")(2, affine=True, track_running_stats=True,
                                                                           **o) for d in (1, 2, 3)},
    "GroupNorm": lambda **o: nn.GroupNorm(2, 4, **o),
    "LayerNorm": lambda **o: nn.LayerNorm((2, 3), **o),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_dtype_device_and_bias_of_the_parameters(name):
    make = WITH_PARAMETERS[name]
    for options, dtype in (({}, "float32"), ({"dtype": "float64"}, "float64"), ({"device": "cpu"}, "float32")):
        layer = make(**options)
        state = {key: x for key, x in layer.state_dict().items() if not key.endswith("tracked")}
        assert {x.dtype for x in state.values()} == {np.dtype(dtype)}
        assert all(x.device == "cpu" for x in state.values())
        assert layer.bias.requires_grad
        assert layer.weight.requires_grad
    plain = make(bias=False)
    assert plain.bias is None
    assert [key for key in plain.state_dict() if "bias" in key] == []


def test_the_output_size_of_a_transposed_convolution_is_chosen():
    """Of those that the stride maps to the input's size, and no others."""
    layer = nn.ConvTranspose2d(2, 3, (3, 2), (2, 3), 1)
    x = tensor(np.ones((1, 2, 4, 5)), dtype="float32")
    smallest = layer(x).shape[2:]
    assert smallest == (7, 12)
    for size in [(7, 12), (8, 12), (7, 14), (8, 13)]:
        assert layer(x, size).shape == layer(x, output_size=[1, 3, *size]).shape == (1, 3, *size)
        extra = nn.ConvTranspose2d(2, 3, (3, 2), (2, 3), 1, output_padding=np.subtract(size, smallest).tolist())
        extra.load_state_dict(layer.state_dict())
        np.testing.assert_array_equal(extra(x).detach().numpy(), layer(x, size).detach().numpy())
    message = r"ConvTranspose2d\(in_channels=2\): expected output_size from \(7, 12\) to \(8, 14\), got "
    for wrong in [(6, 12), (9, 12), (7, 11), (7, 15), (3, 7, 12)]:
        with pytest.raises(ValueError, match=message):
            layer(x, wrong)


@pytest.mark.parametrize("momentum", [0.0, None])
def test_instance_norm_without_momentum_keeps_its_statistics(momentum):
    layer = nn.InstanceNorm1d(2, momentum=momentum, track_running_stats=True)
    layer(tensor([[[1.0, 3.0], [5.0, 9.0]]]))
    assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize("momentum, mean, var", [(0.0, 0.0, 1.0), (0.25, 0.5, 1.25), (1.0, 2.0, 2.0), (None, 2.0, 2.0)])
def test_batch_norm_moves_its_statistics_by_the_momentum(momentum, mean, var):
    """None is the average over all batches: of the first alone, its own statistics."""
    layer = nn.BatchNorm1d(1, momentum=momentum)
    layer(tensor([[1.0], [3.0]]))
    assert (layer.running_mean.item(), layer.running_var.item()) == (mean, var)
    assert layer.num_batches_tracked.item() == 1


def test_layers_of_no_features():
    assert nn.Linear(0, 2)(tinycnn.ones(3, 0)).shape == (3, 2)
    assert nn.Linear(2, 0)(tinycnn.ones(3, 2)).shape == (3, 0)
    for make in (lambda: nn.Linear(-1, 2), lambda: nn.Linear(2, -1)):
        with pytest.raises(ValueError, match=r"^Linear: expected (in|out)_features of at least 0, got -1$"):
            make()
    for make in [
        lambda: nn.Conv2d(0, 1, 1), lambda: nn.Conv2d(1, 0, 1), lambda: nn.Conv2d(1, 1, 0), lambda: nn.BatchNorm1d(0),
        lambda: nn.Conv2d(1, 1, 1, 0), lambda: nn.Conv2d(1, 1, 1, 1, -1), lambda: nn.Conv2d(1, 1, 1, 1, 0, 0),
        lambda: nn.Conv2d(2, 2, 1, groups=0), lambda: nn.Conv2d(3, 2, 1, groups=2),
        lambda: nn.Conv2d(2, 3, 1, groups=2),
        lambda: nn.ConvTranspose1d(1, 1, 1, output_padding=-1), lambda: nn.GroupNorm(0, 2), lambda: nn.GroupNorm(2, 3),
        lambda: nn.ConvTranspose1d(1, 1, 1, padding_mode="reflect"), lambda: nn.Conv1d(1, 1, 1, padding_mode="zero"),
        lambda: nn.MaxPool1d(0), lambda: nn.MaxPool1d(2, 0), lambda: nn.MaxPool1d(2, 1, -1),
        lambda: nn.MaxPool1d(2, 1, 0, 0), lambda: nn.Dropout(-0.1), lambda: nn.Dropout2d(1.1),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=r"^[A-Z]\w+: "):
            make()


# --- dropout ----------------------------------------------------------------------------------------------


def test_dropout_keeps_a_share_and_the_mean():
    tinycnn.manual_seed(0)
    x = tensor(np.ones((400, 500), np.float32))
    for p in (0.1, 0.5, 0.8):
        y = nn.Dropout(p)(x).numpy()
        assert y.dtype == np.float32
        kept = y != 0
        np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)
        # 200,000 draws: five standard deviations
        assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / kept.size)
        # Neighbours are independent, along both dimensions.
        for a, b in ((kept[1:], kept[:-1]), (kept[:, 1:], kept[:, :-1])):
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02


def test_dropout_masks_the_gradient_alike():
    x = tensor(np.random.default_rng(0).standard_normal((50, 20)), requires_grad=True)
    y = nn.Dropout(0.4)(x)
    y.backward(tensor(np.full(x.shape, 3.0)))
    np.testing.assert_allclose(x.grad.numpy(), np.where(y.detach().numpy() == 0, 0, 3 / 0.6))


def test_dropout_draws_anew_and_from_the_seed():
    x, layer = tensor(np.ones(1000)), nn.Dropout()
    tinycnn.manual_seed(3)
    first, second = layer(x).numpy(), layer(x).numpy()
    assert (first != second).any()
    tinycnn.manual_seed(3)
    np.testing.assert_array_equal(layer(x).numpy(), first)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_functions_of_channel_dropout(dims):
    function, x = getattr(nn.functional, f"dropout{dims}d"), tinycnn.ones(40, 50, *[2, 3, 2][:dims])
    tinycnn.manual_seed(0)
    for p in (0.1, 0.5, 0.8):
        y = function(x, p).numpy().reshape(40, 50, -1)
        assert (y == y[:, :, :1]).all()
        kept = y[:, :, 0] != 0
        np.testing.assert_allclose(y[:, :, 0][kept], 1 / (1 - p), rtol=1e-6)
        assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / kept.size)
    assert function(x, 0.5, False) is x
    assert function(x, 0.0) is x
    assert not function(x, 1.0).numpy().any()
    assert function(x, p=0.5, training=True, inplace=True) is x


def test_dropout_at_its_limits():
    x = tensor(np.ones(100))
    assert nn.Dropout().eval()(x) is x
    assert nn.Dropout(0)(x) is x
    assert not nn.Dropout(1)(x).numpy().any()


@pytest.mark.parametrize("dims, batch", [(1, ()), (1, (30,)), (2, (30,)), (3, ()), (3, (30,))])
def test_channel_dropout_drops_whole_channels(dims, batch):
    tinycnn.manual_seed(1)
    layer = getattr(nn, f"Dropout{dims}d")(0.3)
    x = tensor(np.ones((*batch, 40, *[3] * dims)))
    y = layer(x).numpy()
    channels = y.reshape(*y.shape[: len(batch) + 1], -1)
    assert ((channels == 0).all(-1) | np.isclose(channels, 1 / 0.7).all(-1)).all()
    assert 0 < (channels == 0).mean() < 1
    assert layer.eval()(x) is x


@pytest.mark.parametrize("dims, shape, lead", [(2, (40, 50), 2), (2, (40, 50, 3), 2), (2, (4, 50, 3, 2, 2), 2),
                                               (3, (90, 5), 1), (3, (90, 5, 2), 1)])  # fmt: skip
def test_channel_dropout_of_other_dimensions_is_as_in_torch(dims, shape, lead):
    """Slices of the first `lead` dimensions are kept or dropped whole, with a warning."""
    tinycnn.manual_seed(0)
    with pytest.warns(UserWarning, match=rf"Dropout{dims}d: expected {dims + 2} dimensions, got input \("):
        y = getattr(nn, f"Dropout{dims}d")(0.3)(tinycnn.ones(*shape)).numpy()
    slices = y.reshape(*shape[:lead], -1)
    assert (slices == slices[..., :1]).all()
    assert 0.2 < (slices == 0).mean() < 0.4
    for dims, shape in ((1, (2, 2, 2, 2)), (2, (3,)), (3, (3,))):
        with pytest.raises(ValueError, match=rf"^dropout{dims}d: expected {dims + 2} dimensions"):
            getattr(nn.functional, f"dropout{dims}d")(tinycnn.ones(*shape))


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 2), (3, 7, 2, 3), (3, 4, 2, 3, 2)])
def test_channel_dropout_drops_the_slices_that_torch_drops(dims, shape):
    import torch

    if dims == 1 and len(shape) > 3:
        return
    for lead in range(1, len(shape) + 1):  # whether slices of that many dimensions are always dropped whole
        found = []
        for lib in (tinycnn, torch):
            y = getattr(lib.nn, f"Dropout{dims}d")(0.5)(lib.ones(*shape)).numpy().reshape(*shape[:lead], -1)
            found.append((y == y[..., :1]).all())
        assert found[0] == found[1]
