"""Feature maps of pictures whose edges are known, of the photograph by loops, and the PNG."""

import sys
from pathlib import Path

import edge_detection
import numpy as np
import pytest

from tests.examples.programs import run_program
from tinycnn._extras import how_to_install
from tinycnn.teaching import reference

image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def grey(values):
    """(H, W) as a grey photograph (H, W, 3)."""
    return np.repeat(np.array(values, float)[:, :, None], 3, axis=2)


def test_a_flat_picture_has_no_edges_not_even_at_its_border():
    maps = edge_detection.feature_maps(np.full((5, 7, 3), 0.3))
    for name in ("Laplacian", "Sobel x", "Sobel y", "Sobel magnitude"):
        np.testing.assert_allclose(maps[name], 0, atol=1e-6)
    np.testing.assert_allclose(maps["sharpen"], 0.3, atol=1e-6)


def test_an_upright_step():
    maps = edge_detection.feature_maps(grey([[0, 0, 0, 1, 1, 1]] * 4))
    np.testing.assert_allclose(maps["Sobel x"], [[0, 0, 4, 4, 0, 0]] * 4, atol=1e-6)
    np.testing.assert_allclose(maps["Sobel y"], 0, atol=1e-6)
    np.testing.assert_allclose(maps["Laplacian"], [[0, 0, -3, 3, 0, 0]] * 4, atol=1e-5)
    np.testing.assert_allclose(maps["sharpen"], grey([[0, 0, -1, 2, 1, 1]] * 4), atol=1e-6)


def test_a_level_step_is_sobel_y_with_its_direction():
    maps = edge_detection.feature_maps(grey(np.array([[0, 0, 1, 1]] * 5).T))
    np.testing.assert_allclose(maps["Sobel y"], np.array([[0, 4, 4, 0]] * 5).T, atol=1e-6)
    np.testing.assert_allclose(maps["Sobel x"], 0, atol=1e-6)
    np.testing.assert_allclose(maps["Sobel magnitude"], maps["Sobel y"], atol=1e-6)


def test_colours_are_weighed_by_how_bright_they_look():
    for channel, weight in enumerate([0.299, 0.587, 0.114]):
        photo = np.zeros((3, 4, 3))
        photo[:, 2:, channel] = 1
        maps = edge_detection.feature_maps(photo)
        np.testing.assert_allclose(maps["Sobel x"][1], [0, 4 * weight, 4 * weight, 0], atol=1e-6)
        others = [c for c in range(3) if c != channel]
        np.testing.assert_array_equal(maps["sharpen"][..., others], 0)  # groups: no colour leaks into another


def test_the_photograph_by_loops():
    pytest.importorskip("sklearn")
    photo = edge_detection.read_photo(None, 1000)[150:190, 100:130]
    brightness = np.pad(photo @ [0.299, 0.587, 0.114], 1, mode="edge")
    maps = edge_detection.feature_maps(photo)
    for name, kernel in edge_detection.EDGES.items():
        expected = reference.conv2d_single_channel(brightness, np.array(kernel, float))
        np.testing.assert_allclose(maps[name], expected, atol=1e-5)


def test_the_sample_photograph_gives_a_picture_and_a_table():
    pytest.importorskip("sklearn")
    done = run_program("edge_detection", "--out", "sub.png", "--size", 200)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("china.jpg of scikit-learn: 200 × 133 pixels")
    rows = done.table()
    assert {name: cells[0] for name, cells in rows.items()} == {
        "Laplacian": "0", "Sobel x": "0", "Sobel y": "0", "Sobel magnitude": "–", "sharpen": "1",
    }  # fmt: skip
    picture = np.asarray(image.open("sub.png").convert("L"))
    assert picture.shape[1] == 1650
    assert picture.std() > 20  # something was drawn


@pytest.mark.parametrize(
    "name, mode, size", [("a.png", "RGBA", (30, 20)), ("b.jpg", "L", (9, 40)), ("c.gif", "P", (3, 3))]
)
def test_a_picture_of_ones_own_in_any_format(name, mode, size):
    image.fromarray(np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), np.uint8)).convert(mode).save(name)
    done = run_program("edge_detection", name)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{name}: {size[0]} × {size[1]} pixels")
    assert Path("edge_detection.png").is_file()


@pytest.mark.parametrize("arguments, message", [
    (["missing.png"], "missing.png: No such file or directory"),
    (["text.png"], "text.png: not an image"),
    (["."], ".: it is a folder"),
    (["cut.jpg"], "cut.jpg: image file is truncated"),
    (["good.png", "--out", "none/edges.png"], "--out: cannot write none/edges.png: No such file or directory"),
])  # fmt: skip
def test_a_user_error_is_one_line(arguments, message):
    Path("text.png").write_text("no image")
    picture = image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    picture.save("good.png")
    picture.save("whole.jpg")
    Path("cut.jpg").write_bytes(Path("whole.jpg").read_bytes()[:3000])
    done = run_program("edge_detection", *arguments)
    assert (done.status, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith(f"edge_detection.py: error: {message}")


@pytest.mark.parametrize("module, package", [
    ("PIL.Image", "Pillow"), ("sklearn.datasets", "scikit-learn"), ("matplotlib.figure", "matplotlib"),
])  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    done = run_program("edge_detection")
    line = f"edge_detection.py: error: needs {package}, which is not installed: {how_to_install('examples')}\n"
    assert done == (2, "", line)
