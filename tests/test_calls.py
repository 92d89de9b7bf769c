"""The way of a training step: how many files it enters and calls it makes, which no machine's speed changes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def counted(code):
    """What `code` prints as JSON, in a process of its own: other tests leave CuPy's emulator or full caches behind."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, 'benchmarks'); import calls, json\n{code}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on, comprehensions are not calls: fewer are counted")
def test_a_lenet_step_stays_within_its_limits():
    limits, found = counted("print(json.dumps([calls.LIMITS, calls.lenet_step()[0]]))")
    assert limits == {"files": 20, "changes of file": 350, "Python calls": 700, "C calls": 900}
    assert {name: number for name, number in found.items() if number > limits[name]} == {}


def test_every_call_is_counted():
    """Three calls in one file of the package, one in another, and one of C."""
    code = """
from pathlib import Path
import tinycnn
from tinycnn.backend.threads import get_num_threads as other
from tinycnn.dtypes import get_default_dtype as one
def step():
    one(); one(); other(); one(); len("")
print(json.dumps(calls.count(step, Path(tinycnn.__file__).parent)))
"""
    found, files = counted(code)
    assert found == {"files": 2, "changes of file": 2, "Python calls": 5, "C calls": 2}  # step, and C's setprofile
    assert sorted(files.values()) == [1, 3]
