"""Settings: every file in configs/ is right, and what is wrong in one is named."""

from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, optim, tensor
from tinycnn.models import LeNet5, model_for
from tinycnn.optim import lr_scheduler
from tinycnn.training import EMA, ClipGradients, EarlyStopping
from tinycnn.training.recipe import Adam, Augmentation, Lion, Recipe, RecipeError, Step, read_recipe

REPOSITORY = Path(__file__).resolve().parents[2]

GOOD = """
dataset = "digits"
model = "lenet5"
epochs = 3
batch_size = 64
[optimizer]
name = "sgd"
lr = 0.1
[scheduler]
name = "none"
"""


@pytest.fixture
def write(tmp_path):
    def write_recipe(*replacements: tuple[str, str], more: str = "") -> Path:
        text = GOOD
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "settings.toml"
        path.write_text(text + more, encoding="utf-8")
        return path

    return write_recipe


def problems(path, flags=None):
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, flags)
    return str(caught.value).replace(str(path), "FILE").splitlines()


LARGE = "vgg11_cifar10", "resnet18_cifar10", "mobilenet_v2_cifar10"  # seconds to make them
CONFIGS = [
    pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in LARGE else ())
    for path in sorted((REPOSITORY / "configs").glob("*.toml"))
]


@pytest.mark.parametrize("path", CONFIGS)
def test_the_configs_are_right(path):
    recipe = read_recipe(path)
    assert path.stem.endswith(recipe.dataset)
    image_shape = {"cifar10": (3, 32, 32), "digits": (1, 32, 32)}.get(recipe.dataset, (1, 28, 28))
    if recipe.model == "unet":  # which labels pixels
        model, shape = model_for(recipe.model, image_shape, 10, **recipe.model_options), (2, 10, *image_shape[1:])
    else:
        model, shape = recipe.build_model(image_shape, 10), (2, 10)
    optimizer = recipe.optimizer.build(model.parameters())
    recipe.scheduler.build(optimizer, recipe.epochs, batches=3)
    augment = recipe.augmentation.build(image_shape[1:], 0.0)
    images = tinycnn.rand(2, *image_shape)
    assert model.eval()(images if augment is None else augment(images)).shape == shape
    # The settings of a run are read from its checkpoint.
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_flags_override_the_file(write):
    recipe = read_recipe(write(), {"epochs": 7, "lr": 0.5, "seed": 3})
    assert (recipe.epochs, recipe.optimizer.lr, recipe.seed, recipe.batch_size) == (7, 0.5, 3, 64)


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("epochs = 3", 'epochs = "3"', "FILE: epochs: expected a valid integer, got '3'"),
        ("epochs = 3", "epochs = 3.0", "FILE: epochs: expected a valid integer, got 3.0"),
        ("epochs = 3", "epochs = true", "FILE: epochs: expected a valid integer, got True"),
        ("epochs = 3", "epochs = 0", "FILE: epochs: expected greater than or equal to 1, got 0"),
        ("epochs = 3\n", "", "FILE: epochs is missing"),
        ('"digits"', '"cifar"',
         "FILE: dataset: expected 'mnist', 'fashion_mnist', 'kmnist', 'qmnist', 'emnist', 'cifar10', 'cifar100', "
         "'svhn', 'digits' or 'folder', got 'cifar'"),
        ('"digits"', '"folder"', 'FILE: expected image_size with dataset = "folder", and with no other'),
        ("epochs = 3", "epochs = 3\nimage_size = 32",
         'FILE: expected image_size with dataset = "folder", and with no other'),
        ("epochs = 3", "epochs = 3\nmodel_options = 3", "FILE: model_options: expected a table, got 3"),
        ("epochs = 3", "epochs = 3\naccumulate = 0", "FILE: accumulate: expected greater than or equal to 1, got 0"),
        ("epochs = 3", "epochs = 3\nema_decay = 1.0", "FILE: ema_decay: expected less than 1, got 1.0"),
        ("epochs = 3", "epochs = 3\npatience = 3.5", "FILE: patience: expected a valid integer, got 3.5"),
        ("epochs = 3", "epochs = 3\nclip_norm = 0", "FILE: clip_norm: expected greater than 0, got 0"),
        ("epochs = 3", "epochs = 3\naugmentation = 3", "FILE: augmentation: expected a table, got 3"),
        ("lr = 0.1", "lr = -0.1", "FILE: optimizer.lr: expected greater than 0, got -0.1"),
        ("lr = 0.1", "lr = nan", "FILE: optimizer.lr: expected a finite number, got nan"),
        ("lr = 0.1", 'lr = "0.1"', "FILE: optimizer.lr: expected a valid number, got '0.1'"),
        ("lr = 0.1", "lr = 1\nmomentum = 1.0", "FILE: optimizer.momentum: expected less than 1, got 1.0"),
        ("lr = 0.1", "lr = 1\nnesterov = true",
         "FILE: optimizer: expected momentum above 0 with nesterov = true"),
        ('name = "sgd"\n', "", "FILE: optimizer.name is missing"),
        ('"sgd"', '"sdg"', "FILE: optimizer.name: expected one of 'sgd', 'adam', 'adamw', 'nadam', 'lion', got 'sdg'"),
        ('[scheduler]\nname = "none"', "", "FILE: scheduler is missing"),
        ("epochs = 3", "scheduler = 3", "FILE: epochs is missing|FILE: scheduler: expected a table, got 3"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(write, old, new, problem):
    replacements = [(old, new)]
    if new == "scheduler = 3":
        replacements.append(('[scheduler]\nname = "none"', ""))
    assert problems(write(*replacements)) == problem.split("|")


def test_unknown_keys_are_named_with_those_there_are(write):
    path = write(("epochs = 3", "epochs = 3\nepoch = 4"), ("lr = 0.1", "lr = 0.1\nmomentun = 0.9"))
    of_optimizer, of_recipe = problems(path)
    assert of_optimizer == (
        "FILE: unknown key optimizer.momentun = 0.9, expected one of name, lr, momentum, weight_decay, nesterov"
    )
    assert of_recipe.startswith("FILE: unknown key epoch = 4, expected one of dataset, image_size, model, ")


def test_an_option_of_another_variant_is_unknown(write):
    (problem,) = problems(write(more="pct_start = 0.5\n"))
    assert problem == "FILE: unknown key scheduler.pct_start = 0.5, expected one of name"


def test_a_wrong_flag_is_named_as_the_flag_it_is(write):
    assert problems(write(), {"lr": -1.0, "batch_size": 0}) == [
        "--batch-size: expected greater than or equal to 1, got 0",
        "--lr: expected greater than 0, got -1.0",
    ]


def test_no_file_and_no_toml(tmp_path):
    assert problems(tmp_path / "none.toml") == ["FILE: no such file"]
    for content in (b"epochs = ", b"\xff\xfe\x00", b"a=" + b"[" * 100_000):
        path = tmp_path / "broken.toml"
        path.write_bytes(content)
        (problem,) = problems(path)
        assert problem.startswith("FILE: not a TOML file: ")


def weights():
    return [tensor([1.0, 2.0], requires_grad=True)]


@pytest.mark.parametrize(
    "name, kind", [("adam", optim.Adam), ("adamw", optim.AdamW), ("nadam", optim.NAdam), ("lion", optim.Lion)]
)
def test_optimizers_by_their_names(name, kind):
    settings = (Lion if name == "lion" else Adam)(name=name, lr=0.25, weight_decay=0.125)
    optimizer = settings.build(weights())
    assert type(optimizer) is kind
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (0.25, 0.125)


def test_step_counts_in_epochs():
    optimizer = Adam(name="adam", lr=1.0).build(weights())
    scheduler = Step(name="step", epochs=2, gamma=0.5).build(optimizer, epochs=5, batches=3)
    rates = []
    for _ in range(15):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == [1.0] * 6 + [0.5] * 6 + [0.25] * 3


@pytest.mark.parametrize("variant", ["none", "onecycle", "cosine"])
@pytest.mark.parametrize("epochs, batches", [(1, 1), (3, 5)])
def test_schedules_last_for_the_whole_training(write, variant, epochs, batches):
    recipe = read_recipe(write(('"none"', f'"{variant}"')))
    optimizer = recipe.optimizer.build(weights())
    scheduler = recipe.scheduler.build(optimizer, epochs, batches)
    rates = []
    for _ in range(epochs * batches):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert all(0 < rate <= 0.1 + 1e-12 for rate in rates)
    if variant == "none":
        assert rates == [0.1] * len(rates)
    elif len(rates) > 1:
        assert rates[-1] < 0.01
        assert max(rates) > 0.09


# --- the net ------------------------------------------------------------------------------------------------


def recipe_with(write, line):
    return read_recipe(write(("epochs = 3", f"epochs = 3\n{line}")))


@pytest.mark.parametrize(
    "model, options, image_shape",
    [("lenet5", {}, (1, 28, 28)), ("lenet5", {}, (1, 32, 32)), ("resnet20", {}, (3, 32, 32)),
     ("mobilenet_v2", {"width_mult": 0.25}, (3, 32, 32))],
)  # fmt: skip
def test_nets_by_their_names(write, model, options, image_shape):
    recipe = read_recipe(write(('"lenet5"', f'"{model}"')), {"model_options": options})
    net = recipe.build_model(image_shape, 7)
    assert net.eval()(tinycnn.zeros(1, *image_shape)).shape == (1, 7)


def test_a_net_that_there_is_not_or_that_cannot_take_the_images(write):
    recipe = read_recipe(write(('"lenet5"', '"lenet55"')))
    with pytest.raises(ValueError, match="^models: there is no net 'lenet55'; the nearest are lenet5, "):
        recipe.build_model((1, 28, 28), 10)
    with pytest.raises(ValueError, match="^LeNet5: expected image_size 28 or 32, got 7$"):
        read_recipe(write()).build_model((1, 7, 7), 10)
    recipe = read_recipe(write(('"lenet5"', '"unet"')), {"model_options": {"width": 2, "depth": 1}})
    hint = "examples/segmentation.py trains nets that label pixels"
    with pytest.raises(ValueError, match=rf"^unet: expected scores \(1, 10\) .* shape \(1, 10, 28, 24\); {hint}$"):
        recipe.build_model((1, 28, 24), 10)
    recipe = read_recipe(write(), {"model_options": {"width": 3}})
    with pytest.raises(ValueError, match="^model_for: lenet5 has no option 'width'"):
        recipe.build_model((1, 28, 28), 10)


def test_callbacks_that_are_asked_for(write):
    assert read_recipe(write()).build_callbacks() == []
    asked = "clip_norm = 2\nema_decay = 0.5\npatience = 0"
    clip, average, stop = recipe_with(write, asked).build_callbacks()
    assert isinstance(clip, ClipGradients)
    assert isinstance(average, EMA)
    assert isinstance(stop, EarlyStopping)
    assert (clip.max_norm, average.decay, stop.patience, stop.monitor) == (2, 0.5, 0, "test_loss")


# --- the augmentation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, problem",
    [
        ("shift = -1", "augmentation.shift: expected greater than or equal to 0, got -1"),
        ("shift = 1.5", "augmentation.shift: expected a valid integer, got 1.5"),
        ("flip = 1", "augmentation.flip: expected a valid boolean, got 1"),
        ("degrees = 200", "augmentation.degrees: expected less than or equal to 180, got 200"),
        ("mixup = -0.2", "augmentation.mixup: expected greater than or equal to 0, got -0.2"),
        ("mixup = inf", "augmentation.mixup: expected a finite number, got inf"),
        ("scale = 3", "augmentation.scale: expected a valid tuple, got 3"),
        ("scale = [0.5]", "augmentation.scale.1 is missing"),
        ("scale = [0.5, 0.9, 3.0]", "augmentation.scale: expected 2 values, got [0.5, 0.9, 3.0]"),
        ("scale = [0.0, 0.9]", "augmentation.scale.0: expected greater than 0, got 0.0"),
        ("scale = [0.9, 'a']", "augmentation.scale.1: expected a valid number, got 'a'"),
        ("scale = [1.1, 0.9]", "augmentation: expected scale as the least and the largest, got [1.1, 0.9]"),
        ("shfit = 2", "unknown key augmentation.shfit = 2, expected one of shift, crop, flip, degrees, scale, cutout, "
         "mixup"),
    ],
)  # fmt: skip
def test_a_wrong_augmentation_is_named(write, line, problem):
    assert problems(write(more=f"[augmentation]\n{line}\n")) == [f"FILE: {problem}"]


