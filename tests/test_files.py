"""Files: whatever fails, and wherever a process is killed, there is the former file or the new one, and no other."""

import ast
import errno
import itertools
import os
import re
import stat
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinycnn
from tests.crash import killed_at, watch
from tinycnn import _files, tensor
from tinycnn._files import checked_path, kind_of, remove, remove_unfinished, write_whole
from tinycnn.teaching.explain import command as explain
from tinycnn.teaching.grade import command as grade
from tinycnn.teaching.grade.exercise import Graded
from tinycnn.training.loggers import JsonLines
from tinycnn.training.report import draw_report

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "examples"))

import edge_detection  # noqa: E402

FAILURES = {errno.ENOSPC: "No space left on device", errno.EIO: "Input/output error", errno.EACCES: "Permission denied"}
# The system calls of a save: `write` may come several times.
CALLS = ["stat", "open", "chmod", "write", "fsync", "close", "replace", "open", "fsync", "close"]


def failing(code):
    def fail(name):
        raise OSError(code, os.strerror(code))

    return fail


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# --- who writes -------------------------------------------------------------------------------------------


def save(path, content):
    tinycnn.save({"x": tensor([1.0, 2.0]), "y": tensor(3)}, path, {"content": content})


def page(path, content):
    assert explain.main(["--out", str(path), "--seed", str(len(content))]) == 0


def figure(path, content):
    assert explain.main(["--figure", str(path), "--seed", str(len(content))]) == 0


def grades(path, content):
    grade.main([str(REPOSITORY / "coursework"), "--only", "1", "--seed", str(len(content)), "--json", str(path)])


def metrics(path, content):
    JsonLines(path, {"content": content}).on_train_begin(SimpleNamespace(history=[FIGURES]))


def report(path, content):
    draw_report(path, content, *REPORT)


def edges(path, content):
    edge_detection.draw(PHOTO, MAPS, path)


FIGURES = {"epoch": 1, **{f"{part}_{what}": 0.5 for part in ("train", "test") for what in ("loss", "accuracy")}}
TEST_SET = SimpleNamespace(targets=np.array([0, 1]), classes=("a", "b"), images=np.zeros((2, 1, 4, 4)))
REPORT = [FIGURES], np.array([[0.9, 0.1], [0.6, 0.4]]), TEST_SET, np.ones((2, 1, 3, 3))
PHOTO = np.zeros((4, 4, 3))
MAPS = {**dict.fromkeys(["Laplacian", "Sobel x", "Sobel y", "Sobel magnitude"], np.ones((4, 4))), "sharpen": PHOTO}

# By the name of the file that is written.
WRITERS = {
    "bytes.bin": lambda path, content: write_whole(path, content.encode(), b"", memoryview(b"and more")),
    "weights.safetensors": save,
    "checkpoint.pt": lambda path, content: tinycnn.save({"x": tensor([1.0, 2.0]), "content": content}, path),
    "page.html": page,
    "figure.png": figure,
    "results.json": grades,
    "metrics.jsonl": metrics,
    "report.png": report,
    "edges.png": edges,
}


@pytest.fixture
def quick(monkeypatch):
    """What is drawn and graded takes no time: files are the point."""
    drawn = itertools.count()
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda self, file, **_: file.write(b"\x89PNG %d" % next(drawn))
    )
    for part in ("curves", "confusion", "mistakes", "filters"):
        monkeypatch.setattr(f"tinycnn.training.report.draw_{part}", lambda *_: None)
    monkeypatch.setattr("tinycnn.teaching.explain.command._figure", lambda *_: b"\x89PNG %d" % next(drawn))
    monkeypatch.setattr("tinycnn.teaching.explain.command.page", lambda *_: f"<html>{next(drawn)}")
    monkeypatch.setattr("tinycnn.teaching.grade.command.grade_step", lambda step, *_: Graded(step))
    monkeypatch.setattr("tinycnn.teaching.grade.report.gradescope", lambda *_: {"score": next(drawn)})


@pytest.mark.parametrize("writer", WRITERS)
def test_each_writer_syncs_the_file_renames_it_and_syncs_the_folder(tmp_path, writer, monkeypatch, quick):
    path = tmp_path / writer
    WRITERS[writer](path, "former")
    watched = watch(monkeypatch)
    WRITERS[writer](path, "new")
    assert [name for name, _ in itertools.groupby(watched.calls)] == CALLS
    assert names_in(tmp_path) == [writer]


