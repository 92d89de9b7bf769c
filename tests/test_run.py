"""Programs written for torch, run unchanged with `python -m tinycnn.run`."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import tinycnn

REPOSITORY = Path(__file__).resolve().parents[1]


def run(tmp_path, text, *arguments, options=(), name="program.py"):
    """The finished process of a program of this text."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    target = [str(path)] if name.endswith("program.py") else ["-m", name.removesuffix(".py").replace("/", ".")]
    command = [sys.executable, "-m", "tinycnn.run", *options, *target, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)


def output(tmp_path, text, *arguments):
    """What a program prints that ends well and misses nothing."""
    done = run(tmp_path, text, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


def test_a_training_program(tmp_path):
    text = """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(torch.flatten(F.max_pool2d(F.relu(self.conv(x)), 2), 1))

if __name__ == "__main__":
    torch.manual_seed(0)
    net = Net().to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    scheduler = StepLR(optimizer, 1)
    for x, y in DataLoader(TensorDataset(torch.randn(8, 1, 6, 6), torch.zeros(8).to(torch.int64)), batch_size=4):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    scheduler.step()
    print(isinstance(net.fc.weight, torch.Tensor), type(net), round(scheduler.get_last_lr()[0], 6))
"""
    assert output(tmp_path, text) == ["True <class '__main__.Net'> 0.01"]


def test_the_program_sees_what_python_would_show_it(tmp_path):
    text = "import sys, torch; print(sys.argv[1:], __name__, __file__ == sys.argv[0], sys.path[0], __spec__)"
    assert output(tmp_path, text, "--lr", "1") == [f"['--lr', '1'] __main__ True {tmp_path} None"]


def test_a_module_of_a_package(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    done = run(tmp_path, "import sys, torch; print(__name__, sys.argv[1:])", "x", name="package/job.py")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "__main__ ['x']\n")


def test_names_that_are_missing_are_listed_once(tmp_path):
    text = """
import torch
for _ in range(2):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        pass
    hasattr(torch, "no_such_function")
torch.nn.NoSuchLayer(3)
"""
    done = run(tmp_path, text)
    assert done.returncode == 1
    lines = done.stderr.split("\n")
    assert lines[0:2] == ["Traceback (most recent call last):", f'  File "{tmp_path}/program.py", line 9, in <module>']
    assert "AttributeError: torch.nn.NoSuchLayer: tinycnn has no such name" in done.stderr
    assert lines[-5:] == [
        "tinycnn.run: 3 name(s) of torch that tinycnn lacks:",
        "  torch.utils.tensorboard  (program.py:5)",
        "  torch.no_such_function  (program.py:8)",
        "  torch.nn.NoSuchLayer  (program.py:9)",
        "",
    ]


def test_a_module_that_is_not_to_come_says_so_where_it_is_imported(tmp_path):
    text = """
try:
    import torch.fx as fx
except ImportError as error:
    print(error)
import torch.distributed as dist
import torch.multiprocessing as mp
print(dist.is_available() and dist.is_initialized(), mp.cpu_count() > 0, mp.get_sharing_strategy())
dist.init_process_group("gloo")
"""
    done = run(tmp_path, text)
    first, second, *_ = done.stdout.split("\n")
    assert first == (
        "tinycnn.fx: tinycnn is for convolutional nets and stays small: it does not have graphs of Python's code"
    )
    assert second == "False True file_descriptor"
    assert "ValueError: init_process_group: this program was started without a launcher" in done.stderr


@pytest.mark.parametrize(
    "text, name",
    [
        ("torch.ones(2).no_such_method()", "Tensor.no_such_method"),
        ("torch.optim.SGD([torch.ones(2)], lr=1, no_such_option=True)", "SGD.__init__(no_such_option=)"),
        ("class Net(torch.nn.Module): pass\nNet().no_such_method()", "Module.no_such_method"),
    ],
)
def test_a_missing_method_or_argument_is_listed(tmp_path, text, name):
    done = run(tmp_path, f"import torch\n{text}\n")
    assert done.returncode == 1
    assert f"  {name}  (program.py:{text.count(chr(10)) + 2})\n" in done.stderr


def test_an_error_of_the_program_is_its_own(tmp_path):
    done = run(tmp_path, "import torch\nclass A: pass\nA().x")
    assert done.returncode == 1
    assert "tinycnn" not in done.stderr
    assert [line for line in done.stderr.split("\n") if line.startswith("  File")] == [
        f'  File "{tmp_path}/program.py", line 3, in <module>'
    ]


@pytest.mark.parametrize("status, found", [("0", 0), ("3", 3), ("None", 0), ("'words'", 1)])
def test_the_exit_status_is_the_programs(tmp_path, status, found):
    done = run(tmp_path, f"import sys, torch; torch.nn.Linear(2, 2); sys.exit({status})")
    assert done.returncode == found
    assert done.stderr.strip() == ("words" if found == 1 else "")


def test_switches_are_kept(tmp_path):
    text = """
import torch
import torch.backends.cudnn as cudnn
cudnn.benchmark = True
torch.backends.cudnn.deterministic = True
torch.backends.cuda.matmul.allow_tf32 = True
print(cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.mps.is_available(), torch.version.cuda)
print(torch.compile(len) is len, torch.accelerator.is_available(), torch.accelerator.current_accelerator())
"""
    assert output(tmp_path, text)[0].startswith("True True False")


def test_pickles_of_the_program(tmp_path):
    text = """
import pickle, torch
class Net(torch.nn.Linear): pass
torch.manual_seed(0)
net = Net(2, 2)
again = pickle.loads(pickle.dumps(net))
print(type(again) is Net, bool((again.weight == net.weight).all()))
open("tensor.pickle", "wb").write(pickle.dumps(torch.ones(2)))
"""
    assert output(tmp_path, text) == ["True True"]
    assert pickle.loads((tmp_path / "tensor.pickle").read_bytes()).tolist() == [1, 1]


def test_versions_can_be_compared(tmp_path):
    text = "import torch; print(tuple(int(x) for x in torch.__version__.split('.')[:2]) >= (2, 0), torch.__name__)"
    assert output(tmp_path, text) == ["True torch"]


def test_nothing_else_is_touched(tmp_path):
    text = """
import subprocess, sys, torch
print("tinycnn" in torch.__file__, torch.nn.functional.relu.__module__.split(".")[0])
print(torch.nn is sys.modules["torch.nn"])
code = "import importlib.util as u; print(u.find_spec('torch') is None or 'tinycnn' not in u.find_spec('torch').origin)"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
"""
    assert output(tmp_path, text) == ["True tinycnn", "True", "True"]


def test_check_runs_nothing(tmp_path):
    text = """
import torch, os
import torch.nn as nn
from torch.nn import functional as F, NoSuchLayer
print("runs")
os.no_such, torch.relu, nn.Conv2d, F.no_such_function, torch.Tensor.anything
"""
    done = run(tmp_path, text, options=["--check"])
    assert (done.returncode, done.stdout) == (1, "")
    names = [line.split()[0] for line in done.stderr.split("\n")[1:-1]]
    assert names == ["torch.nn.NoSuchLayer", "torch.nn.functional.no_such_function"]
    assert run(tmp_path, "import torch\ntorch.relu", options=["--check"]).returncode == 0


@pytest.mark.parametrize("arguments", [[], ["-m"], ["--check"], ["no_such_file.py"]])
def test_what_cannot_be_run(tmp_path, arguments):
    command = [sys.executable, "-m", "tinycnn.run", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr


# --- imports swapped by hand ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "import tinycnn.nn as nn; nn.Conv2d",
        "from tinycnn.utils.data import DataLoader, Dataset; DataLoader",
        "import tinycnn as torch; torch.utils.data.DataLoader",
        "from tinycnn import datasets, transforms, models; datasets.MNIST, transforms.Compose, models.resnet18",
        "import tinycnn.backends.cudnn as cudnn; cudnn.benchmark = True",
        "from tinycnn.nn.parameter import Parameter; Parameter",
        "from tinycnn.nn.modules.module import Module; from tinycnn import nn; assert Module is nn.Module",
        "from tinycnn.nn.modules.batchnorm import BatchNorm2d as B; from tinycnn import nn; assert B is nn.BatchNorm2d",
        "from tinycnn.nn.modules import Conv2d; from tinycnn import nn; assert Conv2d is nn.Conv2d",
        "from tinycnn.optim.lr_scheduler import StepLR; StepLR",
        "from tinycnn.optim import Optimizer; Optimizer",
        "from tinycnn.optim.optimizer import Optimizer, required; assert repr(required) == '<required parameter>'",
        "from tinycnn.cuda.amp import GradScaler, autocast; GradScaler",
        "import tinycnn; tinycnn.cuda.amp.autocast, tinycnn.nn.parallel.DataParallel",
    ],
)
def test_imports_swapped_by_hand(statement):
    done = subprocess.run([sys.executable, "-c", statement], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_copy_of_each_module():
    code = "import tinycnn.nn.modules.conv, tinycnn.nn.conv; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "tinycnn.nn.modules.conv" in done.stdout.split()
    check = "import tinycnn, tinycnn.nn.modules.conv as c; assert c is tinycnn.nn.conv"
    subprocess.run([sys.executable, "-c", check], cwd=REPOSITORY, check=True)


def test_data_parallel_wraps():
    model = tinycnn.nn.DataParallel(tinycnn.nn.Linear(2, 3), device_ids=[0])
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    assert model(tinycnn.ones(4, 2)).shape == (4, 3)


def test_a_folder_is_run_by_its_main(tmp_path):
    text = "import torch, sys\nprint(__file__, sys.argv[1:], torch.ones(1))"
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__main__.py").write_text(text)
    for path in ("program", "program/__main__.py"):
        command = [sys.executable, "-m", "tinycnn.run", path, "x"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"{tmp_path / 'program' / '__main__.py'} ['x'] tensor([1.])\n"
