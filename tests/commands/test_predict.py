"""`tinycnn predict`: photographs of digits are recognised, any picture file is read, what is none is told in a line."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands.conftest import photograph, tinycnn
from tinycnn.commands.pictures import PictureError, fitted, grey, handwriting, open_picture, thumbnail, unchanged
from tinycnn.commands.predict import main, prepared
from tinycnn.data import MNIST
from tinycnn.training.results import DataInfo, Weights


def weights_of(dataset, image_shape):
    """As far as the preparation of pictures looks at them."""
    return Weights(Path(), dataset, 1, 0.5, {"dataset": dataset}, DataInfo(image_shape, ("a", "b"), (0.5,), (0.5,)))


@pytest.fixture(scope="module")
def seven():
    """A seven drawn with lines (28, 28), without a data set."""
    from PIL import ImageDraw

    image = Image.new("L", (280, 280))
    ImageDraw.Draw(image).line([(70, 60), (200, 60), (120, 230)], fill=255, width=26, joint="curve")
    return np.asarray(image.resize((28, 28), Image.BOX), float) / 255


def agreement(a, b):
    """The cosine of two pictures."""
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


# --- finding the ink ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_photographs_of_real_digits_are_recognised(mnist_run, mnist_root, tmp_path, capsys):
    """100 test digits on unevenly lit paper, as JPEG files of 400 × 600: at least 95 % as labelled."""
    generator = np.random.default_rng(0)
    test_set = MNIST(mnist_root, train=False)
    chosen = generator.permutation(len(test_set))[:100]
    for place in chosen:
        photograph(test_set.data.numpy()[place] / 255, generator).save(tmp_path / f"{place}.jpg", quality=85)
    assert main([str(mnist_run), *(str(tmp_path / f"{place}.jpg") for place in chosen), "--top", "1"]) == 0
    found = re.findall(r"(\d+)\.jpg: (\d)[^(\n]* \([\d.]+%\)\n", capsys.readouterr().out)
    assert len(found) == 100
    right = sum(int(digit) == test_set.targets[int(place)].item() for place, digit in found)
    assert right >= 95


@pytest.mark.slow
def test_mnist_itself_stays_what_it_is(mnist_root):
    """The pictures of the data set, white on black, come out nearly as they went in."""
    images = MNIST(mnist_root, train=False).data.numpy()[:50]
    found = [agreement(handwriting(Image.fromarray(image), 28, 20)[0], image / 255) for image in images]
    assert np.median(found) > 0.93


@pytest.mark.parametrize("change", ["dark on light", "light on dark", "mirrored light", "small", "specks", "table"])
def test_the_ink_is_found(seven, change):
    generator = np.random.default_rng(3)
    pixels = np.array(photograph(seven, generator, share=0.06 if change == "small" else None))
    match change:
        case "light on dark":
            pixels = 255 - pixels
        case "mirrored light":
            pixels = pixels[:, ::-1] * np.linspace(0.6, 1, 400)[None, :, None]
        case "specks":
            for y, x in generator.integers(0, 390, (30, 2)):
                pixels[y : y + 2, x : x + 2] = 60
        case "table":
            pixels[:, :30] = 40
    expected = seven[:, ::-1] if change == "mirrored light" else seven
    found = handwriting(Image.fromarray(pixels.astype(np.uint8)), 28, 20)[0]
    straight = handwriting(Image.fromarray((255 - 255 * expected).astype(np.uint8)), 28, 20)[0]
    assert agreement(found, straight) > 0.8  # it is turned by up to 8 degrees


def test_size_and_centre(seven):
    """The box is 20 pixels, the centre of mass that of MNIST's pictures, 14."""
    for wide in (False, True):
        ink = seven.T if wide else seven
        found = handwriting(Image.fromarray((255 - 255 * np.kron(ink, np.ones((9, 9)))).astype(np.uint8)), 28, 20)[0]
        y, x = np.nonzero(found > 0.05)
        assert max(np.ptp(y), np.ptp(x)) + 1 == 20
        assert found.max() == 1
        for axis in (0, 1):
            mass = found.sum(1 - axis)
            assert abs((mass * np.arange(28)).sum() / mass.sum() - 14) <= 0.5
    assert handwriting(Image.fromarray((255 * seven).astype(np.uint8)), 32, 32).shape == (1, 32, 32)