@pytest.mark.parametrize("code", FAILURES, ids=errno.errorcode.get)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_failure_at_any_system_call_leaves_the_former_file_and_no_other(
    tmp_path, writer, code, monkeypatch, capsys, quick
):
    path = tmp_path / writer
    WRITERS[writer](path, "former")
    former = path.read_bytes()
    for fails in itertools.count():
        watched = watch(monkeypatch, fails, failing(code))
        try:
            WRITERS[writer](path, "new")
            refused = ""
        except (Exception, SystemExit) as error:
            refused = f"{error} {capsys.readouterr().err}"
        assert names_in(tmp_path) == [writer]
        if fails >= len(watched.calls):
            break
        renamed = "replace" in watched.calls[:fails]
        may_pass = renamed and watched.calls[fails] == "open" and code == errno.EACCES  # a folder that nobody may list
        if may_pass:
            assert refused == ""
        else:
            assert f"cannot write {path}: {FAILURES[code]}" in refused or watched.calls[fails] == "unlink"
        # Only the folder's own sync comes too late for the former file; the new one is whole then.
        if not renamed:
            assert path.read_bytes() == former
        path.unlink()
        path.write_bytes(former)
    assert fails >= len(CALLS)
    assert path.read_bytes() != former


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("writer", WRITERS)
def test_killed_at_any_system_call_it_leaves_the_former_file_or_the_new_one(tmp_path, writer, quick):
    path = tmp_path / writer
    WRITERS[writer](path, "former")
    former, seen = path.read_bytes(), []
    for dies in itertools.count():
        status = killed_at(dies, lambda: WRITERS[writer](path, "new"))
        seen.append(path.read_bytes())
        if status == 0:
            break
    new = seen[-1]
    assert new != former
    assert seen == [former] * seen.count(former) + [new] * seen.count(new)
    assert seen.count(former) >= CALLS.index("replace")


