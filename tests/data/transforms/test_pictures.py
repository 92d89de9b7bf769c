"""What transforms take, what they draw, and what they refuse."""

import pickle
import re

import numpy as np
import pytest

import tinycnn
from tinycnn.data import transforms as T
from tinycnn.data.transforms import functional as F
from tinycnn.data.transforms import v2
from tinycnn.data.transforms.pictures import BatchTransform

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (9, 12, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)
ARRAY = RNG.random((3, 9, 12), np.float32)

RANDOM = [
    T.RandomCrop(6, padding=2), T.RandomHorizontalFlip(), T.RandomVerticalFlip(0.3), T.RandomResizedCrop(5),
    T.RandomRotation(40), T.RandomAffine(30, (0.2, 0.1), (0.8, 1.2), 10), T.ColorJitter(0.4, 0.4, 0.4, 0.2),
    T.RandomGrayscale(0.5), T.GaussianBlur(3), T.RandomErasing(1.0), T.Cutout(5), T.RandomApply([T.Pad(1)], 1.0),
    T.RandomOrder([T.CenterCrop(8), T.Resize((8, 8))]), T.RandomChoice([T.Pad(1), T.Pad((0, 2))]),
]  # fmt: skip


def name_of(transform):
    return type(transform).__name__


@pytest.mark.parametrize("transform", RANDOM, ids=name_of)
def test_manual_seed_repeats_the_draws(transform):
    x = tinycnn.tensor(ARRAY)
    tinycnn.manual_seed(3)
    first = [transform(x).numpy() for _ in range(4)]
    tinycnn.manual_seed(3)
    for one in first:
        np.testing.assert_array_equal(transform(x).numpy(), one)


ONE_BY_ONE = [t for t in RANDOM[:-1] if not isinstance(t, BatchTransform)]  # the last gives pictures of two sizes


@pytest.mark.parametrize("lib", [np.asarray, tinycnn.tensor], ids=["array", "Tensor"])
@pytest.mark.parametrize("transform", ONE_BY_ONE, ids=name_of)
def test_each_picture_of_a_batch_gets_a_draw_of_its_own(transform, lib):
    batch = lib(np.stack([ARRAY] * 5))
    tinycnn.manual_seed(1)
    found = transform(batch)
    assert type(found) is type(batch)
    tinycnn.manual_seed(1)
    for one in found:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(transform(lib(ARRAY))))


OF_PIL = [t for t in RANDOM if not isinstance(t, (T.RandomErasing, T.Cutout))]


@pytest.mark.parametrize("transform", OF_PIL, ids=name_of)
def test_a_pil_image_stays_one(transform):
    before = PICTURE.copy()
    for _ in range(3):
        assert isinstance(transform(PICTURE), Image.Image)
    assert before == PICTURE


def test_what_is_random_is_so():
    tinycnn.manual_seed(0)
    x = tinycnn.tensor(ARRAY)
    flipped = [np.array_equal(T.RandomHorizontalFlip(0.25)(x).numpy(), ARRAY[:, :, ::-1]) for _ in range(2000)]
    assert abs(np.mean(flipped) - 0.25) < 0.05
    places = {T.RandomCrop.get_params(x, (8, 11)) for _ in range(200)}
    assert places == {(top, left, 8, 11) for top in (0, 1) for left in (0, 1)}
    for _ in range(100):
        top, left, height, width = T.RandomResizedCrop.get_params(x, (0.3, 0.6), (0.5, 2))
        assert top + height <= 9
        assert left + width <= 12
        assert 0.2 < height * width / 108 < 0.75
    angles = [T.RandomRotation.get_params((10, 20)) for _ in range(100)]
    assert 10 <= min(angles) < 12 < 18 < max(angles) <= 20
    chosen = [T.RandomChoice([lambda _: 0, lambda _: 1], [1, 3])(x) for _ in range(2000)]
    assert abs(np.mean(chosen) - 0.75) < 0.05


