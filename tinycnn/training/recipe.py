"""The settings of a training run: read from a TOML file, checked key by key, and what is built of them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tinycnn import Tensor, no_grad, optim, zeros
from tinycnn._files import kind_of
from tinycnn.data import transforms
from tinycnn.data.transforms import v2
from tinycnn.models import model_for
from tinycnn.nn import Module
from tinycnn.optim import lr_scheduler
from tinycnn.training.callback import Callback
from tinycnn.training.callbacks import EMA, ClipGradients, EarlyStopping

Share = Annotated[float, Field(ge=0, lt=1)]
Scale = Annotated[float, Field(gt=0)]


def _as_tuple(value: Any) -> Any:
    """An array of TOML's as the tuple that a field is."""
    return tuple(value) if isinstance(value, list) else value


class Settings(BaseModel):
    # strict: "3" is no number and 2.0 no int; forbid: a misspelt key must not be ignored.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class SGD(Settings):
    name: Literal["sgd"]
    lr: float = Field(gt=0)
    momentum: Share = 0.0
    weight_decay: float = Field(0.0, ge=0)
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and self.momentum == 0:
            raise ValueError("expected momentum above 0 with nesterov = true")
        return self

    def build(self, parameters: Iterable[Tensor]) -> optim.Optimizer:
        return optim.SGD(parameters, **self.model_dump(exclude={"name"}))


class Adam(Settings):
    name: Literal["adam", "adamw", "nadam"]
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)

    def build(self, parameters: Iterable[Tensor]) -> optim.Optimizer:
        algorithm = {"adam": optim.Adam, "adamw": optim.AdamW, "nadam": optim.NAdam}[self.name]
        return algorithm(parameters, lr=self.lr, weight_decay=self.weight_decay)


class Lion(Settings):
    name: Literal["lion"]
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)

    def build(self, parameters: Iterable[Tensor]) -> optim.Optimizer:
        return optim.Lion(parameters, lr=self.lr, weight_decay=self.weight_decay)


# Every schedule is stepped after each batch and starts from, or rises to, the optimizer's lr.


class Constant(Settings):
    name: Literal["none"]

    def build(self, optimizer: optim.Optimizer, epochs: int, batches: int) -> lr_scheduler.LRScheduler:
        return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


class OneCycle(Settings):
    """From lr / div_factor up to lr in the first `pct_start` of the training, then down to nearly 0."""

    name: Literal["onecycle"]
    pct_start: Share = 0.3
    div_factor: float = Field(25.0, ge=1)

    def build(self, optimizer: optim.Optimizer, epochs: int, batches: int) -> lr_scheduler.LRScheduler:
        return lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=optimizer.param_groups[0]["lr"],
            total_steps=epochs * batches,
            pct_start=self.pct_start,
            div_factor=self.div_factor,
            cycle_momentum=False,  # the recipe's momentum is what it says
        )


class Cosine(Settings):
    """From lr down to 0 along half a cosine wave."""

    name: Literal["cosine"]

    def build(self, optimizer: optim.Optimizer, epochs: int, batches: int) -> lr_scheduler.LRScheduler:
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * batches)


class Step(Settings):
    """Times `gamma` after every `epochs` epochs."""

    name: Literal["step"]
    epochs: int = Field(ge=1)
    gamma: Share = 0.1

    def build(self, optimizer: optim.Optimizer, epochs: int, batches: int) -> lr_scheduler.LRScheduler:
        return lr_scheduler.StepLR(optimizer, step_size=self.epochs * batches, gamma=self.gamma)


