"""`tinycnn report`: one page, in a real browser: it needs nothing from outside, shows all pictures, fits a phone."""

import base64
import json
import re
import shutil

import numpy as np
import pytest

from tests.commands.conftest import tinycnn
from tinycnn.commands.report import flat, main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(digits_run, other_run, tmp_path_factory):
    """A page about two runs, one of which has gradient norms, too."""
    folder = tmp_path_factory.mktemp("report")
    run = shutil.copytree(digits_run, folder / "digits")
    header, *lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    for line in lines:
        line["gradient_norms"] = {"features.0": 1 / line["epoch"], "classifier.5": 2.0}
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [header, *lines]))
    path = folder / "report.html"
    assert main([str(run), str(other_run), "--out", str(path)]) == 0
    return path


def test_the_page_tells_all(page, digits_run):
    text = page.read_text(encoding="utf-8")
    titles = re.findall(r"<h[123]>(.*?)</h[123]>", text)
    assert titles == [
        "2 runs", "Results", "Curves", "Settings that differ", "digits", "Gradients", "Mistakes",
        "First layer’s filters", "A picture on its way through the net", "&lt;b&gt;$x_&amp;", "Mistakes",
        "First layer’s filters", "A picture on its way through the net",
    ]  # fmt: skip
    differ = text.split("Settings that differ")[1].split("</table>")[0]
    assert re.findall(r'scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td>', differ) == [
        ("epochs", "5", "1"), ("optimizer.lr", "0.05", "0.01"),
    ]  # fmt: skip
    last = json.loads((digits_run / "metrics.jsonl").read_text().splitlines()[-1])
    for figure in (f"{last['test_accuracy']:.2%}", f"{last['test_loss']:.4f}", "61,706 parameters"):
        assert figure in text
    for layer in ("features.0 (Conv2d): 6×28×28", "features.5 (MaxPool2d): 16×5×5, the first 12"):
        assert layer in text
    assert text.count("<figure>") == text.count('src="data:image/') == 5 + 1 + 2 * (2 + 1 + 7)


def test_no_formula_is_left_in_a_figure(page):
    """The axis of gradient norms is logarithmic, whose labels matplotlib writes as formulas; names are never parsed."""
    text = page.read_text(encoding="utf-8")
    drawings = [base64.b64decode(code).decode() for code in re.findall(r"svg\+xml;base64,([^\"]+)", text)]
    assert len(drawings) == 5 + 1 + 2
    assert not any("mathdefault" in drawing for drawing in drawings)
    assert any("<!-- &lt;b&gt;$x_&amp; -->" in drawing for drawing in drawings)


def test_names_are_escaped(page):
    text = page.read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "&lt;b&gt;$x_&amp;" in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(page, browser, width):
    window = browser.new_page(viewport={"width": width, "height": 800})
    asked, complaints = [], []
    window.on("request", lambda request: asked.append(request.url))
    window.on("console", lambda message: complaints.append(message.text))
    window.goto(page.as_uri())
    sizes = window.evaluate("[...document.images].map(image => [image.naturalWidth, image.clientWidth, image.alt])")
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    assert complaints == []
    assert len(sizes) == 26
    assert all(natural > 50 and shown > 200 and alt for natural, shown, alt in sizes)
    assert window.evaluate("document.documentElement.scrollWidth") <= width
    assert len(window.pdf(format="A4")) > 10_000
    window.close()


def test_one_run_shows_all_of_its_settings(digits_run, tmp_path):
    assert main([str(digits_run), "--out", str(tmp_path / "a.html")]) == 0
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<h2>Settings</h2>" in text
    for key in ("batch_size", "optimizer.momentum", "versions.numpy", "device"):
        assert f'<th scope="row">{key}</th>' in text
    main([str(digits_run), "--out", str(tmp_path / "b.html")])
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == text  # nothing of the moment is in it


def test_without_weights_there_are_curves(digits_run, tmp_path):
    run = tmp_path / "killed"
    run.mkdir()
    shutil.copy(digits_run / "metrics.jsonl", run)
    done = tinycnn("report", "killed", cwd=tmp_path)
    assert done.returncode == 0
    reason = "killed: expected the weights of a run, there is no weights.safetensors: no epoch was complete"
    assert done.stderr == f"tinycnn report: {reason}\n"
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Curves</h2>" in text
    assert "No confusion matrix and no feature maps: killed: expected" in text
    assert "Mistakes" not in text


def test_before_the_first_epoch(digits_run, tmp_path):
    header, *_ = (digits_run / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "metrics.jsonl").write_text(header + "\n")
    assert main([str(tmp_path), "--out", str(tmp_path / "a.html")]) == 0
    assert "Curves" not in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_what_is_refused(digits_run, tmp_path):
    for arguments, message in (
        (["none"], "none: expected the folder of a run, there is nothing"),
        ([digits_run, tmp_path], "expected the folder of a run, there is no metrics.jsonl"),
        ([digits_run, "--out", "no/folder.html"], "cannot write no/folder.html: No such file or directory"),
    ):
        done = tinycnn("report", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"tinycnn report: error: [^\n]*\n", done.stderr)
        assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_flat_settings():
    assert flat({"a": {"b": 1, "c": {"d": None}}, "e": {}, "f": [1, 2]}) == {
        "a.b": "1", "a.c.d": "–", "e": "–", "f": "[1, 2]"
    }  # fmt: skip


def test_colour_nets_and_many_classes():
    """Filters in colours, no numbers in a matrix of 47 classes."""
    from matplotlib.figure import Figure

    from tinycnn.models import model_for
    from tinycnn.training import report

    figure = Figure()
    report.draw_filters(figure, model_for("resnet20", (3, 32, 32), 10).conv1.weight.detach().numpy())
    assert sum(len(axes.images) for axes in figure.axes) == 16
    assert figure.axes[0].images[0].get_array().shape == (3, 3, 3)
    axes = Figure().subplots()
    generator = np.random.default_rng(0)
    report.draw_confusion(
        axes, generator.integers(0, 47, 99), generator.integers(0, 47, 99), tuple(map(str, range(47)))
    )
    assert len(axes.texts) == 0