def test_random_crop_pads_where_it_is_needed():
    assert F.get_dimensions(T.RandomCrop((20, 14), pad_if_needed=True)(PICTURE)) == [3, 20, 14]
    with pytest.raises(ValueError, match=r"^RandomCrop: expected a picture of at least \(20, 14\), got \(9, 12\)$"):
        T.RandomCrop((20, 14))(PICTURE)


def test_random_erasing_overwrites_a_rectangle():
    tinycnn.manual_seed(0)
    x = tinycnn.tensor(ARRAY)
    erased = T.RandomErasing(1.0, value=[2, 3, 4])(x).numpy()
    changed = erased != ARRAY
    rows, columns = np.nonzero(changed.any(axis=(0, 2)))[0], np.nonzero(changed.any(axis=(0, 1)))[0]
    part = erased[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert part.shape[1] * part.shape[2] * 3 == changed.sum()
    assert [np.unique(channel).tolist() for channel in part] == [[2], [3], [4]]
    np.testing.assert_array_equal(x.numpy(), ARRAY)


def test_gradients_flow_through():
    x = tinycnn.tensor(ARRAY.astype(np.float64), requires_grad=True)
    steps = [
        T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), T.Pad(1, padding_mode="reflect"), T.Resize((6, 7)),
        T.GaussianBlur(3, 1.0), T.CenterCrop((6, 5)),
    ]  # fmt: skip
    assert tinycnn.gradcheck(T.Compose(steps), x)
    chosen = T.RandomChoice([T.Pad(1), T.Pad(1, padding_mode="edge")])  # of each picture of a batch
    assert tinycnn.gradcheck(lambda x: (tinycnn.manual_seed(0), chosen(x.unsqueeze(0).repeat(3, 1, 1, 1)))[1], x)
    assert tinycnn.gradcheck(lambda x: F.rotate(x, 30, T.InterpolationMode.BILINEAR), x)
    assert tinycnn.gradcheck(lambda x: F.adjust_saturation(x * 0.5 + 0.2, 0.7), x)


def test_normalize_in_place_and_in_float64():
    x = tinycnn.tensor(ARRAY.astype(np.float64))
    expected = (ARRAY.astype(np.float64) - 0.1307) / 0.3081
    np.testing.assert_array_equal(F.normalize(x, (0.1307,), (0.3081,)).numpy(), expected)
    assert T.Normalize((0.1307,), (0.3081,), inplace=True)(x) is x
    np.testing.assert_array_equal(x.numpy(), expected)


def test_to_tensor_takes_the_default_dtype():
    tinycnn.set_default_dtype("float64")
    try:
        assert T.ToTensor()(PICTURE).dtype == np.float64
    finally:
        tinycnn.set_default_dtype("float32")


def test_v2():
    expected = T.ToTensor()(PICTURE).numpy()
    scaled = v2.ToDtype("float32", scale=True)
    for steps in ([v2.ToImage(), scaled], [v2.PILToTensor(), v2.ConvertImageDtype("float32")]):
        np.testing.assert_array_equal(v2.Compose(steps)(PICTURE).numpy(), expected)
    np.testing.assert_array_equal(v2.ToImage()(PIXELS).numpy(), PIXELS.transpose(2, 0, 1))
    assert v2.ToDtype("float32")(v2.ToImage()(PICTURE)).numpy().max() > 1


@pytest.mark.parametrize("transform", RANDOM, ids=name_of)
def test_transforms_can_be_pickled(transform):
    assert repr(pickle.loads(pickle.dumps(transform))) == repr(transform)


def test_reprs():
    assert repr(T.RandomCrop(32, 4)) == (
        "RandomCrop(size=(32, 32), padding=4, pad_if_needed=False, fill=0, padding_mode='constant')"
    )
    assert repr(T.Compose([T.ToTensor(), T.RandomHorizontalFlip(0.3), T.Lambda(abs)])) == (
        "Compose([ToTensor(), RandomHorizontalFlip(p=0.3), Lambda()])"
    )


