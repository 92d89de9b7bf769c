"""Runs, trained once for all tests of this folder by `tinycnn train`, and photographs of digits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def tinycnn(*words, cwd, **options):
    """Runs the command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tinycnn.cli", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, **options)


def trained(folder, *options):
    done = tinycnn("train", *options, "--out", folder, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """LeNet on the embedded digits: about 90 % or more."""
    settings = REPOSITORY / "configs" / "lenet_digits.toml"
    return trained(tmp_path_factory.mktemp("runs") / "digits", settings, "--epochs", "5")


@pytest.fixture(scope="session")
def other_run(digits_run):
    """The same with another learning rate, for one epoch."""
    settings = REPOSITORY / "configs" / "lenet_digits.toml"
    return trained(digits_run.parent / "<b>$x_&", settings, "--epochs", "1", "--lr", "0.01")


@pytest.fixture(scope="session")
def mnist_run(tmp_path_factory, mnist_root):
    """LeNet on the real MNIST for an epoch: about 98 %."""
    settings = REPOSITORY / "configs" / "lenet_mnist.toml"
    folder = tmp_path_factory.mktemp("runs") / "mnist"
    return trained(folder, settings, "--epochs", "1", "--data-root", mnist_root)


def photograph(digit, generator, size=(400, 600), share=None):
    """A digit (28, 28) of ink, as if photographed: blue on cream paper, lit from a side, turned, off-centre, noisy.

    It has a `share` of the width, or one that is drawn.
    """
    from PIL import Image

    W, H = size
    side = int((share or generator.uniform(0.25, 0.6)) * W)
    ink = Image.fromarray((digit * 255).astype(np.uint8)).resize((side, side), Image.BICUBIC)
    ink = ink.rotate(generator.uniform(-8, 8), Image.BICUBIC)
    page = Image.new("L", size)
    page.paste(ink, (int(generator.integers(0, W - side)), int(generator.integers(0, H - side))))
    covered = np.asarray(page, float)[..., None] / 255
    y, x = np.mgrid[:H, :W] / np.array([H, W]).reshape(2, 1, 1) - 0.5
    angle = generator.uniform(0, 2 * np.pi)
    light = 200 + 70 * (x * np.cos(angle) + y * np.sin(angle)) - 30 * (x * x + y * y)
    colours = light[..., None] * [1, 0.97, 0.9] * (1 - covered) + np.array([35, 40, 90]) * covered
    colours += generator.normal(0, 7, (H, W, 1)) + generator.normal(0, 3, (H, W, 3))
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8))
