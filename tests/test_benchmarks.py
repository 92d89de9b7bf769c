"""The benchmarks that need no GPU: they run, each library in a process of its own, and write what they print."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import nets  # noqa: E402
import operators  # noqa: E402
import scaling  # noqa: E402
import timing  # noqa: E402
import training  # noqa: E402

import tinycnn  # noqa: E402

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory of a process from /proc")


def test_a_table_of_a_net(tmp_path):
    path = tmp_path / "rows.json"
    command = [sys.executable, BENCHMARKS / "training.py", "--only", "LeNet-5, batch 64", "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*command, "--repeats", "1", "--json", path], env=environment, capture_output=True, text=True, check=True
    )
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert [row["name"].split(": ")[1] for row in rows] == ["training step", "inference", "peak memory"]
    for row in rows:
        assert re.search(rf"^{re.escape(row['name'])} +1 +[\d.]+ (ms|MB)", run.stdout, re.MULTILINE), run.stdout
    step, inference, peak = (row["tinycnn"] for row in rows)
    assert 0 < inference < step < 10
    assert 1 < peak < 1000


def test_a_library_is_measured_alone(tmp_path):
    """The process of a worker has the library that it was told, and the other one is not loaded."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, timing\n"
        "def calls(lib):\n"
        "    assert 'torch' not in sys.modules, 'the other library is loaded, too'\n"
        "    assert os.environ['OMP_NUM_THREADS'] == '3'\n"
        "    print('what it prints does not disturb the answers')\n"
        "    return {lib.__name__: lambda: None}\n"
        "timing.run(__file__, {'a group': calls}, 'doc', [3], 1)\n",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(BENCHMARKS)]))
        with timing.Worker(str(script), "tinycnn", 3, "a group") as worker:
            assert worker.calls == ["tinycnn"]
            seconds = worker.turn("tinycnn", 1)
            assert seconds
            assert all(0 <= each < 1 for each in seconds)
            assert worker.peak_bytes() >= 0


@pytest.mark.parametrize("build", [nets.lenet, nets.wide], ids=lambda build: build.__name__)
def test_nets_of_28_pixels(build):
    assert build(tinycnn)(tinycnn.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("build", [nets.resnet20, nets.resnet18, nets.mobilenet, nets.vgg], ids=lambda b: b.__name__)
def test_nets_of_32_pixels(build):
    assert build(tinycnn)(tinycnn.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_resnet20_is_that_of_the_paper():
    """20 layers with weights, and those of the two ways around that change the width."""
    weights = [p for p in nets.resnet20(tinycnn).parameters() if p.ndim > 1]
    assert len(weights) == 20 + 2
    assert 0.26e6 < sum(p.numel() for p in weights) < 0.28e6


def test_a_step_with_a_label_for_each_pixel():
    step = nets.training_step(tinycnn, nets.unet, 1, "SGD", image=(3, 16, 16), of_pixels=True)
    first = step().item()
    for _ in range(5):
        last = step().item()
    assert last < first


@pytest.mark.parametrize("case", operators.CASES[-4:] + operators.CASES[:1], ids=lambda case: case.name)
def test_single_convolutions(case):
    small = case._replace(n=1, s=tuple(min(size, 12) for size in case.size))
    calls = operators.candidates(tinycnn, small)
    assert tuple(calls) == operators.DIRECTIONS
    for call in calls.values():
        call()


def test_the_figure_of_growth(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [
        {"name": f"{name} {n}", "threads": threads, "tinycnn": n * 1e-3, "torch": n * 2e-3}
        for name, panel in scaling.PANELS.items()
        for n in panel.values
        for threads in (1, 2)
    ]
    scaling.draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_all_of_them_are_run_by_one_command():
    (scripts,) = re.findall(r"SCRIPTS = (\[.*\])", (BENCHMARKS / "run.py").read_text(encoding="utf-8"))
    has_groups = {path.name for path in BENCHMARKS.glob("*.py") if "timing.run(" in path.read_text(encoding="utf-8")}
    assert has_groups - {"timing.py"} <= set(ast.literal_eval(scripts))
    assert training.GROUPS
    assert scaling.GROUPS
