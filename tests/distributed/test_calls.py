"""The calls of tinycnn.distributed, DistributedSampler, and what changes in a program without ranks: nothing."""

import re
import subprocess
import sys

import numpy as np
import pytest

from tests.distributed.ranks import REPOSITORY, run
from tinycnn import data, distributed, nn, tensor

NO_GROUP = {
    "all_reduce": lambda: distributed.all_reduce(tensor([1.0])),
    "broadcast": lambda: distributed.broadcast(tensor([1.0])),
    "all_gather": lambda: distributed.all_gather([], tensor([1.0])),
    "all_gather_into_tensor": lambda: distributed.all_gather_into_tensor(tensor([1.0]), tensor([1.0])),
    "barrier": distributed.barrier,
    "get_rank": distributed.get_rank,
    "get_world_size": distributed.get_world_size,
    "get_backend": distributed.get_backend,
    "destroy_process_group": distributed.destroy_process_group,
    "check_parameters": lambda: distributed.check_parameters(nn.Linear(1, 1)),
    "DistributedDataParallel": lambda: nn.parallel.DistributedDataParallel(nn.Linear(1, 1)),
}


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_calls(ranks):
    assert run(ranks, "calls.py", ranks).stdout.count("all is well") == ranks


@pytest.mark.mpi
def test_calls_on_gpus():
    """On the emulator of CuPy, by a stand-in for NCCL."""
    assert run(2, "calls.py", 2, "gpu").stdout.count("all is well") == 2


SHARED = """
from tests import emulator; emulator.install()
import tinycnn; from tinycnn import distributed as d
d.init_process_group({backend!r}); x = tinycnn.ones(3, device="cuda"); d.all_reduce(x)
assert (d.get_backend(), x.tolist(), tinycnn.cuda.current_device()) == ("mpi", [3.0] * 3, d.get_rank() % 2)
"""


@pytest.mark.mpi
def test_ranks_that_share_a_gpu_exchange_through_the_host():
    run(3, "-c", SHARED.format(backend="auto"))
    done = run(3, "-c", SHARED.format(backend="nccl"), check=False)
    assert "backend 'nccl' cannot be used: ranks 0 and 2 share a GPU; backend 'mpi' can" in done.stderr
    assert done.returncode == 1


@pytest.mark.mpi
def test_the_launcher_hands_on_arguments_and_output():
    program = "import sys; from tinycnn import distributed as d; d.init_process_group();"
    program += "sys.stdout.write(f'{d.get_rank()} {sys.argv[1:]}\\n')"
    words = [sys.executable, "-m", "tinycnn.distributed", "-n", "2", "-c", program, "-n", "--x=1"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["0 ['-n', '--x=1']", "1 ['-n', '--x=1']"]


@pytest.mark.mpi
def test_threads_are_divided_among_the_ranks_of_a_machine():
    program = (
        "import os, tinycnn; from tinycnn import distributed as d; before = tinycnn.get_num_threads();"
        "d.init_process_group(); assert tinycnn.get_num_threads() == max(1, before // 2);"
        "d.destroy_process_group(); assert tinycnn.get_num_threads() == before"
    )
    words = [sys.executable, "-m", "tinycnn.distributed", "-n", "2", "-c", program]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.mpi
def test_the_loop_of_the_docs(tmp_path):
    text = (REPOSITORY / "docs" / "scaling.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    run(3, "-c", block, cwd=tmp_path)
    assert (tmp_path / "weights.safetensors").is_file()


@pytest.mark.mpi
def test_buckets_are_sent_during_the_backward_pass():
    run(2, "overlap.py")


@pytest.mark.parametrize("name", NO_GROUP)
def test_without_a_process_group(name):
    assert not distributed.is_initialized()
    with pytest.raises(ValueError, match=f"^{name}: no process group: call tinycnn.distributed.init_process_group"):
        NO_GROUP[name]()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"backend": "mpy"}, "init_process_group: expected backend"),
        ({"world_size": 0}, "expected world_size of at least 1, or -1, got 0"),
        ({"rank": -2}, "expected rank of at least 0, or -1, got -2"),
        ({"timeout": 0}, "expected timeout in seconds above 0"),
        ({"init_method": "tcp://localhost:23456"}, "expected init_method None or 'env://'"),
        ({}, "started without a launcher: python -m tinycnn.distributed -n 2 PROGRAM"),
    ],
)
def test_a_group_that_cannot_be_made(options, words):
    with pytest.raises(ValueError, match=words):
        distributed.init_process_group(**options)
    assert not distributed.is_initialized()


def test_nothing_is_imported_by_asking():
    probe = "import sys, tinycnn; d = tinycnn.distributed; d.is_available(), d.is_initialized(), d.is_nccl_available();"
    probe += "import tinycnn.training, tinycnn.data; print('mpi4py' in sys.modules, 'cupy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


