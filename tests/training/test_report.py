"""The picture: a valid PNG with something on it, whatever the run was like."""

import numpy as np
import pytest

import tinycnn
from tinycnn.data.arrays import ArrayDataset
from tinycnn.training.report import draw_pixel_report, draw_report, worst_mistakes


def a_run(N=60, epochs=3, classes="0123456789", right=False):
    generator = np.random.default_rng(0)
    targets = generator.integers(0, len(classes), N)
    test_set = ArrayDataset(generator.random((N, 1, 28, 28)), targets, classes=classes)
    probabilities = generator.dirichlet(np.ones(len(classes)), N)
    if right:
        probabilities = np.eye(len(classes))[targets]
    history = [
        {"epoch": e, "train_loss": 1 / e, "test_loss": 2 / e, "train_accuracy": 0.8, "test_accuracy": 0.9}
        for e in range(1, epochs + 1)
    ]
    return history, probabilities, test_set, generator.standard_normal((6, 1, 5, 5))


@pytest.mark.parametrize(
    "run",
    [
        a_run(),
        a_run(epochs=1),
        a_run(right=True),
        a_run(N=3),
        a_run(classes=("Ankle boot", "T-shirt/top", "Bag")),
    ],
    ids=["usual", "one epoch", "no mistakes", "few images", "long names"],
)
def test_the_picture_can_be_read_and_is_not_blank(tmp_path, run):
    from matplotlib.image import imread

    draw_report(tmp_path / "report.png", "Digits: test accuracy 90.00%", *run)
    picture = imread(tmp_path / "report.png")
    height, width = picture.shape[:2]
    assert width > height > 600
    for half in np.array_split(picture, 2):
        for quarter in np.array_split(half, 2, axis=1):
            assert quarter[..., :3].std() > 0.02


@pytest.mark.parametrize("N, C, right", [(9, 11, False), (2, 3, False), (9, 11, True), (7, 21, False)])
def test_the_picture_of_labelled_pixels(tmp_path, N, C, right):
    from matplotlib.image import imread

    generator = np.random.default_rng(0)
    labels = generator.integers(0, C, (2, N, 12, 20))
    predicted = labels[0] if right else labels[1]
    images = generator.standard_normal((N, 1, 12, 20)).astype(np.float32)
    history = [{"epoch": e, "train_loss": 1 / e, "test_loss": 2 / e} for e in (1, 2)]
    values = np.append(generator.random(C - 1), np.nan)  # of a class that does not occur
    arrays = map(tinycnn.from_numpy, (images, labels[0], predicted))
    draw_pixel_report(tmp_path / "report.png", "Digits", history, *arrays, values, [f"class {c}" for c in range(C)])
    picture = imread(tmp_path / "report.png")[..., :3]
    height, width = picture.shape[:2]
    assert width > height > 600
    for part in np.array_split(picture, 2, axis=1):
        assert part.std() > 0.02
    red = (np.abs(picture - np.array([0xC6, 0x28, 0x28]) / 255).max(2) < 0.01)[-height // 4 :, : width // 4]
    assert red.any() != right  # the mistakes


def test_the_worst_mistakes_are_the_surest_ones():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    targets = np.array([0, 1, 0, 0])
    assert worst_mistakes(probabilities, targets, 2).tolist() == [2, 3]
    assert worst_mistakes(probabilities, targets, 9).tolist() == [2, 3, 1]
