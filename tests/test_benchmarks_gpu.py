"""benchmarks/gpu.py: every section comes through with tiny sizes, and none is lost when another one fails."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks/gpu.py"
SECTIONS = ["steps", "wide", "accuracy", "operators", "launches", "memory", "determinism"]


def run(*arguments, **environment):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=280)


@pytest.mark.gpu
def test_every_section_gives_its_figures(tmp_path):
    done = run("--quick", "--out", tmp_path / "figures")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "figures.json").read_text())
    failed = [(f["part"], f["error"]) for f in written["failures"] if "torch" not in f["part"]]
    assert failed == []
    sections = {row["section"] for row in written["rows"]}
    assert len(sections) == len(SECTIONS)
    names = " | ".join(row["name"] for row in written["rows"])
    steps, operators = ["float32: eager", "float32: captured", "bfloat16: captured"], ["weight gradient", "batch norm"]
    for figure in (*steps, *operators, "warm, captured", "cold", "Adam step", "kernel launch", "peak", "growth"):
        assert figure in names
    same = [row["tinycnn"] for row in written["rows"] if "bit-identical" in row["name"]]
    assert len(same) == 8
    assert all(same)
    tables = (tmp_path / "figures.md").read_text()
    assert tables.count("\n## ") == len(SECTIONS)
    emulated = os.environ.get("TINYCNN_EMULATE_GPU") == "1"
    assert ("Emulated on a CPU: these are no measurements" in tables) == emulated
    assert {line.count("|") for line in tables.splitlines() if line.startswith("|")} == {7}


@pytest.mark.gpu
def test_a_part_that_fails_is_recorded_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("benchmark_of_the_gpu", SCRIPT)
    gpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gpu)

    def broken(report, options):
        report.add("before", 1.0)
        raise RuntimeError("planted")

    monkeypatch.setitem(gpu.SECTIONS, "wide", ("Broken", broken))
    monkeypatch.setitem(gpu.SECTIONS, "memory", ("Sound", lambda report, options: report.add("after", 2.0, 1.0)))
    assert gpu.main(["--quick", "--out", str(tmp_path / "figures"), "--only", "wide", "memory"]) == 0
    written = json.loads((tmp_path / "figures.json").read_text())
    assert [(row["name"], row.get("ratio")) for row in written["rows"]] == [("before", None), ("after", 2.0)]
    assert [(f["section"], f["error"]) for f in written["failures"]] == [("Broken", "RuntimeError: planted")]
    assert "failed: RuntimeError: planted" in (tmp_path / "figures.md").read_text()


def test_without_a_gpu_one_line_says_what_is_missing(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('none here')")
    done = run("--out", tmp_path / "figures", PYTHONPATH=str(tmp_path), TINYCNN_EMULATE_GPU="0")
    assert done.returncode == 1
    assert re.fullmatch(r"nothing measured: .*CuPy.*\n", done.stderr)
    assert not (tmp_path / "figures.json").exists()