def test_an_interruption_at_any_system_call_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(name):
        raise KeyboardInterrupt

    path = tmp_path / "file"
    for fails in range(CALLS.index("replace") + 1):
        path.write_bytes(b"former")
        watch(monkeypatch, fails, interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_whole(path, b"new")
        assert (names_in(tmp_path), path.read_bytes()) == (["file"], b"former")


def writes_by_itself(tree):
    """The calls of a module that write files: methods that do, and `open` for anything but reading."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        modes = [str(each.value) for each in given if isinstance(each, ast.Constant)]
        opens = name in ("open", "fdopen") and any(re.fullmatch(r"[rbt]*[wax+][rbt+]*", mode) for mode in modes)
        drawn = name in ("savefig", "imsave", "savez", "tofile") and ast.unparse(node.args[0]) != "buffer"
        if opens or drawn or name in ("write_text", "write_bytes", "NamedTemporaryFile", "mkstemp"):
            yield f"line {node.lineno}: {ast.unparse(node)}"


# (file, what it calls): the reason.
BY_THEMSELVES = {
    ("tinycnn/teaching/grade/runner.py", "fdopen"): "a pipe to the grader",
    ("tinycnn/teaching/grade/given.py", "write_text"): "into a temporary folder",
    ("tinycnn/teaching/grade/given.py", "write_bytes"): "into a temporary folder",
    ("tinycnn/interop/torch_file.py", "open"): "an entry of an archive in memory",
    ("tinycnn/training/ranks.py", "fdopen"): "what the ranks beside the first print: the null device",
    ("docs/figures/make_figures.py", "write_text"): "into a temporary folder",
    ("benchmarks/timing.py", "open"): "an order to the kernel: forget the peak of memory",
}


def test_nothing_else_writes_files():
    folders = ["tinycnn", "examples", "benchmarks", "docs"]
    found = {}
    for path in (path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")):
        for call in writes_by_itself(ast.parse(path.read_text(encoding="utf-8"))):
            name = path.relative_to(REPOSITORY).as_posix()
            if not any(file == name and f"{what}(" in call for file, what in BY_THEMSELVES):
                found[f"{name}, {call}"] = None
    assert not found, "use tinycnn._files.write_whole:\n" + "\n".join(found)


def test_a_planted_write_is_found():
    text = "open(p)\nopen(p, 'rb')\nopen(p, 'w')\np.open(mode='ab')\np.write_text('x')\nfigure.savefig(p)"
    assert len(list(writes_by_itself(ast.parse(text)))) == 4


# --- what a file is like ----------------------------------------------------------------------------------


def test_a_system_that_writes_little_at_a_time(tmp_path, monkeypatch):
    slow = SimpleNamespace(**vars(os))
    slow.write = lambda descriptor, data: os.write(descriptor, data[:3])
    monkeypatch.setattr(_files, "os", slow)
    write_whole(tmp_path / "file", b"0123456789", b"", memoryview(b"abcdef"))
    assert (tmp_path / "file").read_bytes() == b"0123456789abcdef"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_are_those_of_the_umask_or_of_the_former_file(tmp_path):
    path = tmp_path / "file"
    former = os.umask(0o027)
    try:
        write_whole(path, b"1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        write_whole(path, b"2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(former)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask for others")
def test_the_umask_is_not_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("other threads' files would get other permissions"))
    save(tmp_path / "file.safetensors", "content")


def test_a_private_file_is_private_before_it_has_content(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"1")
    watched = watch(monkeypatch)
    write_whole(tmp_path / "file", b"2")
    assert watched.calls.index("chmod") < watched.calls.index("write")


def test_the_temporary_file_is_a_new_one(tmp_path, monkeypatch):
    """In a folder that others may write to, a link of that name would lead anywhere."""
    (tmp_path / "victim").write_bytes(b"precious")
    monkeypatch.setattr(os, "urandom", lambda n: bytes(n))
    (tmp_path / "file.000000000000.part").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="File exists"):
        write_whole(tmp_path / "file", b"1")
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    for content in (b"1", b"2"):
        write_whole(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder" / "file").read_bytes() == content
    assert names_in(tmp_path / "folder") == ["file"]


def test_long_names(tmp_path):
    for name in ("x" * 255, "ü" * 127):
        write_whole(tmp_path / name, b"1")
    with pytest.raises(OSError, match="^cannot write .*: File name too long$"):
        write_whole(tmp_path / ("x" * 256), b"1")


def test_folders_where_syncing_is_unknown(tmp_path, monkeypatch):
    """EINVAL and EBADF say that the file system has no such thing, as CIFS."""
    for code in (errno.EINVAL, errno.EBADF):
        watch(monkeypatch, len(CALLS) - 3, failing(code))  # without chmod: the folder's fsync
        (tmp_path / "file").unlink(missing_ok=True)
        write_whole(tmp_path / "file", b"1")
        assert names_in(tmp_path) == ["file"]


def test_threads_that_write_the_same_file(tmp_path):
    contents = [bytes([48 + i]) * 100_000 for i in range(4)]
    threads = [
        threading.Thread(target=lambda c=c: [write_whole(tmp_path / "file", c) for _ in range(5)]) for c in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert names_in(tmp_path) == ["file"]


def special_files(folder):
    """By kind, paths that are no files."""
    import socket

    os.mkfifo(folder / "fifo")
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(folder)  # the name of a socket is short
    try:
        server.bind("socket")
    finally:
        os.chdir(here)
        server.close()
    # A terminal: nobody, root neither, could put a file in its place, as in that of /dev/null.
    _, terminal = os.openpty()
    device = Path(os.ttyname(terminal))
    return {"FIFO": folder / "fifo", "socket": folder / "socket", "folder": folder, "device": device}


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
def test_what_is_no_file_is_not_replaced(tmp_path):
    paths = special_files(tmp_path)
    before = names_in(tmp_path)
    for kind, path in paths.items():
        assert kind_of(path) == kind
        with pytest.raises(OSError, match=rf"^cannot write {path}: it is a {kind}$"):
            write_whole(path, b"1")
    assert names_in(tmp_path) == before
    assert kind_of(tmp_path / "none") == kind_of(tmp_path / "fifo" / "below") == "nothing"


def test_removing(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"1")
    watched = watch(monkeypatch)
    remove(tmp_path / "file")
    assert watched.calls == ["unlink", "open", "fsync", "close"]
    remove(tmp_path / "file")
    assert names_in(tmp_path) == []


def test_removing_what_is_unfinished(tmp_path):
    (tmp_path / "step_3.0123456789ab.part").mkdir()
    (tmp_path / "step_3.0123456789ab.part" / "model").touch()
    for name in ("latest.0123456789ab.part", "later.0123456789ab.part", "latest.part", "latest"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path, "step_*", "latest")
    assert names_in(tmp_path) == ["later.0123456789ab.part", "latest", "latest.part"]
    remove_unfinished(tmp_path / "none", "latest")


@pytest.mark.parametrize("path, error, message", [
    (3, TypeError, "expected path as a str or os.PathLike, got int"),
    (None, TypeError, "expected path as a str or os.PathLike, got NoneType"),
    (b"a", TypeError, "expected path as a str or os.PathLike, got bytes"),
    ("a\0b", ValueError, r"expected path without a null character, got 'a\x00b'"),
])  # fmt: skip
def test_what_is_no_path(path, error, message):
    with pytest.raises(error) as raised:
        checked_path("save", "path", path)
    assert str(raised.value) == f"save: {message}"
