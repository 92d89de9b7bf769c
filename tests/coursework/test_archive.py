"""Hostile and cheating submissions through the released archive, as Gradescope runs it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
from cheats import CHEATS, PRELUDE
from conftest import COURSEWORK, SOLUTIONS
from hostile import HOSTILE
from test_cheats import FUNCTIONS
from test_hostile import hostile_text, lost_points

from tinycnn.teaching.grade import STEPS
from tinycnn.teaching.grade.student import not_apart, other_user

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Gradescope runs Linux")

BUILDER = COURSEWORK.parent / "tools" / "coursework_release.py"


@pytest.fixture(scope="module")
def autograder():
    """The folder /autograder after setup.sh: the archive, and its package installed. Another user may enter it."""
    with tempfile.TemporaryDirectory(prefix="autograder-") as place:
        root = Path(place)
        root.chmod(0o755)
        subprocess.run([sys.executable, str(BUILDER), "--output", str(root / "release")], check=True)
        with zipfile.ZipFile(root / "release" / "tinycnn-autograder.zip") as archive:
            archive.extractall(root / "source")
        shutil.copytree(root / "source" / "tinycnn", root / "venv" / "lib" / "tinycnn")
        python = root / "venv" / "bin" / "python"
        python.parent.mkdir()
        python.write_text(f'#!/bin/sh\nPYTHONPATH={root / "venv" / "lib"} exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        yield root


def grade(root, files):
    """The results of a submission of these files, by name."""
    shutil.rmtree(root / "submission", ignore_errors=True)
    (root / "submission").mkdir()
    for name, text in files.items():
        (root / "submission" / name).write_text(text, encoding="utf-8")
    shutil.rmtree(root / "results", ignore_errors=True)
    environment = {"PATH": os.environ["PATH"], "AUTOGRADER_ROOT": str(root), "PYTHONIOENCODING": "cp1252"}
    command = ["bash", str(root / "source" / "run_autograder")]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=100, start_new_session=True)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))


def solved(*numbers):
    names = [f"{STEPS[number - 1].module}.py" for number in numbers]
    return {name: (SOLUTIONS / name).read_text(encoding="utf-8") for name in names}


RIGHT = STEPS[0].max_score + STEPS[8].max_score  # of steps 1 and 9


@pytest.mark.slow
@pytest.mark.parametrize("name, where, code, lost, said", HOSTILE, ids=[row[0] for row in HOSTILE])
def test_a_hostile_submission_gets_what_the_rest_of_it_is_worth(autograder, name, where, code, lost, said):
    if "without end" in name and where == "import":
        pytest.skip("takes as long as an import may take: tested with less time in test_hostile.py")
    text = hostile_text(where, code, autograder / "results" / "results.json")
    results = grade(autograder, solved(1) | {f"{STEPS[8].module}.py": text})
    assert results["score"] == RIGHT - lost_points(lost)
    assert results["max_score"] == 100


@pytest.mark.slow
@pytest.mark.parametrize("name, step, code, files, said", CHEATS, ids=[row[0] for row in CHEATS])
def test_a_cheating_submission_gains_nothing(autograder, name, step, code, files, said):
    prelude = PRELUDE.replace("PATHS", repr((str(autograder / "venv" / "lib"), sys.executable)))
    own = {f"{STEPS[step - 1].module}.py": code, **files}
    results = grade(autograder, {name: prelude + text for name, text in own.items()})
    checks = [test for test in results["tests"] if f"{FUNCTIONS[step]}:" in test["name"]]
    assert checks
    assert sum(test["score"] for test in checks) == 0


@pytest.mark.slow
def test_a_right_submission_gets_all_points(autograder):
    results = grade(autograder, solved(*range(1, 11)))
    assert results["score"] == results["max_score"] == 100
    assert ("ran as the grader's own user" in results["output"]) == not_apart()


def test_every_submission_has_a_seed_of_its_own(autograder):
    assert grade(autograder, solved(1))["output"] != grade(autograder, solved(1))["output"]


# --- attacks on the results -------------------------------------------------------------------------------

FORGED = '{"score": 100, "max_score": 100, "output": "forged"}'

# _posixsubprocess starts processes without an audit event.
DAEMON = f"""
import _posixsubprocess, os
arguments = [b"/bin/sh", b"-c", {f"(sleep 1; echo '{FORGED}' > RESULTS) &"!r}.encode()]
rest = [None, None, -1, -1, -1, -1, -1, -1, *os.pipe(), True, True, -1, None, None, None, -1, None, False]
_posixsubprocess.fork_exec(arguments, [b"/bin/sh"], True, (), *rest)
"""


def test_forged_results_are_replaced(autograder):
    text = f"{solved(1)['step01_output_size.py']}\nopen({str(autograder / 'results' / 'results.json')!r}, 'w')"
    assert grade(autograder, {"step01_output_size.py": text})["score"] == 0


@pytest.mark.skipif(other_user() is None, reason="needs root, and a Python that others can read")
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the arguments of fork_exec are those of Python 3.11")
def test_a_daemon_by_an_undocumented_way_cannot_even_start(autograder):
    daemon = DAEMON.replace("RESULTS", str(autograder / "results" / "results.json"))
    results = grade(autograder, {"step01_output_size.py": daemon + solved(1)["step01_output_size.py"]})
    assert results["score"] == 0
    assert "Resource temporarily unavailable" in str(results)
    time.sleep(1.5)
    assert "forged" not in (autograder / "results" / "results.json").read_text()


@pytest.mark.parametrize("forged", [FORGED, "", "garbage", '{"score": 101, "max_score": 100}', "[]", "{}"])
@pytest.mark.parametrize("status", [137, 2, 1])
def test_results_of_a_grader_that_did_not_end_well_do_not_count(autograder, tmp_path, forged, status):
    """A grader that was killed or did not start, with whatever it or something else has written."""
    if (forged, status) == (FORGED, 1):
        return  # the only whole one
    root = tmp_path / "autograder"
    for name in ("source", "submission", "results", "venv/bin"):
        (root / name).mkdir(parents=True)
    (root / "submission" / "step01_output_size.py").touch()
    (root / "results" / "results.json").write_text(FORGED)
    python = root / "venv" / "bin" / "python"
    python.write_text(
        f"""#!/bin/sh
if [ "$1" = -m ]; then
    for last; do :; done
    printf '%s' '{forged}' > "$last"
    exit {status}
fi
exec {sys.executable} "$@"
"""
    )
    python.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "AUTOGRADER_ROOT": str(root)}
    subprocess.run(["bash", str(autograder / "source" / "run_autograder")], env=environment, check=True)
    results = json.loads((root / "results" / "results.json").read_text())
    assert results["score"] == 0
    assert f"did not finish (status {status})" in results["output"]
