"""Transforms of whole batches: what is drawn, that each image is what the function of one picture makes of it, and
mixtures of images."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.layouts import LAYOUTS
from tinycnn.data import transforms as T
from tinycnn.data.transforms import functional as F
from tinycnn.data.transforms import v2
from tinycnn.nn.functional import cross_entropy

RNG = np.random.default_rng(0)
BILINEAR = T.InterpolationMode.BILINEAR

BATCHES = [
    T.RandomCrop(6, padding=2), T.RandomCrop((5, 13), pad_if_needed=True), T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(0.3), T.RandomRotation(40), T.RandomAffine(30, (0.2, 0.1), (0.8, 1.2), 10, BILINEAR),
    T.RandomErasing(0.8), T.RandomErasing(1.0, value="random"), T.Cutout(5), T.RandomShift(2),
]  # fmt: skip


def name_of(transform):
    return type(transform).__name__


def places(H, W, N):
    """N images (1, H, W), of which each pixel is its own number from 1 on."""
    return np.broadcast_to(np.arange(1, H * W + 1, dtype=np.float32).reshape(1, 1, H, W), (N, 1, H, W))


def assert_equally_often(counts, total):
    """Within five standard deviations."""
    expected = total / len(counts)
    assert np.abs(np.array(counts) - expected).max() < 5 * math.sqrt(expected)


# --- what all do --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("transform", BATCHES, ids=name_of)
def test_arrays_and_tensors_in_any_memory_order(transform, layout):
    x = RNG.random((6, 2, 9, 10), np.float32)
    tinycnn.manual_seed(3)
    expected = transform(x)
    tinycnn.manual_seed(3)
    tensor = transform(tinycnn.from_numpy(LAYOUTS[layout](x)))
    assert isinstance(expected, np.ndarray)
    np.testing.assert_array_equal(tensor.numpy(), expected)
    assert len({each.tobytes() for each in expected}) == 6
    again = transform(LAYOUTS[layout](x))
    assert not np.array_equal(again, expected)


@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "int64"])
@pytest.mark.parametrize("transform", BATCHES, ids=name_of)
def test_other_dtypes(transform, dtype):
    x = RNG.uniform(1, 100, (5, 3, 9, 10)).astype(dtype)
    before = x.copy()
    assert transform(x).dtype == x.dtype
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("transform", BATCHES, ids=name_of)
def test_further_dimensions_count_images(transform):
    x = RNG.random((2, 3, 2, 9, 10), np.float32)
    tinycnn.manual_seed(1)
    found = transform(tinycnn.tensor(x))
    tinycnn.manual_seed(1)
    expected = transform(x.reshape(6, 2, 9, 10))
    np.testing.assert_array_equal(found.numpy(), expected.reshape(2, 3, *expected.shape[1:]))


@pytest.mark.parametrize("transform", BATCHES, ids=name_of)
def test_results_are_detached(transform):
    x = tinycnn.ones(2, 3, 9, 10, requires_grad=True)
    assert not transform(x).requires_grad


@pytest.mark.parametrize("transform", BATCHES[2:], ids=name_of)
def test_no_images(transform):
    assert transform(np.zeros((0, 3, 9, 10), np.float32)).shape == (0, 3, 9, 10)


def test_a_pipeline_of_a_data_set_draws_for_each_image():
    images = np.broadcast_to(RNG.integers(0, 256, (9, 10), np.uint8), (40, 9, 10))
    steps = [T.ToTensor(), T.RandomCrop(8), T.RandomHorizontalFlip(), T.RandomErasing(0.5)]
    dataset = tinycnn.data.pictures.PictureDataset(images, np.zeros(40, int), "a", T.Compose(steps))
    batch, _ = dataset.__getitems__(list(range(40)))
    assert batch.shape == (40, 1, 8, 8)
    assert len({one.tobytes() for one in batch.numpy()}) > 20


def test_rotations_that_expand_are_made_one_by_one():
    images = RNG.integers(0, 256, (3, 6, 8), np.uint8)
    transform = T.Compose([T.ToTensor(), T.RandomRotation((90, 90), expand=True)])
    dataset = tinycnn.data.pictures.PictureDataset(images, np.zeros(3, int), "a", transform)
    found = [image.numpy() for image, _ in dataset.__getitems__([0, 1, 2])]
    np.testing.assert_allclose(found, np.rot90(images[:, None] / 255, axes=(2, 3)), atol=1e-6)
    batch = (images[:, None] / 255).astype(np.float32)
    np.testing.assert_array_equal(T.RandomRotation((90, 90), expand=True)(batch), found)


# --- crops and flips ----------------------------------------------------------------------------------------------


def test_every_place_of_a_crop_is_as_likely():
    tinycnn.manual_seed(0)
    first = T.RandomCrop((4, 3))(places(6, 7, 15000))[:, 0, 0, 0].astype(int) - 1
    found, counts = np.unique(first, return_counts=True)
    assert found.tolist() == [7 * top + left for top in range(3) for left in range(5)]
    assert_equally_often(counts, 15000)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("padding", [3, (1, 2), (1, 2, 3, 0)])
def test_crops_are_of_the_padded_image(padding, mode):
    x = RNG.random((30, 2, 5, 6), np.float32)
    fill = 0.5 if mode == "constant" else 0
    padded = F.pad(x, padding, fill, mode)
    found = T.RandomCrop((4, 5), padding, fill=fill, padding_mode=mode)(x)
    starts = set()
    for one, image in zip(found, padded):
        windows = np.lib.stride_tricks.sliding_window_view(image, (4, 5), axis=(1, 2))
        same = (windows == one[:, None, None]).all(axis=(0, 3, 4))
        starts.add(tuple(np.argwhere(same)[0].tolist()))
    assert len(starts) > 3


def test_crops_pad_where_it_is_needed():
    x = RNG.random((4, 2, 5, 6), np.float32)
    found = T.RandomCrop((9, 4), pad_if_needed=True, fill=(2, 3))(x)
    assert found.shape == (4, 2, 9, 4)
    border = [(found[:, c] == fill).all(axis=2).sum(axis=1) for c, fill in enumerate((2, 3))]
    np.testing.assert_array_equal(border, np.full((2, 4), 4))  # four rows of each image


@pytest.mark.parametrize("transform, flip", [(T.RandomHorizontalFlip, F.hflip), (T.RandomVerticalFlip, F.vflip)])
def test_flips_with_their_probability(transform, flip):
    tinycnn.manual_seed(0)
    x = RNG.random((4000, 1, 3, 4), np.float32)
    found = transform(0.3)(x)
    flipped = (found == flip(x)).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(found[~flipped], x[~flipped])
    assert abs(flipped.mean() - 0.3) < 5 * math.sqrt(0.21 / 4000)
    np.testing.assert_array_equal(transform(0.0)(x), x)
    np.testing.assert_array_equal(transform(1.0)(x), flip(x))


# --- affine maps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", [T.InterpolationMode.NEAREST, BILINEAR])
@pytest.mark.parametrize("size", [(9, 12), (8, 8), (7, 5), (1, 6)])
def test_affine_maps_are_those_of_one_picture(size, interpolation):
    """With ranges of one value; `functional.affine` and `rotate` are compared with torchvision."""
    x = RNG.random((3, 2, *size), np.float32)
    fill, center = [0.25, 2.0], [2, 3]
    found = T.RandomAffine((25, 25), None, (1.2, 1.2), (10, 10, -5, -5), interpolation, fill, center)(x)
    expected = F.affine(x, 25, [0, 0], 1.2, [10, -5], interpolation, fill, center)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    found = T.RandomRotation((-70, -70), interpolation, fill=fill)(x)
    np.testing.assert_allclose(found, F.rotate(x, -70, interpolation, fill=fill), rtol=1e-5, atol=1e-5)


def test_moves_are_drawn_within_their_limits():
    tinycnn.manual_seed(0)
    x = np.zeros((4000, 1, 9, 11), np.float32)
    x[:, 0, 4, 5] = 1
    found = T.RandomAffine(0, (0.2, 0.3))(x)  # up to 2.2 and 2.7 pixels, rounded
    _, rows, columns = np.nonzero(found[:, 0])
    assert len(rows) == 4000
    down, right = np.bincount(rows - 1, minlength=7) / 4000, np.bincount(columns - 3, minlength=5) / 4000
    of_down = np.array([0.2, 1, 1, 1, 1, 1, 0.2]) / 5.4
    of_right = np.array([0.7, 1, 1, 1, 0.7]) / 4.4
    assert np.abs(down - of_down).max() < 0.04
    assert np.abs(right - of_right).max() < 0.04


def test_angles_are_drawn_within_their_limits():
    """A bright pixel to the right of the middle tells the angle, and how far it is the scale."""
    tinycnn.manual_seed(0)
    x = np.zeros((600, 1, 41, 41), np.float32)
    x[:, 0, 20, 34:37] = 1
    found = T.RandomAffine((20, 50), scale=(0.7, 1.3))(x)[:, 0]
    rows, columns = np.mgrid[-20:21, -20:21]
    mass = found.sum(axis=(1, 2))
    assert (mass > 0).all()
    down, right = (found * rows).sum(axis=(1, 2)) / mass, (found * columns).sum(axis=(1, 2)) / mass
    angles, distances = np.degrees(np.arctan2(down, right)), np.hypot(down, right) / 15
    for values, low, high in ((angles, 20, 50), (distances, 0.7, 1.3)):
        slack = 0.08 * (high - low)
        assert low - slack < values.min() < low + slack
        assert high - slack < values.max() < high + slack
        assert_equally_often(np.histogram(values, 3, (low, high))[0], 600)


# --- erasing ------------------------------------------------------------------------------------------------------


def test_erased_rectangles():
    tinycnn.manual_seed(0)
    found = T.RandomErasing(0.7, (0.1, 0.3), (0.5, 2.0), value=[-1, -2])(np.ones((3000, 2, 20, 30), np.float32))
    erased = found[:, 0] < 0
    np.testing.assert_array_equal(found[:, 1] == -2, erased)
    changed = erased.any(axis=(1, 2))
    assert abs(changed.mean() - 0.7) < 5 * math.sqrt(0.21 / 3000)
    rows, columns = erased[changed].any(axis=2), erased[changed].any(axis=1)
    heights, widths = rows.sum(axis=1), columns.sum(axis=1)
    np.testing.assert_array_equal(heights * widths, erased[changed].sum(axis=(1, 2)))  # whole rectangles
    areas, ratios = heights * widths / 600, heights / widths
    assert 0.08 < areas.min() < 0.12 < 0.28 < areas.max() < 0.33
    assert 0.4 < ratios.min() < 0.6 < 1.7 < ratios.max() < 2.5
    tops, lefts = rows.argmax(axis=1), columns.argmax(axis=1)
    assert tops.min() == lefts.min() == 0
    assert ((tops + heights).max(), (lefts + widths).max()) == (20, 30)
    assert abs(np.log(ratios).mean()) < 0.06


def test_erased_with_noise():
    tinycnn.manual_seed(0)
    found = T.RandomErasing(1.0, (0.2, 0.3), value="random")(np.full((300, 3, 20, 20), 9, np.float32))
    noise = found[found != 9]
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02


@pytest.mark.parametrize("lib", [np.array, tinycnn.tensor])
def test_erasing_in_place(lib):
    x = lib(np.ones((8, 1, 9, 9), np.float32))
    assert T.RandomErasing(1.0, inplace=True)(x) is x
    assert not np.asarray(x).all()


@pytest.mark.parametrize("edge", [4, 5, 1, 40])
def test_cutout(edge):
    """Squares about every pixel, as often; what hangs over the edge is cut off. `get_params` draws the same."""
    tinycnn.manual_seed(0)
    H, W, N = 7, 9, 8000
    found = T.Cutout(edge, fill=(-1, 5))(np.ones((N, 2, H, W), np.float32))
    erased = found[:, 0] == -1
    np.testing.assert_array_equal(found[:, 1] == 5, erased)
    expected = np.zeros((H, W, H, W), bool)  # by the middle
    for i, j in np.ndindex(H, W):
        top, left = i - edge // 2, j - edge // 2
        expected[i, j, max(top, 0) : top + edge, max(left, 0) : left + edge] = True
    _, which, counts = np.unique(expected.reshape(H * W, -1), axis=0, return_inverse=True, return_counts=True)
    drawn = {one.tobytes(): 0 for one in expected.reshape(-1, H, W)}
    for one in erased:
        drawn[one.tobytes()] += 1
    share = {one.tobytes(): counts[k] / (H * W) for one, k in zip(expected.reshape(-1, H, W), which.ravel())}
    for one, count in drawn.items():
        assert abs(count / N - share[one]) <= 5 * math.sqrt(share[one] * (1 - share[one]) / N)
    singles = {T.Cutout(edge, fill=-1)(np.ones((1, H, W), np.float32))[0].__lt__(0).tobytes() for _ in range(2000)}
    assert singles == set(drawn)


# --- mixtures -----------------------------------------------------------------------------------------------------


def test_mixup():
    tinycnn.manual_seed(0)
    x, labels = tinycnn.tensor(RNG.random((4, 2, 5, 6))), tinycnn.tensor([0, 2, 1, 1])
    images, classes = v2.MixUp(alpha=0.5, num_classes=3)(x, labels)
    share = classes[1, 2].item()
    assert 0 < share < 1
    before, own = np.eye(3)[[1, 0, 2, 1]], np.eye(3)[[0, 2, 1, 1]]
    np.testing.assert_allclose(classes.numpy(), share * own + (1 - share) * before, atol=1e-6)
    rolled = x.numpy()[[3, 0, 1, 2]]
    np.testing.assert_allclose(images.numpy(), share * x.numpy() + (1 - share) * rolled, atol=1e-6)
    assert (images.dtype, classes.dtype) == (np.float64, np.float32)
    assert np.isfinite(cross_entropy(tinycnn.zeros(4, 3), classes).item())


def test_cutmix():
    tinycnn.manual_seed(1)
    transform, shares = v2.CutMix(num_classes=4), []
    x = np.broadcast_to(np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1), (4, 2, 7, 9))
    for _ in range(50):
        images, classes = transform(tinycnn.from_numpy(x), tinycnn.arange(4))
        for n, (image, probabilities) in enumerate(zip(images.numpy(), classes.numpy())):
            assert set(np.unique(image)) <= {n, (n - 1) % 4}
            assert abs(probabilities[n] - (image == n).mean()) < 1e-6
            assert abs(probabilities.sum() - 1) < 1e-6
            rows, columns = (image[0] != n).any(axis=1), (image[0] != n).any(axis=0)
            assert rows.sum() * columns.sum() == (image[0] != n).sum()  # one rectangle
        shares.append(classes[0, 0].item())
    assert min(shares) < 0.4 < 0.9 < max(shares)


@pytest.mark.parametrize("transform", [v2.MixUp, v2.CutMix])
def test_mixtures_of_probabilities(transform):
    x, labels = tinycnn.rand(3, 1, 4, 4), tinycnn.tensor(RNG.dirichlet([1, 1], 3).astype(np.float64))
    _, classes = transform()(x, labels)
    np.testing.assert_allclose(classes.sum(1).numpy(), np.ones(3))
    assert classes.dtype == np.float64
    transform(num_classes=2)(x, labels)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_share_of_a_mixture_is_beta(alpha):
    tinycnn.manual_seed(0)
    transform, x = v2.MixUp(alpha=alpha, num_classes=2), tinycnn.zeros(2, 1, 1, 1)
    shares = np.array([transform(x, tinycnn.tensor([0, 1]))[1][0, 0].item() for _ in range(2000)])
    assert abs(shares.mean() - 0.5) < 0.05
    assert abs(shares.var() - 1 / (4 * (2 * alpha + 1))) < 0.01  # that of Beta(α, α)


# --- refusals -----------------------------------------------------------------------------------------------------

X, LABELS = tinycnn.ones(2, 3, 5, 6), tinycnn.tensor([0, 1])


@pytest.mark.parametrize("call, error, message", [
    (lambda: T.RandomCrop(9)(X), ValueError, "RandomCrop: expected a picture of at least (9, 9), got (5, 6)"),
    (lambda: T.RandomCrop(4, fill=(1, 2))(X), ValueError,
     "RandomCrop: expected fill to be a number or of shape (3, 1, 1), got shape (2,)"),
    (lambda: T.RandomCrop(4, padding=-1)(X), ValueError,
     "RandomCrop: expected padding of at least 0 for padding_mode 'constant', got [-1, -1, -1, -1]"),
    (lambda: T.RandomAffine(10, interpolation=T.InterpolationMode.BICUBIC)(X), ValueError,
     "RandomAffine: expected a Tensor with nearest or bilinear interpolation, got bicubic"),
    (lambda: T.RandomAffine(10, scale=(0, 1)), ValueError, "RandomAffine: expected scale above 0, got (0, 1)"),
    (lambda: T.RandomErasing(scale=(0.5, 2)), ValueError, "RandomErasing: expected scale from 0 to 1, got (0.5, 2)"),
    (lambda: T.RandomErasing(ratio=(0, 2)), ValueError, "RandomErasing: expected ratio above 0, got (0, 2)"),
    (lambda: T.RandomErasing(1.0, value=[1, 2])(X), ValueError,
     "RandomErasing: expected value to be a number or of shape (3, 1, 1), got shape (2,)"),
    (lambda: T.Cutout(0), ValueError, "Cutout: expected size of at least 1, got 0"),
    (lambda: T.Cutout(2.5), TypeError, "Cutout: expected size as an int, got 2.5"),
    (lambda: T.Cutout(2, [1, 2])(X), ValueError,
     "Cutout: expected fill to be a number or of shape (3, 1, 1), got shape (2,)"),
    (lambda: v2.MixUp(alpha=0), ValueError, "MixUp: expected alpha above 0, got 0"),
    (lambda: v2.MixUp(alpha="1"), TypeError, "MixUp: expected alpha as a number, got '1'"),
    (lambda: v2.CutMix(num_classes=0), ValueError, "CutMix: expected num_classes of at least 1, got 0"),
    (lambda: v2.MixUp()(X, LABELS), ValueError, "MixUp: expected num_classes for labels (2,), got None"),
    (lambda: v2.MixUp(num_classes=1)(X, LABELS), ValueError, "MixUp: expected labels within 0..0, got 0..1"),
    (lambda: v2.MixUp(num_classes=3)(X, tinycnn.ones(2, 4)), ValueError,
     "MixUp: expected labels of 3 classes, got shape (2, 4)"),
    (lambda: v2.MixUp(num_classes=3)(X, tinycnn.ones(2)), TypeError,
     "MixUp: expected labels of shape (2,) as integers, got float32"),
    (lambda: v2.MixUp(num_classes=3)(X, tinycnn.tensor([0, 1, 2])), ValueError,
     "MixUp: expected labels (2,) or (2, classes), got shape (3,)"),
    (lambda: v2.CutMix(num_classes=3)(X[0], LABELS), ValueError,
     "CutMix: expected images (N, C, H, W), got shape (3, 5, 6)"),
    (lambda: v2.CutMix(num_classes=3)(X.to("uint8"), LABELS), TypeError,
     "CutMix: expected images of floats, got uint8"),
    (lambda: v2.CutMix(num_classes=3)(X.numpy(), LABELS), TypeError,
     "CutMix: expected images as a Tensor, got a ndarray"),
])  # fmt: skip
def test_errors_of_one_line(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_code_blocks_of_the_document_run():
    text = (Path(__file__).parents[3] / "docs" / "augmentation.md").read_text(encoding="utf-8")
    blocks, names = re.findall(r"```python\n(.*?)```", text, re.DOTALL), {}
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    assert names["images"].shape == (64, 1, 32, 32)
    assert abs(names["loss"].item() - math.log(10)) < 1e-5