@pytest.mark.parametrize("call, error, message", [
    (lambda: T.Normalize(0.5, 1)(PICTURE), TypeError,
     "Normalize(mean=0.5, std=1.0): expected a Tensor or an array (..., C, H, W), got a PIL image (mode RGB); put "
     "ToTensor() before it"),
    (lambda: T.Normalize(0.5, 1)(tinycnn.tensor(PIXELS)), TypeError,
     "Normalize(mean=0.5, std=1.0): expected floats, got uint8; put ToTensor() before it"),
    (lambda: T.RandomShift(1)(PICTURE), TypeError,
     "RandomShift(pixels=1, fill=0.0): expected a Tensor or an array (..., C, H, W), got a PIL image (mode RGB); put "
     "ToTensor() before it"),
    (lambda: T.ToTensor()(tinycnn.ones(3, 4, 5)), TypeError,
     "to_tensor: expected a PIL image or an array (H, W, C), got a Tensor"),
    (lambda: T.ToTensor()(np.ones(3)), ValueError, "to_tensor: expected an array (H, W) or (H, W, C), got shape (3,)"),
    (lambda: T.ToPILImage()(tinycnn.ones(5, 4, 4)), ValueError,
     "to_pil_image: expected an image mode that exists for 5 channels of uint8, got None"),
    (lambda: T.ToPILImage("L")(PIXELS), ValueError,
     "to_pil_image: expected RGB or YCbCr or HSV for 3 channels of uint8, got L"),
    (lambda: T.Resize("a"), TypeError, "Resize: expected size as an int, got 'a' (str)"),
    (lambda: T.Resize((1, 2, 3)), ValueError, "Resize: expected size as an int or (height, width), got (1, 2, 3)"),
    (lambda: T.Resize(5, "bilinear"), ValueError,
     "Resize: expected interpolation as an InterpolationMode, got 'bilinear'"),
    (lambda: T.Resize(5)(3), TypeError,
     "resize: expected a PIL image, or a Tensor or an array (..., C, H, W), got a int"),
    (lambda: T.Pad((1, 2, 3)), ValueError, "Pad: expected padding as an int, 2 or 4 of them, got (1, 2, 3)"),
    (lambda: T.Pad(1, padding_mode="x"), ValueError,
     "Pad: expected padding_mode as 'constant', 'edge', 'reflect' or 'symmetric', got 'x'"),
    (lambda: T.Pad(1, fill=(1, 2))(PICTURE), ValueError,
     "pad: expected fill as a number or 3, one per channel, got (1, 2)"),
    (lambda: T.Pad(-1, padding_mode="edge")(PICTURE), ValueError,
     "pad: expected padding of at least 0 for padding_mode 'edge', got [-1, -1, -1, -1]"),
    (lambda: T.RandomHorizontalFlip(2), ValueError,
     "RandomHorizontalFlip: expected p of at least 0 and of at most 1, got 2"),
    (lambda: T.RandomRotation(-1), ValueError,
     "RandomRotation: expected degrees as a number of at least 0 or (low, high), got -1"),
    (lambda: T.ColorJitter(hue=0.7), ValueError, "ColorJitter: expected hue within -0.5 and 0.5, got 0.7"),
    (lambda: T.GaussianBlur(4)(PICTURE), ValueError,
     "gaussian_blur: expected kernel_size odd and sigma above 0, got 4 and "),
    (lambda: T.Lambda(3), TypeError, "Lambda: expected a function, got 3"),
    (lambda: T.FiveCrop(20)(PICTURE), ValueError, "five_crop: expected size of at most (9, 12), got (20, 20)"),
    (lambda: T.Grayscale(2)(PICTURE), ValueError, "to_grayscale: expected num_output_channels as 1 or 3, got 2"),
])  # fmt: skip
def test_errors_of_one_line(call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_without_pillow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"^to_pil_image: needs Pillow, which is not installed: pip install "):
        F.to_pil_image(PIXELS)
