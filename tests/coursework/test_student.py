"""The process of a student: what it can reach, and that it ends with all that it started."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tinycnn.teaching.grade import runner, student

needs_other_user = pytest.mark.skipif(
    student.other_user() is None, reason="needs root, and a Python and a tinycnn that others can read"
)
needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no sessions and no such limits")

READ = "import os, sys\ndef output_size(*arguments):\n    return "


def answer(folder, expression):
    folder.write(1, READ + expression + "\n")
    with student.Student(folder.file(1), 10) as process:
        outcome = process.start()
        assert outcome["status"] == "value", outcome
        return process.call("output_size", (np.arange(6.0).reshape(2, 3), 1, 2))


def value(folder, expression):
    outcome = answer(folder, expression)
    assert outcome["status"] == "value", outcome
    return outcome["value"]


def test_it_gets_nothing_of_the_graders_environment_and_arguments(folder, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_THE_GRADER", "secret")
    monkeypatch.setattr("sys.argv", ["grade", "--seed", "4711"])
    seen = value(folder, "repr((dict(os.environ), sys.argv, sys.orig_argv))")
    assert "TOKEN" not in seen
    assert "4711" not in seen


def test_it_sees_the_python_files_of_its_folder_and_no_links(folder, tmp_path):
    (tmp_path / "secret.py").write_text("secret = 1")
    (folder.path / "helper.py").write_text("x = 1")
    (folder.path / "data.txt").write_text("x")
    (folder.path / "link.py").symlink_to(tmp_path / "secret.py")
    (folder.path / "large.py").write_text("#" * (student.LARGEST_FILE + 1))
    (folder.path / "folder.py").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder.path / "fifo.py")
    seen = value(folder, "tuple(sorted(os.listdir()))")
    assert {name for name in seen if not name.startswith("step")} == {"helper.py"}


def test_its_folder_is_gone_afterwards(folder):
    place = value(folder, "os.getcwd()")
    assert not Path(place).parent.exists()


@needs_posix
def test_its_limits(folder):
    import resource

    kinds = [resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_CORE]
    limits = value(folder, f"tuple(max(__import__('resource').getrlimit(kind)) for kind in {kinds})")
    assert limits == (runner.MEMORY, runner.FILE_SIZE, runner.SECONDS, 0)


@needs_other_user
def test_it_runs_as_nobody_else(folder):
    user, group, groups = value(folder, "(os.getresuid(), os.getresgid(), tuple(os.getgroups()))")
    assert len({*user, *group}) == 1
    assert user[0] >= 60_000
    assert groups == ()


@needs_other_user
def test_it_can_neither_write_its_folder_nor_read_the_graders_memory(folder):
    """Without the guard of Python: by the permissions of the system."""
    assert not value(folder, "os.access('.', os.W_OK) or os.access('step01_output_size.py', os.W_OK)")
    assert not value(folder, "os.access(f'/proc/{os.getppid()}/mem', os.R_OK)")


def processes_of(user):
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            if path.stat().st_uid == user and state != "Z":
                found.append(path)
        except OSError:
            continue
    return found


@needs_other_user
def test_all_processes_of_a_student_end_whatever_session_they_are_in():
    user = student.other_user()
    command = ["/bin/sh", "-c", "trap '' TERM HUP; setsid sleep 99 & setsid sh -c 'sleep 99 & sleep 99' & sleep 99"]
    shell = subprocess.Popen(command, **student._apart(user))
    deadline = time.monotonic() + 10
    while len(processes_of(user)) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(processes_of(user)) >= 5
    student._end_all_of(user)
    shell.wait()
    time.sleep(0.2)
    assert processes_of(user) == []


@needs_posix
def test_a_process_is_restarted_after_it_died(folder):
    folder.write(1, "import os\ndef output_size(n):\n    return n if n else os._exit(3)\n")
    with student.Student(folder.file(1), 10) as process:
        assert process.start()["status"] == "value"
        assert process.call("output_size", (0,)) == {"status": "died", "exit": 3}
        assert process.call("output_size", (7,))["value"] == 7


# --- messages ---------------------------------------------------------------------------------------------


class Pipe:
    """A stream that returns a few bytes at a time, as a pipe may."""

    def __init__(self, data):
        self.data = data

    def read(self, size):
        part, self.data = self.data[: min(size, 5)], self.data[min(size, 5) :]
        return part


@pytest.mark.parametrize("message", [
    None, True, 0, -(2**63), 2**64 - 1, 0.1, float("inf"), "", "text\n", (), (1, (2.0, None)), {"a": {"b": ()}},
    np.arange(6.0).reshape(2, 3), np.float32(7), np.ones((0, 3), "int8"), {"w": np.ones((2, 1, 3), "float16"), "n": 3},
    (np.array([True, False]), np.arange(3, dtype="uint64")),
], ids=str)  # fmt: skip
def test_messages_come_back(message):
    returned = runner.unpacked(Pipe(runner.packed(message)))
    np.testing.assert_equal(returned, message)


def test_arrays_of_any_memory_order_come_back():
    x = np.arange(24.0).reshape(2, 3, 4)
    for array in (x.T, x[:, ::-1], np.broadcast_to(x[0], (5, 3, 4))):
        np.testing.assert_array_equal(runner.unpacked(Pipe(runner.packed(array))), array)


def test_every_message_cut_short_or_with_one_byte_changed_is_a_value_or_an_error():
    """A bug in the decoding would be another exception."""
    rng = np.random.default_rng(0)
    data = runner.packed({"number": 1, "value": (np.arange(3.0), {"a": "text"}, 2.5), "printed": ""})
    for end in range(len(data)):
        with pytest.raises((EOFError, ValueError)):
            runner.unpacked(Pipe(data[:end]))
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= int(rng.integers(1, 256))
        with contextlib.suppress(EOFError, ValueError):
            runner.unpacked(Pipe(bytes(changed)))
