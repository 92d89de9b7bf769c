"""What students and Gradescope get: everything that is needed, and no solution."""

import json
import os
import subprocess
import sys
import zipfile

import pytest
from conftest import COURSEWORK, HERE, SOLUTIONS

REPOSITORY = COURSEWORK.parent
BUILDER = REPOSITORY / "tools" / "coursework_release.py"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    output = tmp_path_factory.mktemp("release")
    subprocess.run([sys.executable, str(BUILDER), "--output", str(output)], check=True)
    return output


def texts(archive):
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name).decode("utf-8", "replace") for name in opened.namelist()}


def lines_of(text):
    return {line.strip() for line in text.splitlines() if len(line.strip()) > 30}


def test_the_solutions_are_the_exercises_with_bodies():
    for solution in SOLUTIONS.glob("step*.py"):
        exercise = (COURSEWORK / solution.name).read_text(encoding="utf-8")
        text = solution.read_text(encoding="utf-8")
        kept = [line for line in exercise.splitlines() if "raise NotImplementedError" not in line]
        assert lines_of("\n".join(kept)) <= lines_of(text)
        assert "raise NotImplementedError" in exercise


@pytest.mark.parametrize("name", ["tinycnn-coursework.zip", "tinycnn-autograder.zip"])
def test_no_solution_is_handed_out(release, name):
    handed_out = texts(release / name)
    assert any("teaching/grade/given/" in file for file in handed_out) == (name == "tinycnn-autograder.zip")
    assert not [file for file in handed_out if "solutions" in file or "variants" in file or file.startswith("tests")]
    # The grader and its oracle compute the same things; who minds builds --without-grader.
    grader = ("tinycnn/teaching/grade/", "tinycnn/teaching/reference.py")
    others = [text for file, text in handed_out.items() if not file.startswith(grader)]
    lines = set().union(*map(lines_of, others))
    for solution in [*HERE.glob("solutions/step*.py"), *HERE.glob("variants/*/step*.py")]:
        exercise = (COURSEWORK / solution.name).read_text(encoding="utf-8")
        secret = lines_of(solution.read_text(encoding="utf-8")) - lines_of(exercise)
        known = {line for line in secret & lines if not line.startswith(("def ", "from ", "import ", '"""'))}
        assert {line for line in known if not line.endswith(".shape")} == set()  # names for sizes give nothing away


def test_students_can_start_from_the_zip(release, tmp_path):
    with zipfile.ZipFile(release / "tinycnn-coursework.zip") as archive:
        archive.extractall(tmp_path)
    assert (tmp_path / "coursework" / "README.md").is_file()
    assert (tmp_path / "setup.cfg").is_file()
    done = subprocess.run([sys.executable, "-m", "tinycnn.grade", "coursework", "--only", "1", "2"], cwd=tmp_path,
                          capture_output=True, text=True, encoding="utf-8")  # fmt: skip
    assert done.returncode == 1
    assert "total: 0 of 15 points" in done.stdout


def test_the_zip_without_grader(tmp_path):
    subprocess.run([sys.executable, str(BUILDER), "--output", str(tmp_path), "--without-grader"], check=True)
    names = texts(tmp_path / "tinycnn-coursework.zip")
    assert "tinycnn/teaching/reference.py" not in names
    assert not any(name.startswith("tinycnn/teaching/grade/") for name in names)
    assert "tinycnn/teaching/reference.py" in texts(tmp_path / "tinycnn-autograder.zip")


@pytest.mark.skipif(os.name == "nt", reason="Gradescope runs Linux")
@pytest.mark.parametrize("submitted", ["step01_output_size.py", "hw5/step01_output_size.py", "notes.txt"])
def test_run_autograder(release, tmp_path, submitted):
    with zipfile.ZipFile(release / "tinycnn-autograder.zip") as archive:
        archive.extractall(tmp_path / "source")
        assert archive.getinfo("run_autograder").external_attr >> 16 & 0o111
    assert (tmp_path / "source" / "setup.sh").is_file()
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    file = tmp_path / "submission" / submitted
    file.parent.mkdir(parents=True)
    file.write_text((SOLUTIONS / "step01_output_size.py").read_text(encoding="utf-8"), encoding="utf-8")
    environment = os.environ | {"AUTOGRADER_ROOT": str(tmp_path)}
    subprocess.run(["bash", str(tmp_path / "source" / "run_autograder")], env=environment, check=True)
    results = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert results["score"] == (0 if submitted == "notes.txt" else 5)
    assert results["output"]