def test_a_stroke_at_the_border_stays_on_the_picture():
    """An L has its centre of mass far from the middle of its box."""
    pixels = np.full((100, 100), 255, np.uint8)
    pixels[20:80, 20:24] = pixels[76:80, 20:80] = 0
    found = handwriting(Image.fromarray(pixels), 28, 20)[0]
    y, x = np.nonzero(found > 0.05)
    assert (np.ptp(y) + 1, np.ptp(x) + 1) == (20, 20)


@pytest.mark.parametrize("noise", [0, 2, 7, 20])
@pytest.mark.parametrize("slope", [0, 60])
def test_blank_pages(noise, slope):
    generator = np.random.default_rng(0)
    page = 200 + np.linspace(-slope / 2, slope / 2, 400) + generator.normal(0, noise, (600, 400))
    with pytest.raises(PictureError, match=r"^no writing found: the page looks blank$"):
        handwriting(Image.fromarray(page.clip(0, 255).astype(np.uint8)), 28, 20)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 2)])
def test_pages_of_a_few_pixels(size):
    with pytest.raises(PictureError, match="blank"):
        handwriting(Image.new("L", size, 255), 28, 20)


# --- modes, sizes, formats ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"])
def test_every_mode_shows_the_same(seven, mode):
    paper = Image.fromarray((255 - 255 * np.kron(seven, np.ones((8, 8)))).astype(np.uint8))
    expected = handwriting(paper, 28, 20)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(paper).astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(np.asarray(paper).astype(np.int32) * 257)
    elif mode in ("HSV", "YCbCr", "CMYK"):
        image = paper.convert("RGB").convert(mode)
    else:
        image = paper.convert("RGBA").convert(mode) if mode == "PA" else paper.convert(mode)
    assert grey(image).shape == (224, 224)
    assert thumbnail(image).shape == (224, 224, 3)
    assert agreement(handwriting(image, 28, 20), expected) > (0.9 if mode == "1" else 0.97)  # dots of black and white


def test_a_mode_that_pillow_cannot_convert():
    with pytest.raises(PictureError, match=r"^Pillow cannot convert its colours, of mode LAB$"):
        grey(Image.new("LAB", (8, 8)))


def test_what_is_transparent_is_paper(seven):
    """Ink on nothing, as drawing programs write it."""
    ink = np.kron(seven, np.ones((8, 8)))
    layers = np.zeros((224, 224, 4), np.uint8)
    layers[..., 3] = 255 * ink
    image = Image.fromarray(layers)
    assert grey(image).min() == 0
    assert grey(image).max() == 1
    paper = Image.fromarray((255 - 255 * ink).astype(np.uint8))
    assert agreement(handwriting(image, 28, 20), handwriting(paper, 28, 20)) > 0.97