def augmented(write, lines, images, background=0.0):
    augmentation = read_recipe(write(more=f"[augmentation]\n{lines}\n")).augmentation
    tinycnn.manual_seed(0)
    return augmentation.build(images.shape[2:], background)(images).numpy()


def test_without_augmentation_there_is_nothing_to_do(write):
    assert read_recipe(write()).augmentation.build((28, 28), 0.0) is None
    assert read_recipe(write()).augmentation.build_mix(10) is None
    zeros = Augmentation(shift=0, crop=0, flip=False, degrees=0.0, scale=None, cutout=0, mixup=0.0)
    assert (zeros.build((28, 28), 0.0), zeros.build_mix(10)) == (None, None)


def dots(N=200):
    """Images (N, 1, 9, 9) with one bright pixel, above and left of the middle."""
    images = np.zeros((N, 1, 9, 9), np.float32)
    images[:, :, 3, 2] = 1
    return tensor(images)


@pytest.mark.parametrize("lines", ["shift = 2", "crop = 2"])
def test_shifts_and_crops_move_the_image(write, lines):
    moved = augmented(write, lines, dots())
    where = np.argwhere(moved == 1)
    assert len(where) == 200
    assert set(where[:, 2]) == {1, 2, 3, 4, 5}
    assert set(where[:, 3]) == {0, 1, 2, 3, 4}


