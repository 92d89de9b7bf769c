"""What students and Gradescope get: everything that is needed, and no solution."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import COURSEWORK, HERE, SOLUTIONS

from tinycnn.teaching.grade import passages

REPOSITORY = COURSEWORK.parent
sys.path[:0] = [str(REPOSITORY / "tools"), str(REPOSITORY / "tools" / "github")]

import summary  # noqa: E402
from without_grader import sections, text_without_grader  # noqa: E402

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


@pytest.mark.parametrize("name", [f"tinycnn-{name}.zip" for name in ("coursework", "autograder", "github", "otter")])
def test_no_solution_is_handed_out(release, name):
    handed_out = {file.removeprefix("files/"): text for file, text in texts(release / name).items()}
    assert not [file for file in handed_out if "solutions" in file or "variants" in file or "coursework/test" in file]
    given = [file for file in handed_out if file.startswith("tinycnn/teaching/grade/given/")]
    assert bool(given) == (name in ("tinycnn-autograder.zip", "tinycnn-otter.zip"))
    # The grader and its oracle compute the same things; who minds builds --without-grader.
    grader = ("tinycnn/teaching/grade/", "tinycnn/teaching/reference.py")
    others = [text for file, text in handed_out.items() if not file.startswith(grader)]
    lines = set().union(*map(lines_of, others))
    public = set().union(*(lines_of(file.read_text(encoding="utf-8")) for file in COURSEWORK.glob("step*.py")))
    for solution in [*HERE.glob("solutions/step*.py"), *HERE.glob("variants/*/step*.py")]:
        secret = lines_of(solution.read_text(encoding="utf-8")) - public
        known = {line for line in secret & lines if not line.startswith(("def ", "from ", "import ", '"""'))}
        assert {line for line in known if not line.endswith(".shape")} == set()  # names for sizes give nothing away


def test_texts_to_which_the_grader_leads_are_in_the_zip(release):
    places = [value for name, value in vars(passages).items() if name.isupper() and not name.startswith("_")]
    with zipfile.ZipFile(release / "tinycnn-coursework.zip") as archive:
        names = set(archive.namelist())
        assert {place.partition("#")[0] for place in places} <= names
        for name in names:
            if name.startswith("docs/") and name.endswith(".md"):
                pictures = re.findall(r"!\[.*?\]\((.*?)\)", archive.read(name).decode())
                assert {f"docs/{picture}" for picture in pictures} <= names


def test_students_can_start_from_the_zip(release, tmp_path):
    with zipfile.ZipFile(release / "tinycnn-coursework.zip") as archive:
        archive.extractall(tmp_path)
    assert (tmp_path / "coursework" / "README.md").is_file()
    assert (tmp_path / "setup.cfg").is_file()
    done = subprocess.run([sys.executable, "-m", "tinycnn.grade", "coursework", "--only", "1", "2"], cwd=tmp_path,
                          capture_output=True, text=True, encoding="utf-8")  # fmt: skip
    assert done.returncode == 1
    assert "total: 0 of 15 points" in done.stdout


# --- without the grader ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_grader(tmp_path_factory):
    output = tmp_path_factory.mktemp("without_grader")
    subprocess.run([sys.executable, str(BUILDER), "--output", str(output), "--without-grader"], check=True)
    with zipfile.ZipFile(output / "tinycnn-coursework.zip") as archive:
        archive.extractall(output / "unpacked")
    return output


def test_nothing_in_the_zip_without_grader_speaks_of_one(without_grader):
    spoken = re.compile(r"\bgrad(e|er|ed|es|ing)\b|tinycnn\.reference|teaching[./]reference", re.IGNORECASE)
    handed_out = texts(without_grader / "tinycnn-coursework.zip")
    said = [(name, line) for name, text in handed_out.items() for line in text.splitlines() if spoken.search(line)]
    assert said == []
    assert not [name for name in handed_out if spoken.search(name)]
    assert "coursework/step10_lenet.py" in handed_out
    assert "tinycnn/teaching/reference.py" in texts(without_grader / "tinycnn-autograder.zip")
    assert not (without_grader / "tinycnn-github.zip").exists()  # its workflow grades


@pytest.mark.parametrize("arguments, status, said", [
    (["-m", "tinycnn.cli", "grade", "coursework"], 2, "tinycnn: error: no command 'grade'; there are new, shapes,"),
    (["-m", "tinycnn.grade", "coursework"], 1, "No module named tinycnn.grade"),
    (["-m", "tinycnn.cli", "--help"], 0, ""),
    (["-c", "import tinycnn; from tinycnn import *; assert not hasattr(tinycnn, 'reference'); explain"], 0, ""),
])  # fmt: skip
def test_the_package_without_grader_has_no_traceback(without_grader, arguments, status, said):
    done = subprocess.run([sys.executable, *arguments], cwd=without_grader / "unpacked", capture_output=True,
                          text=True, encoding="utf-8", env=os.environ | {"PYTHONPATH": ""})  # fmt: skip
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert done.stderr.count("\n") == (status != 0)