def test_exif_rotation(tmp_path, seven):
    paper = Image.fromarray((255 - 255 * np.kron(seven, np.ones((8, 8)))).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    paper.rotate(90).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = handwriting(open_picture(tmp_path / "a.jpg"), 28, 20)
    assert agreement(found, handwriting(paper, 28, 20)) > 0.97


def test_colour_nets_see_the_middle():
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = [255, 0, 128]
    image = Image.fromarray(pixels)
    found = fitted(image, (3, 32, 32))
    assert found.shape == (3, 32, 32)
    np.testing.assert_allclose(found[:, 16, 16], [1, 0, 128 / 255], atol=0.01)
    assert found[0].mean() > 0.97
    np.testing.assert_array_equal(prepared(image, weights_of("cifar10", (3, 32, 32))), found)
    np.testing.assert_array_equal(prepared(image, weights_of("fashion_mnist", (1, 28, 28))), fitted(image, (1, 28, 28)))


def test_as_is():
    pixels = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    np.testing.assert_allclose(
        prepared(Image.fromarray(pixels), weights_of("mnist", (1, 28, 28)), True)[0], pixels / 255, atol=1e-6
    )
    with pytest.raises(PictureError, match=r"^expected 28×28 pixels, got 20×10$"):
        unchanged(Image.new("L", (20, 10)), (1, 28, 28))
    assert unchanged(Image.new("RGBA", (28, 28)), (3, 28, 28)).shape == (3, 28, 28)


# --- files --------------------------------------------------------------------------------------------------


@pytest.fixture
def odd_files(tmp_path, seven):
    """Files that are no pictures, by the message that each gives."""
    photograph(seven, np.random.default_rng(0)).save(tmp_path / "good.jpg")
    whole = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "page.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    Image.new("L", (200, 300), 230).save(tmp_path / "blank.png")
    bomb = Image.new("1", (20_000, 20_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bomb.save(tmp_path / "bomb.png")
    return {
        "notes.txt": "no picture: it is none of PNG, JPEG,", "empty.png": "no picture: it is empty",
        "half.jpg": "a damaged picture: image file is truncated", "folder.png": "it is a folder",
        "page.eps": "no picture: it is none of", "blank.png": "no writing found: the page looks blank",
        "bomb.png": "it has more than 89,478,485 pixels", "missing.png": "there is no such file",
    }  # fmt: skip


def test_what_is_no_picture(digits_run, odd_files, tmp_path):
    """A line each, and the others are predicted nevertheless."""
    done = tinycnn("predict", digits_run, *odd_files, "good.jpg", cwd=tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"good.jpg: \d \([\d.]+%\), \d \([\d.]+%\), \d \([\d.]+%\)\n", done.stdout)
    lines = done.stderr.splitlines()
    assert len(lines) == len(odd_files)
    for line, (name, message) in zip(lines, odd_files.items(), strict=True):
        assert line.startswith(f"tinycnn predict: error: {name}: {message}"), line


def test_damaged_files_of_every_kind_give_a_line(tmp_path, seven):
    """Files cut and with bytes overwritten, in each format."""
    generator = np.random.default_rng(0)
    image = photograph(seven, generator, (60, 80))
    for ending in ("png", "jpg", "gif", "bmp", "tiff", "webp", "ppm"):
        path = tmp_path / f"a.{ending}"
        image.save(path)
        whole = path.read_bytes()
        assert open_picture(path).size == (60, 80)
        for _ in range(30):
            damaged = bytearray(whole[: generator.integers(1, len(whole) + 1)])
            for place in generator.integers(0, len(damaged), 5):
                damaged[place] = generator.integers(256)
            path.write_bytes(damaged)
            try:
                open_picture(path)
            except PictureError as error:
                assert "\n" not in str(error)  # noqa: PT017


def test_the_first_picture_of_an_animation(tmp_path, seven):
    first = photograph(seven, np.random.default_rng(0))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", first.size)])
    assert agreement(handwriting(open_picture(tmp_path / "a.gif"), 28, 20), handwriting(first, 28, 20)) > 0.9


def test_the_picture_of_what_the_net_saw(digits_run, odd_files, tmp_path, capsys):
    paths = [tmp_path / "good.jpg", tmp_path / "$x^_{.jpg"]  # no formula
    paths[1].write_bytes(paths[0].read_bytes())
    out = tmp_path / "seen.png"
    assert main([str(digits_run), *map(str, paths), "--out", str(out), "--top", "2"]) == 0
    from matplotlib.image import imread

    picture = imread(out)
    assert picture.shape[1] > 900
    for third in np.array_split(picture, 3, axis=1):
        assert third[..., :3].std() > 0.05


def test_wrong_usage(digits_run, tmp_path):
    for arguments in ([], [digits_run], [digits_run, "a.png", "--top", "0"], [digits_run, "a.png", "--top", "x"]):
        done = tinycnn("predict", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"tinycnn predict: error: [^\n]*\n", done.stderr)
    done = tinycnn("predict", tmp_path, "a.png", cwd=tmp_path)
    assert done.returncode == 1
    assert "expected the weights of a run" in done.stderr
