"""benchmarks/gpu.py: every section comes through with tiny sizes, and none is lost when another one fails."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinycnn

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks/gpu.py"
COLUMNS = {
    "steps": {"eager", "captured", "eager, host"},
    "counts": {"kernels of its own", "cuBLAS products", "all launches", "waits"},
    "convolutions": {"forward", "input gradient", "weight gradient"},
    "bandwidth": {"GB/s", "a copy's", "share"},
    "launching": {"CuPy's RawKernel", "with the way to it"},
    "memory": {"peak", "reserved"},
    "loading": {"on the device", "copied ahead", "copied before the step"},
    "accuracy": {"eager (torch: eager)", "captured (torch: eager)"},
    "start": {"nothing compiled before", "kernels compiled before"},
}


def run(*arguments, **environment):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
@pytest.mark.gpu
def test_every_section_gives_its_figures(tmp_path):
    done = run("--quick", "--out", tmp_path / "figures")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "figures.json").read_text())
    assert [(f["part"], f["error"]) for f in written["failures"] if "torch" not in f["part"]] == []
    assert {"GPU", "CUDA", "CuPy", "tinycnn", "numpy"} <= set(written["environment"])
    found = {(row["section"], row["column"]): row["tinycnn"] for row in written["rows"]}
    for section, columns in COLUMNS.items():
        assert all(found[section, column] > 0 for column in columns if column != "waits")
    assert found["counts", "waits"] == 0
    assert found["counts", "all launches"] >= found["counts", "kernels of its own"] + found["counts", "cuBLAS products"]
    tables = (tmp_path / "figures.md").read_text()
    assert tables.count("\n### ") == len(COLUMNS)
    emulated = os.environ.get("TINYCNN_EMULATE_GPU") == "1"
    assert ("Emulated on a CPU: these are no measurements" in tables) == emulated
    assert tables.split("\n### ", 1)[1] in done.stdout


@pytest.mark.gpu
def test_a_part_that_fails_is_recorded_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("benchmark_of_the_gpu", SCRIPT)
    gpu = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, gpu)  # its dataclass looks there
    spec.loader.exec_module(gpu)

    def broken(report, options):
        report.add("before", "time", "ms", {"tinycnn": 1.0})
        raise RuntimeError("planted")

    def sound(report, options):
        with report.part("a part"):
            raise ValueError("planted, too")
        report.add("after", "time", "ms", {"tinycnn": 0.002, "torch": 0.001})

    def waiting(report, options):  # its calls run eagerly and must not pass for replays
        x = tinycnn.ones(2, device="cuda")
        gpu.replay("tinycnn", lambda: x.sum().item)

    monkeypatch.setitem(gpu.SECTIONS, "steps", broken)
    monkeypatch.setitem(gpu.SECTIONS, "memory", sound)
    monkeypatch.setitem(gpu.SECTIONS, "start", waiting)
    assert gpu.main(["--quick", "--out", str(tmp_path / "figures"), "--only", "steps", "memory", "start"]) == 0
    written = json.loads((tmp_path / "figures.json").read_text())
    assert [(row["row"], row["tinycnn"], row.get("torch")) for row in written["rows"]] == [
        ("before", 1.0, None), ("after", 0.002, 0.001)
    ]  # fmt: skip
    *planted, refused = [(f["section"], f["part"], f["error"]) for f in written["failures"]]
    assert planted == [
        ("steps", "all that follows", "RuntimeError: planted"), ("memory", "a part", "ValueError: planted, too")
    ]  # fmt: skip
    assert refused[0] == "start"
    assert refused[2].startswith("RuntimeWarning: capture: the step runs eagerly")
    tables = (tmp_path / "figures.md").read_text()
    assert "| before | 1,000.00 ms |" in tables
    assert "| after | **2.00** (2.00 / 1.00 ms) |" in tables
    assert "- all that follows: failed: RuntimeError: planted" in tables


def test_without_a_gpu_one_line_says_what_is_missing(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('none here')")
    done = run("--out", tmp_path / "figures", PYTHONPATH=str(tmp_path), TINYCNN_EMULATE_GPU="0")
    assert done.returncode == 1
    assert re.fullmatch(r"nothing measured: .*CuPy.*\n", done.stderr)
    assert not (tmp_path / "figures.json").exists()


def test_the_documentation_names_every_section():
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(COLUMNS)
