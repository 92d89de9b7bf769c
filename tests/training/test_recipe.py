"""Settings: every file in configs/ is right, and what is wrong in one is named."""

from pathlib import Path

import pytest
from recipe import REPOSITORY, Adam, RecipeError, Step, read_recipe

from tinycnn import optim, tensor

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


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_the_configs_are_right(path):
    recipe = read_recipe(path)
    assert path.stem.endswith(recipe.dataset)


def test_a_config_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_recipe(Path("configs/lenet_mnist.toml")).dataset == "mnist"


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
        ('"digits"', '"cifar"', "FILE: dataset: expected 'mnist', 'fashion_mnist' or 'digits', got 'cifar'"),
        ("lr = 0.1", "lr = -0.1", "FILE: optimizer.lr: expected greater than 0, got -0.1"),
        ("lr = 0.1", "lr = nan", "FILE: optimizer.lr: expected a finite number, got nan"),
        ("lr = 0.1", 'lr = "0.1"', "FILE: optimizer.lr: expected a valid number, got '0.1'"),
        ("lr = 0.1", "lr = 1\nmomentum = 1.0", "FILE: optimizer.momentum: expected less than 1, got 1.0"),
        ("lr = 0.1", "lr = 1\nnesterov = true",
         "FILE: optimizer: expected momentum above 0 with nesterov = true"),
        ('name = "sgd"\n', "", "FILE: optimizer.name is missing"),
        ('"sgd"', '"sdg"', "FILE: optimizer.name: expected one of 'sgd', 'adam', 'adamw', got 'sdg'"),
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
        "FILE: unknown key optimizer.momentun = 0.9, "
        "expected one of name, lr, momentum, weight_decay, nesterov"
    )
    assert of_recipe.startswith("FILE: unknown key epoch = 4, expected one of dataset, model, epochs, ")


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


@pytest.mark.parametrize("name, kind", [("adam", optim.Adam), ("adamw", optim.AdamW)])
def test_adam_and_adamw(name, kind):
    optimizer = Adam(name=name, lr=0.25, weight_decay=0.125).build(weights())
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