# --- DistributedSampler ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("N, ranks", [(10, 3), (12, 4), (2, 5), (7, 1)])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_shares_of_a_data_set(N, ranks, shuffle, drop_last):
    if drop_last and ranks > N:
        with pytest.raises(ValueError, match="expected at least 5 items, one a rank, got 2"):
            data.DistributedSampler(range(N), ranks, 0, drop_last=True)
        return
    samplers = [data.DistributedSampler(range(N), ranks, r, shuffle, 4, drop_last) for r in range(ranks)]
    shares = [list(sampler) for sampler in samplers]
    assert {len(share) for share in shares} == {len(samplers[0])}
    together = [i for row in zip(*shares) for i in row]
    assert len(together) == (N // ranks if drop_last else -(-N // ranks)) * ranks
    first = together[:N]
    assert len({*first}) == len(first)  # none twice before each has come
    assert (sorted(first) == first) or shuffle
    assert drop_last or {*together} == {*range(N)}


def test_an_epoch_has_its_own_order_the_same_on_all_ranks():
    one, other = (data.DistributedSampler(range(50), 2, 0) for _ in range(2))
    assert [*one] == [*one] == [*other]
    one.set_epoch(1)
    assert [*one] != [*other]
    other.set_epoch(1)
    assert [*one] == [*other]


@pytest.mark.torch
@pytest.mark.parametrize("N, ranks", [(10, 3), (12, 4), (2, 5)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_shares_are_torchs(N, ranks, drop_last):
    from torch.utils.data.distributed import DistributedSampler

    if drop_last and ranks > N:
        pytest.skip("torch gives each rank nothing")
    for rank in range(ranks):
        options = {"shuffle": False, "drop_last": drop_last}
        ours = data.DistributedSampler(range(N), ranks, rank, **options)
        theirs = DistributedSampler(range(N), ranks, rank, **options)
        assert ([*ours], len(ours)) == ([*theirs], len(theirs))
        assert (ours.num_samples, ours.total_size) == (theirs.num_samples, theirs.total_size)


def test_samplers_that_cannot_be():
    for arguments, words in [
        ((range(3),), "expected num_replicas and rank, or a process group"),
        ((range(3), 2, 2), "expected rank below num_replicas 2, got 2"),
        ((range(0), 2, 1), "DistributedSampler: items of dataset"),
    ]:
        with pytest.raises(ValueError, match=words):
            data.DistributedSampler(*arguments)


# --- the parts of a batch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_divided_loader_gives_parts_of_the_same_batches(shuffle, monkeypatch):
    monkeypatch.setattr(distributed, "broadcast", lambda x: x)  # the seed, which is the same here
    items = data.TensorDataset(tensor(np.arange(23)))
    whole = [batch.tolist() for (batch,) in data.DataLoader(items, 5, shuffle, seed=3)]
    parts = []
    for rank in range(3):
        loader = data.DataLoader(items, 5, shuffle, seed=3)
        loader.divide(rank, 3)
        assert len(loader) == 5
        parts.append([batch.tolist() for (batch,) in loader])
    assert [[item for part in of_ranks for item in part] for of_ranks in zip(*parts)] == whole
    assert [len(part) for part in zip(*parts)][-1] == 3


class Named(data.Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, i):
        return {"image": np.full((2, 3), i, np.float32), "of": (str(i), i)}


@pytest.mark.parametrize("collate", [None, lambda items: data.default_collate(items)])
def test_a_part_without_items_is_like_the_others(collate, monkeypatch):
    monkeypatch.setattr(distributed, "broadcast", lambda x: x)
    lengths = []
    for rank in range(3):
        loader = data.DataLoader(Named(), 5, collate_fn=collate)
        loader.divide(rank, 3)
        *_, last = loader
        names, numbers = last["of"]
        assert (last["image"].shape[1:], last["image"].dtype, numbers.dtype) == ((2, 3), "float32", "int64")
        lengths.append((len(last["image"]), len(names), len(numbers)))
    assert lengths == [(0, 0, 0), (1, 1, 1), (1, 1, 1)]


def test_on_one_rank_sync_batch_norm_is_batch_norm():
    x = tensor(np.random.default_rng(0).normal(size=(4, 3, 5, 2)))
    plain, synchronized = nn.BatchNorm2d(3, dtype="float64"), nn.SyncBatchNorm(3, dtype="float64")
    assert (plain(x) == synchronized(x)).all()
    assert (plain.eval()(x) == synchronized.eval()(x)).all()


def test_layers_are_converted_with_their_state():
    net = nn.Sequential(nn.BatchNorm1d(3, eps=0.1, momentum=None), nn.Sequential(nn.BatchNorm2d(2, affine=False)))
    net[0].running_mean += 2
    state, weight = net.state_dict(), net[0].weight
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net.eval())
    assert [type(layer) for layer in converted.modules()] == [
        nn.Sequential, nn.SyncBatchNorm, nn.Sequential, nn.SyncBatchNorm
    ]  # fmt: skip
    assert converted[0].weight is weight
    assert not converted[0].training
    assert (converted[0].eps, converted[0].momentum) == (0.1, None)
    assert all((converted.state_dict()[name] == x).all() for name, x in state.items())
    assert isinstance(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(1)), nn.SyncBatchNorm)