class Augmentation(Settings):
    """What is done to each training image, all at random. Lengths are in pixels."""

    shift: int = Field(default=0, ge=0)  # in either direction
    crop: int = Field(default=0, ge=0)  # the border around the image, of which a part of the image's size is taken
    flip: bool = False  # left and right, half of them
    degrees: float = Field(default=0.0, ge=0, le=180)
    scale: Annotated[tuple[Scale, Scale], BeforeValidator(_as_tuple)] | None = None  # least and largest
    cutout: int = Field(default=0, ge=0)  # side of a square that is overwritten
    mixup: float = Field(default=0.0, ge=0)  # alpha of the Beta distribution of the shares

    @model_validator(mode="after")
    def _scales_grow(self) -> Augmentation:
        if self.scale is not None and self.scale[0] > self.scale[1]:
            raise ValueError(f"expected scale as the least and the largest, got {list(self.scale)}")
        return self

    def build(self, size: tuple[int, int], background: Any) -> Callable[[Tensor], Tensor] | None:
        """The transform of a batch of images of this size; None if there is nothing to do."""
        steps: list[Any] = []
        if self.shift:
            steps.append(transforms.RandomShift(self.shift, fill=background))
        if self.crop:
            steps.append(transforms.RandomCrop(size, padding=self.crop, fill=background))
        if self.flip:
            steps.append(transforms.RandomHorizontalFlip())
        if self.degrees or self.scale:
            mode = transforms.InterpolationMode.BILINEAR
            steps.append(transforms.RandomAffine(self.degrees, scale=self.scale, interpolation=mode, fill=background))
        if self.cutout:
            steps.append(transforms.Cutout(self.cutout))
        return transforms.Compose(steps) if steps else None

    def build_mix(self, num_classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
        """The mixture of a batch of images and targets, or None."""
        return v2.MixUp(alpha=self.mixup, num_classes=num_classes) if self.mixup else None


VARIANTS: dict[str, type[Settings]] = {
    "sgd": SGD, "adam": Adam, "adamw": Adam, "nadam": Adam, "lion": Lion,
    "none": Constant, "onecycle": OneCycle, "cosine": Cosine, "step": Step,
}  # fmt: skip


class Recipe(Settings):
    """All that decides what is trained, and how."""

    dataset: Literal["mnist", "fashion_mnist", "kmnist", "qmnist", "emnist", "cifar10", "cifar100", "svhn", "digits",
                     "folder"]  # fmt: skip
    image_size: int | None = Field(None, ge=1)  # pixels, of the pictures of a folder, which have different ones
    model: str  # a name of tinycnn.models
    model_options: dict[str, Any] = {}
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    accumulate: int = Field(1, ge=1)  # parts of a batch, one after the other
    average_every: int | None = Field(None, ge=1)  # steps, of several ranks over slow links
    outer_momentum: Share = 0.0  # of these averages
    seed: int = Field(0, ge=0, lt=2**63)
    label_smoothing: Share = 0.0
    clip_norm: float | None = Field(None, gt=0)
    ema_decay: Share | None = None
    patience: int | None = Field(None, ge=0)  # epochs without a smaller test loss, after which the training ends
    augmentation: Augmentation = Augmentation()
    optimizer: Annotated[SGD | Adam | Lion, Field(discriminator="name")]
    scheduler: Annotated[Constant | OneCycle | Cosine | Step, Field(discriminator="name")]

    @model_validator(mode="after")
    def _folders_have_a_size(self) -> Recipe:
        if (self.dataset == "folder") != (self.image_size is not None):
            raise ValueError('expected image_size with dataset = "folder", and with no other')
        return self

    def build_model(self, image_shape: tuple[int, int, int], num_classes: int) -> Module:
        """The net, for images (C, H, W). ValueError for one that is unknown, cannot take them, or gives no scores
        (N, K)."""
        model = model_for(self.model, image_shape, num_classes, **self.model_options)
        with no_grad():
            shape = tuple(model.eval()(zeros(1, *image_shape)).shape)
        if shape != (1, num_classes):
            hint = "; examples/segmentation.py trains nets that label pixels" if shape[2:] == image_shape[1:] else ""
            raise ValueError(f"{self.model}: expected scores (1, {num_classes}) of an image, got shape {shape}{hint}")
        return model.train()

    def build_callbacks(self) -> list[Callback]:
        """Those that the settings ask for."""
        asked = (self.clip_norm, ClipGradients), (self.ema_decay, EMA)
        callbacks: list[Callback] = [kind(value) for value, kind in asked if value is not None]
        return callbacks if self.patience is None else [*callbacks, EarlyStopping(patience=self.patience)]


class RecipeError(ValueError):
    """The settings are wrong; one line of the message for each that is."""


def read_recipe(path: Path, flags: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in the TOML file `path`.

    Args:
        flags: what the command line sets instead: keys of the recipe, or "lr", the optimizer's.

    Raises RecipeError, naming the file and every wrong key, or the flag.
    """
    if (kind := kind_of(path)) != "file":
        raise RecipeError(f"{path}: {'no such file' if kind == 'nothing' else f'expected a file, got a {kind}'}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: a TOMLDecodeError or a UnicodeDecodeError
        raise RecipeError(f"{path}: not a TOML file: {error}") from None
    flags = dict(flags or {})
    for key, value in flags.items():
        holder = table.get("optimizer") if key == "lr" else table
        if isinstance(holder, dict):
            holder[key] = value
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError("\n".join(_problem(path, flags, e) for e in error.errors())) from None


def _problem(path: Path, flags: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    """One line: where the wrong value stands, what was expected, what came."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    parts = [*map(str, error["loc"])]  # ("epochs",), ("augmentation", "flip") or ("optimizer", "sgd", "lr")
    known: type[Settings] = Augmentation if parts[:1] == ["augmentation"] else Recipe
    if len(parts) > 1 and parts[0] in ("optimizer", "scheduler"):
        known = VARIANTS[parts.pop(1)]
    key = ".".join(parts)
    flag = "lr" if key == "optimizer.lr" else key
    where = f"--{flag.replace('_', '-')}" if flag in flags else f"{path}: {key}" if key else str(path)
    match kind:
        case "missing":
            return f"{where} is missing"
        case "extra_forbidden":
            return f"{path}: unknown key {key} = {value!r}, expected one of {', '.join(known.model_fields)}"
        case "union_tag_not_found":
            return f"{where}.name is missing"
        case "union_tag_invalid":
            return f"{where}.name: expected one of {context['expected_tags']}, got {value['name']!r}"
        case "too_long":
            return f"{where}: expected {context['max_length']} values, got {[*value]!r}"
        case "model_attributes_type" | "model_type" | "dict_type":
            return f"{where}: expected a table, got {value!r}"
        case "value_error":
            return f"{where}: {context['error']}"
    return f"{where}: expected {error['msg'].removeprefix('Input should be ')}, got {value!r}"