def test_the_background_fills_what_is_uncovered(write):
    for lines in ("shift = 2", "crop = 2"):
        moved = augmented(write, lines, tinycnn.full((50, 1, 9, 9), -0.25), background=-0.25)
        np.testing.assert_allclose(moved, -0.25, rtol=1e-6)


def test_half_of_the_images_are_flipped(write):
    flipped = augmented(write, "flip = true", dots())
    assert set(np.argwhere(flipped == 1)[:, 3]) == {2, 6}
    assert 60 < (flipped[:, 0, 3, 6] == 1).sum() < 140


@pytest.mark.parametrize("lines", ["degrees = 30.0", "scale = [0.5, 0.6]", "degrees = 5\nscale = [0.9, 1]"])
def test_turned_and_scaled(write, lines):
    images = tensor(np.random.default_rng(0).random((20, 3, 9, 9)).astype(np.float32))
    turned = augmented(write, lines, images)
    assert turned.shape == images.shape
    assert all((turned[i] != images.numpy()[i]).any() for i in range(20))


def test_cutout(write):
    cut = augmented(write, "cutout = 3", tinycnn.ones(50, 1, 9, 9))
    holes = (cut == 0).sum((1, 2, 3))
    assert set(holes) <= {4, 6, 9}
    assert 9 in holes


