"""What the command `tinycnn explain` writes, and what it refuses."""

import html
import os
import re
import sys

import pytest

from tinycnn import cli
from tinycnn._extras import how_to_install
from tinycnn.teaching.explain import main
from tinycnn.teaching.explain.command import page
from tinycnn.teaching.explain.worked import ConvGeometry, worked_conv


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path, capsys):
    path = tmp_path / "page.html"
    assert cli.main(["explain", "--input", "6", "--kernel", "2", "3", "--seed", "4", "--out", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert text == page(ConvGeometry(input=(6, 6), kernel=(2, 3)), seed=4)
    assert capsys.readouterr().out == f"{path}\n"
    assert not re.search(r"https?:|<link[^>]+href=\"(?!data:)|src=|@import|url\(", text)
    assert "/* " + "style */" not in text


@pytest.mark.parametrize("arguments, names", [
    (["--kernel", "6"], "kernel: expected 1 to 5, got 6"),
    (["--input", "3", "--kernel", "5", "--padding", "0"], "output: expected 1 to 12, got -0"),
    (["--stride", "0"], "stride: expected 1 to 5, got 0"),
    (["--stride", "1", "1", "1"], "stride: expected one number or two, got 1 1 1"),
    (["--padding", "-1"], "padding: expected 0 to 4, got -1"),
    (["--input", "40", "40"], "input: expected 1 to 12, got 40"),
    (["--channels", "3", "--kernel", "5"], "rows: expected 1 to 50, got 75 of the im2col matrix"),
    (["--seed", "-1"], "seed: expected 0 or more, got -1"),
    (["--kernel", "x"], "invalid int value"),
    (["--figure", "conv.gif"], "figure: expected a name that ends in .png, .svg, .pdf"),
    (["--input", "12", "--padding", "4"], "padded: expected 1 to 16, got 20, input + 2 · padding"),
    (["--input", "12", "--dilation", "4", "--kernel", "4"], "window: expected 1 to 9, got 13, dilation · (kernel"),
    (["--out", "/dev/null/folder/page.html"], "cannot write /dev/null/folder/page.html: cannot make the folder"),
    (["--out", "."], "cannot write .: it is a folder"),
])  # fmt: skip
def test_what_cannot_be_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, names):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as exit:  # argparse
        status = exit.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("tinycnn explain: error: ")
    assert names.replace("got -0", "got") in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--out", "a/b/page.html"], ["--figure", "c/d/e.svg"]])
def test_a_missing_folder_is_made(tmp_path, monkeypatch, capsys, arguments):
    if arguments[0] == "--figure":
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{arguments[1]}\n"
    assert (tmp_path / arguments[1]).is_file()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "page.html"
    path.write_text("old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(["--out", str(path)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("extension, beginning", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_figure(tmp_path, extension, beginning):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"conv.{extension}"
    assert main(["--figure", str(path), "--channels", "2"]) == 0
    assert path.read_bytes().startswith(beginning)
    assert list(tmp_path.iterdir()) == [path]


def test_a_figure_without_matplotlib_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "tinycnn.teaching.explain.figure", raising=False)
    assert main(["--figure", str(tmp_path / "conv.png")]) == 2
    reason = f"a figure needs matplotlib, which is not installed: {how_to_install('examples')}"
    assert capsys.readouterr().err == f"tinycnn explain: error: {reason}\n"
    assert list(tmp_path.iterdir()) == []


def test_figures_are_the_same_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        assert main(["--figure", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("channels, filters, names", [
    (1, 1, ["y[1, 1] =", "dx[1, 1] ="]), (2, 1, ["y[1, 1] =", "dx[0, 1, 1] ="]), (1, 3, ["y[0, 1, 1] =", "dx[1, 1] ="]),
])  # fmt: skip
def test_the_text_of_a_figure_names_the_channel_where_there_are_several(channels, filters, names):
    pytest.importorskip("matplotlib")
    from tinycnn.teaching.explain import figure

    geometry = ConvGeometry(channels=channels, filters=filters)
    drawn = figure.draw(worked_conv(geometry), geometry, "svg").decode()
    texts = [html.unescape(comment) for comment in re.findall(r"<!-- (.*?) -->", drawn)]  # matplotlib's, of each text
    for name in names:
        assert sum(name in text for text in texts) == 1, texts
