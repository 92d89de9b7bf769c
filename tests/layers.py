"""The layer table: every layer with sample arguments and inputs, run by the same code with tinycnn and with torch.

`run(case, lib)` fills the layer's state with numbers that depend on the row's name alone, and returns, by name, its
output, the gradients of its input and parameters for a random upstream gradient, and what training changed in its
buffers. `tests/nn/test_layers.py` compares; `tests/fixtures/record_layers.py` records what torch gives.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class LayerCase(NamedTuple):
    name: str
    build: Callable[[Any], Any]  # from tinycnn.nn or torch.nn
    input: tuple[int, ...]  # the input's shape
    others: tuple[Callable[[np.random.Generator], np.ndarray], ...] = ()  # further inputs: targets


def case(name: str, build: Callable[[Any], Any], *shape: int, others: tuple = ()) -> LayerCase:
    return LayerCase(name, build, shape, others)


def classes(count: int, *shape: int) -> Callable:
    return lambda rng: rng.integers(0, count, shape)


def normal(*shape: int) -> Callable:
    return lambda rng: rng.standard_normal(shape)


def probabilities(*shape: int) -> Callable:
    return lambda rng: rng.dirichlet(np.ones(shape[-1]), shape[:-1])


def signs(*shape: int) -> Callable:
    return lambda rng: rng.choice([-1.0, 1.0], shape)


def listed(rng: np.random.Generator) -> np.ndarray:
    return np.array([[3, 0, -1, 1], [-1, 2, 1, 0], [1, 2, 0, 3]])


def state_of(module: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Values for every entry of the module's state: variances positive, counters 3, all else normal."""
    values = {}
    for key, entry in module.state_dict().items():
        shape = tuple(entry.shape)
        if key.endswith("num_batches_tracked"):
            values[key] = np.array(3)
        else:
            values[key] = rng.uniform(0.5, 2, shape) if key.endswith("var") else rng.standard_normal(shape)
    return values