def test_every_subcommand_in_the_zip_without_grader_has_its_module(without_grader):
    program = "import importlib, tinycnn.cli\nfor c in tinycnn.cli.COMMANDS.values(): importlib.import_module(c.module)"
    subprocess.run([sys.executable, "-c", program], cwd=without_grader / "unpacked", check=True,
                   env=os.environ | {"PYTHONPATH": ""})  # fmt: skip


def test_both_forms_of_a_text_are_whole():
    text = "a\n<!-- with grader -->\nb\n<!-- end -->\n<!-- without grader -->\nc\n<!-- end -->\nd\n"
    assert (sections(text, grader=True), sections(text, grader=False)) == ("a\nb\nd\n", "a\nc\nd\n")


def test_a_text_that_has_changed_is_not_handed_out_by_mistake():
    with pytest.raises(ValueError, match="tinycnn/cli.py holds 0 times"):
        text_without_grader("tinycnn/cli.py", "COMMANDS = {}")


# --- the formats of other systems --------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="the workflow runs on Linux")
@pytest.mark.slow
@pytest.mark.parametrize("solved, points", [(False, "0 of 100 points"), (True, "5 of 100 points")])
def test_the_workflow_of_a_repository_on_github(release, tmp_path, solved, points):
    """Its own steps, run in its order: those that call actions, and pip, have nothing to do here."""
    yaml = pytest.importorskip("yaml")
    with zipfile.ZipFile(release / "tinycnn-github.zip") as archive:
        archive.extractall(tmp_path / "repository")
    if solved:
        shutil.copy(SOLUTIONS / "step01_output_size.py", tmp_path / "repository" / "coursework")
    workflow = yaml.safe_load((tmp_path / "repository" / ".github/workflows/grade.yml").read_text(encoding="utf-8"))
    markdown = tmp_path / "summary.md"
    environment = os.environ | {
        "GITHUB_STEP_SUMMARY": str(markdown), "RUNNER_TEMP": str(tmp_path), "SEED": "12345", "PYTHONPATH": "",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    ran = 0
    for step in workflow["jobs"]["grade"]["steps"]:
        if "run" in step and "pip install" not in step["run"]:
            subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=tmp_path / "repository",
                           env=environment, check=True, capture_output=True)  # fmt: skip
            ran += 1
    assert ran == 2
    text = markdown.read_text(encoding="utf-8")
    assert text.startswith(f"## {points}\n")
    assert ("| ✅ | step 1: output_size: size, dilation | 2 / 2 |" in text) == solved
    assert "| ❌ | step 6: conv_forward: y" in text
    assert "<pre>not written yet (step06_conv.py, line 20)</pre>" in text


def test_the_summary_of_a_job_shows_what_a_student_prints_as_text():
    output = "```\n<script>" + "x" * 9999
    wrong = {"name": "step 1: a|b", "score": 0, "max_score": 2, "status": "failed", "output": output}
    text = summary.summary({"score": 0, "max_score": 2, "tests": [wrong]})
    assert "| ❌ | step 1: a\\|b | 0 / 2 |" in text
    assert "<pre>```\n&lt;script&gt;xxx" in text
    assert len(text) < 3000


def graded_by_otter(release, tmp_path, submission):
    """The results of Otter-Grader's own program: the points, and the texts."""
    pytest.importorskip("otter.test_files", reason="needs Otter-Grader: CONTRIBUTING.md says how to run these tests")
    file = tmp_path / submission
    otter = [sys.executable, "-m", "otter", "run", "--no-logo", "-a", str(release / "tinycnn-otter.zip")]
    subprocess.run([*otter, "-o", str(tmp_path), str(file)], check=True, capture_output=True)
    tests = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["tests"]
    return sum(test.get("score", 0) for test in tests), sum(test.get("max_score", 0) for test in tests), str(tests)


@pytest.mark.parametrize("old, new, score, said", [
    ("", "", 5, "All test cases passed"),
    ("2 * padding", "padding", 1, "the padding is counted on one side only"),
    ("    extent =", "    raise SystemExit\n    extent =", 0, "called sys.exit"),
])  # fmt: skip
def test_otter_grades_a_step(release, tmp_path, old, new, score, said):
    text = (SOLUTIONS / "step01_output_size.py").read_text(encoding="utf-8")
    before, _, after = text.rpartition(old) if old else (text, "", "")
    (tmp_path / "step01_output_size.py").write_text(before + new + after, encoding="utf-8")
    got, most, words = graded_by_otter(release, tmp_path, "step01_output_size.py")
    assert (got, most) == (score, 5)
    assert said in words


def test_otter_says_what_to_submit(release, tmp_path):
    (tmp_path / "notes.py").write_text("print(1)\n", encoding="utf-8")
    got, _, words = graded_by_otter(release, tmp_path, "notes.py")
    assert got == 0
    assert "expected files like step01_output_size.py" in words


# --- Gradescope --------------------------------------------------------------------------------------------


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