def test_mixup(write):
    mix = read_recipe(write(more="[augmentation]\nmixup = 0.4\n")).augmentation.build_mix(10)
    images, targets = mix(tinycnn.rand(4, 1, 9, 9), tensor([0, 1, 2, 9]))
    assert (images.shape, targets.shape) == ((4, 1, 9, 9), (4, 10))
    np.testing.assert_allclose(targets.numpy().sum(1), 1, rtol=1e-6)


def test_all_at_once_in_the_order_of_the_table(write):
    lines = "mixup = 0.2\ncutout = 3\nscale = [0.9, 1.1]\ndegrees = 3\nflip = true\ncrop = 2\nshift = 2"
    augmentation = read_recipe(write(more=f"[augmentation]\n{lines}\n")).augmentation
    names = [type(step).__name__ for step in augmentation.build((9, 9), 0.0).transforms]
    assert names == ["RandomShift", "RandomCrop", "RandomHorizontalFlip", "RandomAffine", "Cutout"]


def test_schedules_by_their_names(write):
    """Each schedule is stepped after each batch."""
    for name in ("none", "onecycle", "cosine", "step"):
        lines = f'[scheduler]\nname = "{name}"' + ("\nepochs = 1" if name == "step" else "")
        recipe = read_recipe(write(('[scheduler]\nname = "none"', lines)))
        built = recipe.scheduler.build(recipe.optimizer.build(nn.Linear(2, 2).parameters()), 3, 5)
        assert isinstance(built, lr_scheduler.LRScheduler)
    assert isinstance(read_recipe(write()).build_model((1, 28, 28), 10), LeNet5)