def run(case: LayerCase, lib: Any) -> dict[str, np.ndarray]:
    """What the layer of `lib`, tinycnn or torch, gives in float64."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    module = case.build(lib.nn).double()
    module.load_state_dict({key: lib.tensor(value) for key, value in state_of(module, rng).items()})
    x = lib.tensor(rng.standard_normal(case.input), requires_grad=True)
    others = [lib.tensor(sampler(rng)) for sampler in case.others]
    y = module(x, *others)
    y.backward(lib.tensor(rng.standard_normal(tuple(y.shape))))
    found = {"output": y, "input": x.grad}
    found |= {f"gradient of {name}": parameter.grad for name, parameter in module.named_parameters()}
    found |= {f"buffer {name}": buffer for name, buffer in module.named_buffers() if "weight" not in name}
    if any("running" in name for name, _ in module.named_buffers()):
        found["output of eval"] = module.eval()(x, *others)
    return {name: value.detach().numpy() for name, value in found.items()}


def weighted(nn: Any, loss: str, *arguments: str, **options: Any) -> Any:
    """A loss of four classes with weights: as the argument `weight`, or as these."""
    tensor = __import__(nn.__name__.split(".")[0]).tensor
    weight = tensor(np.array([0.5, 2.0, 1.0, 3.0]))
    return getattr(nn, loss)(**dict.fromkeys(arguments or ["weight"], weight), **options)


CASES = [
    case("Linear", lambda nn: nn.Linear(5, 3), 4, 5),
    case("Linear/no bias, many dimensions", lambda nn: nn.Linear(3, 2, bias=False), 2, 1, 3, 3),
    case("Conv1d", lambda nn: nn.Conv1d(2, 3, 4, 2, 3, 2), 2, 2, 9),
    case("Conv2d", lambda nn: nn.Conv2d(2, 3, (3, 2)), 2, 2, 5, 4),
    case("Conv2d/all", lambda nn: nn.Conv2d(4, 6, (2, 3), (3, 2), (1, 2), (2, 1), 2, False), 2, 4, 7, 5),
    case("Conv2d/depthwise", lambda nn: nn.Conv2d(3, 3, 3, padding=1, groups=3), 2, 3, 4, 5),
    case("Conv2d/one sample", lambda nn: nn.Conv2d(2, 2, 2), 2, 3, 4),
    case("Conv2d/same", lambda nn: nn.Conv2d(1, 2, (3, 5), padding="same", dilation=(2, 1)), 2, 1, 5, 6),
    case("Conv2d/valid", lambda nn: nn.Conv2d(1, 2, 3, padding="valid"), 1, 1, 4, 5),
    case("Conv2d/reflect", lambda nn: nn.Conv2d(1, 2, 3, padding=(2, 1), padding_mode="reflect"), 2, 1, 4, 5),
    case("Conv2d/replicate", lambda nn: nn.Conv2d(1, 2, 3, padding=(1, 3), padding_mode="replicate"), 2, 1, 4, 3),
    case("Conv2d/circular", lambda nn: nn.Conv2d(1, 2, 3, padding="same", padding_mode="circular"), 2, 1, 4, 5),
    case("Conv3d", lambda nn: nn.Conv3d(2, 2, (1, 2, 2), (1, 2, 1), (0, 1, 1), groups=2), 2, 2, 2, 3, 4),
    case("ConvTranspose1d", lambda nn: nn.ConvTranspose1d(2, 3, 3, 2, 1, 1), 2, 2, 5),
    case("ConvTranspose2d", lambda nn: nn.ConvTranspose2d(2, 3, (2, 3)), 2, 2, 3, 2),
    case("ConvTranspose2d/all",
         lambda nn: nn.ConvTranspose2d(4, 2, (3, 2), (2, 3), 1, (1, 2), 2, False, 2), 2, 4, 3, 2),
    case("ConvTranspose3d", lambda nn: nn.ConvTranspose3d(1, 2, 2, (1, 2, 1), output_padding=(0, 1, 0)), 1, 1, 2, 3, 2),
    case("BatchNorm1d", lambda nn: nn.BatchNorm1d(3), 4, 3),
    case("BatchNorm1d/3-d", lambda nn: nn.BatchNorm1d(3, affine=False), 4, 3, 2),
    case("BatchNorm2d", lambda nn: nn.BatchNorm2d(3, eps=0.1, momentum=0.3), 2, 3, 3, 2),
    case("BatchNorm2d/average of all", lambda nn: nn.BatchNorm2d(3, momentum=None), 2, 3, 3, 2),
    case("BatchNorm2d/nothing tracked", lambda nn: nn.BatchNorm2d(3, track_running_stats=False), 2, 3, 3, 2),
    case("BatchNorm2d/no bias", lambda nn: nn.BatchNorm2d(2, bias=False), 2, 2, 3, 2),
    case("BatchNorm3d", lambda nn: nn.BatchNorm3d(2), 2, 2, 2, 2, 3),
    case("InstanceNorm1d", lambda nn: nn.InstanceNorm1d(3, affine=True), 2, 3, 4),
    case("InstanceNorm2d", lambda nn: nn.InstanceNorm2d(3), 2, 3, 4, 2),
    case("InstanceNorm2d/tracked", lambda nn: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), 2, 3, 4, 2),
    case("InstanceNorm3d", lambda nn: nn.InstanceNorm3d(2, eps=0.1), 2, 2, 2, 2, 3),
    case("LayerNorm", lambda nn: nn.LayerNorm(4), 3, 2, 4),
    case("LayerNorm/two dimensions", lambda nn: nn.LayerNorm((2, 4), bias=False), 3, 2, 4),
    case("LayerNorm/not affine", lambda nn: nn.LayerNorm([4], elementwise_affine=False), 3, 4),
    case("GroupNorm", lambda nn: nn.GroupNorm(2, 4), 2, 4, 3, 2),
    case("GroupNorm/not affine", lambda nn: nn.GroupNorm(3, 6, affine=False), 2, 6, 3),
    case("MaxPool1d", lambda nn: nn.MaxPool1d(3, 2, 1), 2, 2, 7),
    case("MaxPool2d", lambda nn: nn.MaxPool2d(2), 2, 2, 5, 4),
    case("MaxPool2d/all", lambda nn: nn.MaxPool2d((2, 3), (2, 1), 1, (2, 1), ceil_mode=True), 2, 2, 6, 5),
    case("MaxPool3d", lambda nn: nn.MaxPool3d((1, 2, 3), (1, 2, 1)), 1, 2, 2, 4, 3),
    case("AvgPool1d", lambda nn: nn.AvgPool1d(3, 2, 1), 2, 2, 7),
    case("AvgPool2d", lambda nn: nn.AvgPool2d((3, 2), (2, 1), (1, 0), True, False), 2, 2, 6, 4),
    case("AvgPool2d/divisor", lambda nn: nn.AvgPool2d(2, divisor_override=3), 2, 1, 5, 4),
    case("AvgPool3d", lambda nn: nn.AvgPool3d((1, 2, 3), (1, 2, 1), (0, 1, 1)), 1, 2, 2, 4, 3),
    case("AdaptiveAvgPool1d", lambda nn: nn.AdaptiveAvgPool1d(3), 2, 2, 7),
    case("AdaptiveAvgPool2d", lambda nn: nn.AdaptiveAvgPool2d((3, None)), 2, 2, 5, 4),
    case("AdaptiveAvgPool3d", lambda nn: nn.AdaptiveAvgPool3d(2), 1, 2, 2, 3, 4),
    case("AdaptiveMaxPool1d", lambda nn: nn.AdaptiveMaxPool1d(3), 2, 2, 7),
    case("AdaptiveMaxPool2d", lambda nn: nn.AdaptiveMaxPool2d((2, 3)), 2, 2, 5, 4),
    case("AdaptiveMaxPool3d", lambda nn: nn.AdaptiveMaxPool3d((1, 2, 2)), 1, 2, 2, 3, 4),
    case("ReLU", lambda nn: nn.ReLU(), 3, 4),
    case("ReLU/inplace", lambda nn: nn.Sequential(nn.Linear(4, 3), nn.ReLU(inplace=True)), 3, 4),
    case("LeakyReLU", lambda nn: nn.LeakyReLU(0.2), 3, 4),
    case("ELU", lambda nn: nn.ELU(0.7), 3, 4),
    case("GELU", lambda nn: nn.GELU(), 3, 4),
    case("GELU/tanh", lambda nn: nn.GELU("tanh"), 3, 4),
    case("SiLU", lambda nn: nn.SiLU(), 3, 4),
    case("Softplus", lambda nn: nn.Softplus(2.0, 1.5), 3, 4),
    case("Hardswish", lambda nn: nn.Hardswish(), 3, 4),
    case("LogSigmoid", lambda nn: nn.LogSigmoid(), 3, 4),
    case("Sigmoid", lambda nn: nn.Sigmoid(), 3, 4),
    case("Tanh", lambda nn: nn.Tanh(), 3, 4),
    case("Softmax", lambda nn: nn.Softmax(1), 2, 3, 2),
    case("LogSoftmax", lambda nn: nn.LogSoftmax(-1), 2, 3, 2),
    case("Flatten", lambda nn: nn.Flatten(), 2, 3, 2, 2),
    case("Flatten/some", lambda nn: nn.Flatten(0, 1), 2, 3, 2),
    case("Unflatten", lambda nn: nn.Unflatten(1, (3, 2)), 2, 6, 2),
    case("Identity", lambda nn: nn.Identity(54, unused=True), 2, 3),
    case("Unfold", lambda nn: nn.Unfold((2, 3), (2, 1), (1, 0), (1, 2)), 2, 2, 4, 5),
    case("Fold", lambda nn: nn.Fold((4, 5), (2, 3), (2, 1), (1, 0), (1, 2)), 1, 12, 8),
    case("Upsample/nearest", lambda nn: nn.Upsample(scale_factor=2), 1, 2, 2, 3),
    case("Upsample/bilinear", lambda nn: nn.Upsample((5, 3), mode="bilinear"), 1, 2, 3, 4),
    case("Upsample/corners", lambda nn: nn.Upsample(scale_factor=1.5, mode="linear", align_corners=True), 1, 2, 5),
    case("PixelShuffle", lambda nn: nn.PixelShuffle(2), 1, 8, 2, 3),
    case("PixelUnshuffle", lambda nn: nn.PixelUnshuffle(2), 1, 2, 4, 2),
    case("CrossEntropyLoss", lambda nn: nn.CrossEntropyLoss(), 4, 3, others=(classes(3, 4),)),
    case("CrossEntropyLoss/all",
         lambda nn: weighted(nn, "CrossEntropyLoss", ignore_index=2, reduction="sum", label_smoothing=0.1),
         3, 4, 2, others=(classes(4, 3, 2),)),
    case("CrossEntropyLoss/probabilities", lambda nn: weighted(nn, "CrossEntropyLoss"), 3, 4,
         others=(probabilities(3, 4),)),
    case("NLLLoss", lambda nn: weighted(nn, "NLLLoss", reduction="none"), 3, 4, others=(classes(4, 3),)),
    case("MSELoss", lambda nn: nn.MSELoss(), 3, 4, others=(normal(3, 4),)),
    case("L1Loss", lambda nn: nn.L1Loss(reduction="sum"), 3, 4, others=(normal(3, 4),)),
    case("SmoothL1Loss", lambda nn: nn.SmoothL1Loss(beta=0.5), 3, 4, others=(normal(3, 4),)),
    case("BCEWithLogitsLoss", lambda nn: nn.BCEWithLogitsLoss(), 3, 4, others=(probabilities(3, 4),)),
    case("BCELoss", lambda nn: Composed(nn, nn.Sigmoid(), nn.BCELoss()), 3, 4, others=(probabilities(3, 4),)),
    case("CrossEntropyLoss/sum", lambda nn: nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.5), 3, 4,
         others=(classes(4, 3),)),
    case("NLLLoss/ignored", lambda nn: weighted(nn, "NLLLoss", ignore_index=1), 5, 4, others=(classes(4, 5),)),
    case("MSELoss/sum", lambda nn: nn.MSELoss(reduction="sum"), 3, 4, others=(normal(3, 4),)),
    case("L1Loss/none", lambda nn: nn.L1Loss(reduction="none"), 3, 4, others=(normal(3, 4),)),
    case("SmoothL1Loss/sum", lambda nn: nn.SmoothL1Loss(reduction="sum"), 3, 4, others=(normal(3, 4),)),
    case("BCEWithLogitsLoss/all",
         lambda nn: weighted(nn, "BCEWithLogitsLoss", "weight", "pos_weight", reduction="none"), 3, 4,
         others=(probabilities(3, 4),)),
    case("BCELoss/all", lambda nn: Composed(nn, nn.Sigmoid(), weighted(nn, "BCELoss", reduction="sum")), 3, 4,
         others=(probabilities(3, 4),)),
    case("BatchNorm1d/all", lambda nn: nn.BatchNorm1d(3, 0.2, 0.4, False, True), 4, 3, 2),
    case("InstanceNorm2d/all", lambda nn: nn.InstanceNorm2d(3, 0.2, 0.6, True, True, bias=False), 2, 3, 4, 2),
    case("GroupNorm/all", lambda nn: nn.GroupNorm(2, 4, 0.3, True, bias=False), 2, 4, 3),
    case("LayerNorm/all", lambda nn: nn.LayerNorm(4, 0.3, True, False), 3, 4),
    case("AvgPool1d/all", lambda nn: nn.AvgPool1d(3, 2, 1, True, False), 1, 2, 6),
    case("AvgPool3d/all", lambda nn: nn.AvgPool3d(2, 1, 1, False, False, 5), 1, 1, 2, 3, 2),
    case("Conv1d/circular", lambda nn: nn.Conv1d(2, 2, 3, 2, 2, 1, 2, True, "circular"), 1, 2, 6),
    case("Conv3d/replicate", lambda nn: nn.Conv3d(1, 1, 2, 1, (1, 0, 2), padding_mode="replicate"), 1, 1, 2, 2, 2),
    case("Conv2d/even", lambda nn: nn.Conv2d(1, 1, (2, 4), padding="same", padding_mode="reflect"), 1, 1, 5, 6),
    case("MaxUnpool2d/all", lambda nn: Unpooled(nn, 2, 3, 2, 1), 1, 1, 5, 7),
    case("MaxUnpool2d", lambda nn: Unpooled(nn, 2), 2, 2, 4, 6),
    case("MaxUnpool1d", lambda nn: Unpooled(nn, 1), 2, 2, 7),
    case("MaxUnpool3d", lambda nn: Unpooled(nn, 3), 1, 2, 2, 4, 2),
    # Activations. Values are off the kinks of straight pieces with probability 1.
    case("ReLU6", lambda nn: nn.Sequential(Scaled(nn, 5.0), nn.ReLU6()), 3, 4),
    case("ReLU6/inplace", lambda nn: nn.Sequential(Scaled(nn, 5.0), nn.ReLU6(True)), 3, 4),
    case("Hardtanh", lambda nn: nn.Hardtanh(-0.5, 0.7), 3, 4),
    case("Hardtanh/inplace", lambda nn: nn.Sequential(nn.Linear(4, 3), nn.Hardtanh(inplace=True)), 3, 4),
    case("Hardsigmoid", lambda nn: nn.Sequential(Scaled(nn, 3.0), nn.Hardsigmoid()), 3, 4),
    case("RReLU", lambda nn: nn.RReLU().eval(), 3, 4),
    case("RReLU/training", lambda nn: nn.RReLU(0.3, 0.3), 3, 4),
    case("Threshold", lambda nn: nn.Threshold(0.3, 2.0), 3, 4),
    case("Hardshrink", lambda nn: nn.Hardshrink(0.4), 3, 4),
    case("Softshrink", lambda nn: nn.Softshrink(0.4), 3, 4),
    case("PReLU", lambda nn: nn.PReLU(), 3, 4),
    case("PReLU/channels", lambda nn: nn.PReLU(3, 0.1), 2, 3, 2, 2),
    case("Mish", lambda nn: nn.Mish(), 3, 4),
    case("CELU", lambda nn: nn.CELU(0.5), 3, 4),
    case("SELU", lambda nn: nn.SELU(), 3, 4),
    case("Softsign", lambda nn: nn.Softsign(), 3, 4),
    case("Tanhshrink", lambda nn: nn.Tanhshrink(), 3, 4),
    case("GLU", lambda nn: nn.GLU(1), 3, 4, 2),
    case("Softmin", lambda nn: nn.Softmin(1), 3, 4),
    case("Softmax2d", lambda nn: nn.Softmax2d(), 2, 3, 2, 2),
    # Padding.
    case("ZeroPad1d", lambda nn: nn.ZeroPad1d((1, 2)), 2, 3, 4),
    case("ZeroPad2d", lambda nn: nn.ZeroPad2d(1), 2, 1, 3, 2),
    case("ZeroPad3d", lambda nn: nn.ZeroPad3d((1, 0, 2, 1, 0, 1)), 1, 1, 2, 2, 2),
    case("ConstantPad1d", lambda nn: nn.ConstantPad1d(2, 1.5), 2, 4),
    case("ConstantPad2d", lambda nn: nn.ConstantPad2d((1, -1, 2, 0), 0.5), 2, 1, 3, 4),
    case("ConstantPad3d", lambda nn: nn.ConstantPad3d(1, -1), 1, 1, 2, 1, 2),
    case("ReflectionPad1d", lambda nn: nn.ReflectionPad1d((2, 1)), 2, 2, 4),
    case("ReflectionPad2d", lambda nn: nn.ReflectionPad2d(2), 1, 2, 3, 4),
    case("ReflectionPad3d", lambda nn: nn.ReflectionPad3d((1, 0, 1, 1, 0, 1)), 1, 1, 2, 3, 2),
    case("ReplicationPad1d", lambda nn: nn.ReplicationPad1d(3), 2, 2, 2),
    case("ReplicationPad2d", lambda nn: nn.ReplicationPad2d((1, 2, 3, 0)), 1, 2, 2, 3),
    case("ReplicationPad3d", lambda nn: nn.ReplicationPad3d(1), 1, 1, 2, 1, 2),
    case("CircularPad1d", lambda nn: nn.CircularPad1d((1, 2)), 1, 2, 3),
    case("CircularPad2d", lambda nn: nn.CircularPad2d((1, 2, 0, 1)), 1, 2, 2, 3),
    case("CircularPad3d", lambda nn: nn.CircularPad3d(1), 1, 1, 2, 1, 2),
    # The p-norm of windows.
    case("LPPool1d", lambda nn: nn.Sequential(nn.Softplus(), nn.LPPool1d(3, 2, 1)), 1, 2, 5),
    case("LPPool2d", lambda nn: nn.LPPool2d(2.0, (2, 3), ceil_mode=True), 1, 2, 5, 4),
    case("LPPool3d", lambda nn: nn.Sequential(nn.Softplus(), nn.LPPool3d(1.5, 2, 1)), 1, 1, 2, 3, 2),
    # Shapes.
    case("ChannelShuffle", lambda nn: nn.ChannelShuffle(3), 2, 6, 2, 1),
    case("UpsamplingNearest2d", lambda nn: nn.UpsamplingNearest2d(scale_factor=2), 1, 2, 2, 3),
    case("UpsamplingBilinear2d", lambda nn: nn.UpsamplingBilinear2d((5, 4)), 1, 2, 3, 2),
    case("Upsample/recomputed", lambda nn: nn.Upsample(None, 1.7, "bilinear", False, True), 1, 1, 3, 4),
    # Norms, distances, products.
    case("LocalResponseNorm", lambda nn: nn.LocalResponseNorm(3, 0.5, 0.6, 2.0), 2, 5, 3, 2),
    case("LocalResponseNorm/even", lambda nn: nn.LocalResponseNorm(2), 2, 3, 4),
    case("RMSNorm", lambda nn: nn.RMSNorm(4), 3, 2, 4),
    case("RMSNorm/two dimensions", lambda nn: nn.RMSNorm((2, 4), 0.1, False), 3, 2, 4),
    case("CosineSimilarity", lambda nn: nn.CosineSimilarity(1, 1e-6), 3, 4, 2, others=(normal(3, 4, 2),)),
    case("PairwiseDistance", lambda nn: nn.PairwiseDistance(3.0, 1e-3, True), 3, 4, others=(normal(3, 4),)),
    case("Bilinear", lambda nn: nn.Bilinear(3, 2, 4), 2, 5, 3, others=(normal(2, 5, 2),)),
    case("Bilinear/no bias", lambda nn: nn.Bilinear(3, 2, 4, bias=False), 5, 3, others=(normal(5, 2),)),
    case("Embedding", lambda nn: Embedded(nn, 5, 4), 3, 4, others=(classes(5, 3),)),
    case("Embedding/padding", lambda nn: Embedded(nn, 3, 4, padding_idx=-2), 6, 4, others=(classes(3, 6),)),
    # Losses.
    case("KLDivLoss", lambda nn: nn.KLDivLoss(reduction="batchmean"), 3, 4, others=(probabilities(3, 4),)),
    case("KLDivLoss/log", lambda nn: nn.KLDivLoss(reduction="sum", log_target=True), 3, 4, others=(normal(3, 4),)),
    case("HuberLoss", lambda nn: nn.HuberLoss(delta=0.7), 3, 4, others=(normal(3, 4),)),
    case("PoissonNLLLoss", lambda nn: nn.PoissonNLLLoss(), 3, 4, others=(classes(5, 3, 4),)),
    case("PoissonNLLLoss/full",
         lambda nn: Composed(nn, nn.Softplus(), nn.PoissonNLLLoss(False, True, eps=0.1, reduction="none")), 3, 4,
         others=(classes(5, 3, 4),)),
    case("GaussianNLLLoss", lambda nn: nn.GaussianNLLLoss(full=True, eps=0.3), 3, 4,
         others=(normal(3, 4), probabilities(3, 4))),
    case("MarginRankingLoss", lambda nn: nn.MarginRankingLoss(0.4), 8, others=(normal(8), signs(8))),
    case("HingeEmbeddingLoss", lambda nn: nn.HingeEmbeddingLoss(0.6), 3, 4, others=(signs(3, 4),)),
    case("CosineEmbeddingLoss", lambda nn: nn.CosineEmbeddingLoss(0.1, reduction="sum"), 8, 3,
         others=(normal(8, 3), signs(8))),
    case("TripletMarginLoss", lambda nn: nn.TripletMarginLoss(), 6, 3, others=(normal(6, 3), normal(6, 3))),
    case("TripletMarginLoss/swap", lambda nn: nn.TripletMarginLoss(0.7, 1.0, 1e-3, True, reduction="none"), 6, 3,
         others=(normal(6, 3), normal(6, 3))),
    case("SoftMarginLoss", lambda nn: nn.SoftMarginLoss(), 3, 4, others=(signs(3, 4),)),
    case("MultiLabelSoftMarginLoss", lambda nn: weighted(nn, "MultiLabelSoftMarginLoss"), 3, 4,
         others=(probabilities(3, 4),)),
    case("MultiLabelMarginLoss", lambda nn: nn.MultiLabelMarginLoss(), 3, 4, others=(listed,)),
    case("MultiLabelMarginLoss/sum", lambda nn: nn.MultiLabelMarginLoss(reduction="sum"), 3, 4, others=(listed,)),
    case("MultiMarginLoss", lambda nn: nn.MultiMarginLoss(), 3, 4, others=(classes(4, 3),)),
    case("MultiMarginLoss/square", lambda nn: weighted(nn, "MultiMarginLoss", p=2, margin=0.7), 3, 4,
         others=(classes(4, 3),)),
    # Lazy layers, after their first input.
    case("LazyLinear", lambda nn: once(nn, nn.LazyLinear(3), 2, 5), 4, 5),
    case("LazyConv1d", lambda nn: once(nn, nn.LazyConv1d(4, 3, 2, 1, groups=2), 1, 2, 5), 2, 2, 7),
    case("LazyConv2d", lambda nn: once(nn, nn.LazyConv2d(3, (2, 3), bias=False), 1, 2, 5, 4), 2, 2, 5, 4),
    case("LazyConv3d", lambda nn: once(nn, nn.LazyConv3d(2, 2), 1, 1, 3, 2, 4), 1, 1, 3, 2, 4),
    case("LazyConvTranspose1d", lambda nn: once(nn, nn.LazyConvTranspose1d(3, 3, 2), 1, 2, 5), 2, 2, 5),
    case("LazyConvTranspose2d",
         lambda nn: once(nn, nn.LazyConvTranspose2d(2, (3, 2), (2, 3), 1, (1, 2), 2, dilation=2), 1, 4, 3, 2),
         2, 4, 3, 2),
    case("LazyConvTranspose3d", lambda nn: once(nn, nn.LazyConvTranspose3d(2, 2), 1, 1, 2, 3, 2), 1, 1, 2, 3, 2),
    case("LazyBatchNorm1d", lambda nn: once(nn, nn.LazyBatchNorm1d(), 4, 3), 4, 3),
    case("LazyBatchNorm2d", lambda nn: once(nn, nn.LazyBatchNorm2d(0.1, None), 2, 3, 2, 2), 2, 3, 3, 2),
    case("LazyBatchNorm3d", lambda nn: once(nn, nn.LazyBatchNorm3d(affine=False), 2, 2, 2, 2, 2), 2, 2, 2, 2, 3),
    case("LazyInstanceNorm1d", lambda nn: once(nn, nn.LazyInstanceNorm1d(), 2, 3, 4), 2, 3, 4),
    case("LazyInstanceNorm2d", lambda nn: once(nn, nn.LazyInstanceNorm2d(affine=False), 1, 3, 2, 2), 2, 3, 4, 2),
    case("LazyInstanceNorm3d", lambda nn: once(nn, nn.LazyInstanceNorm3d(), 2, 2, 2, 2, 3), 2, 2, 2, 2, 3),
]  # fmt: skip


def once(nn: Any, layer: Any, *shape: int) -> Any:
    """A lazy layer after its first forward, which a shape tells how many inputs it has."""
    lib = __import__(nn.__name__.split(".")[0])
    layer(lib.ones(*shape) * lib.arange(shape[-1]))
    return layer


def Scaled(nn: Any, factor: float) -> Any:
    class Scaled(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * factor

    return Scaled()


def Embedded(nn: Any, *arguments: int, **options: Any) -> Any:
    """An input times what a table holds for some indices."""

    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(*arguments, **options)

        def forward(self, x: Any, index: Any) -> Any:
            return x * self.table(index)

    return Embedded()


def Composed(nn: Any, first: Any, then: Any) -> Any:
    class Composed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.then = first, then

        def forward(self, x: Any, target: Any) -> Any:
            return self.then(self.first(x), target)

    return Composed()


def Unpooled(nn: Any, dims: int, *window: int) -> Any:
    """Max pooling and its inverse, which needs the indices of the first."""

    class Unpooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = getattr(nn, f"MaxPool{dims}d")(*(window or (2,)), return_indices=True)
            self.unpool = getattr(nn, f"MaxUnpool{dims}d")(*(window or (2,)))

        def forward(self, x: Any) -> Any:
            y, indices = self.pool(x)
            return self.unpool(y * y, indices, output_size=x.shape)

    return Unpooled()
