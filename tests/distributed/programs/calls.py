"""Checks what the calls give, against NumPy.

    calls.py RANKS [gpu]
"""

import os
import re
import sys

import numpy as np
import pytest

import tinycnn
from tinycnn import data, distributed, nn, tensor
from tinycnn.distributed import ReduceOp

device = "cpu"
if "gpu" in sys.argv:
    from tests import emulator

    emulator.install()
    os.environ["TINYCNN_CUBLAS"] = str(emulator.cublas_path())
    device = "cuda"

backend = "gloo" if device == "cpu" else "nccl"
distributed.init_process_group(backend, timeout=20, world_size=int(sys.argv[1]))
rank, size = distributed.get_rank(), distributed.get_world_size()
assert distributed.is_initialized()
assert distributed.get_backend() == ("mpi" if device == "cpu" else "nccl")

numbers = np.random.default_rng(5)
DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "uint8", "bool"]
FUNCTIONS = {ReduceOp.SUM: np.sum, ReduceOp.PRODUCT: np.prod, ReduceOp.MIN: np.min, ReduceOp.MAX: np.max}

for dtype in DTYPES:
    values = (numbers.random((size, 3, 4)) * 3).astype(dtype)  # the same on all ranks
    for op, function in FUNCTIONS.items():
        x = tensor(values[rank], device=device).t()  # not contiguous
        version = x._shared_version().count
        assert distributed.all_reduce(x, op) is None
        np.testing.assert_allclose(x.cpu().numpy(), function(values, axis=0).astype(dtype).T, rtol=1e-3, err_msg=dtype)
        assert x.dtype == dtype
        assert x._shared_version().count > version
    for source in range(size):
        x = tensor(values[rank], device=device)
        distributed.broadcast(x, source)
        np.testing.assert_array_equal(x.cpu().numpy(), values[source])
    found = [tensor(np.zeros_like(values[0]), device=device) for _ in range(size)]
    distributed.all_gather(found, tensor(values[rank], device=device))
    np.testing.assert_array_equal(np.stack([x.cpu().numpy() for x in found]), values)
    for shape in (values.shape, (size * 3, 4)):
        whole = tensor(np.zeros(shape, dtype), device=device)
        distributed.all_gather_into_tensor(whole, tensor(values[rank], device=device))
        np.testing.assert_array_equal(whole.cpu().numpy().reshape(values.shape), values)

x = tensor([1.0 + rank, 5.0], device=device)
distributed.all_reduce(x, ReduceOp.AVG)
np.testing.assert_allclose(x.cpu().numpy(), [(size + 1) / 2, 5.0])

# Begun together, waited for in another order.
first, second = tensor([1.0], device=device), tensor([2.0], device=device)
works = [distributed.all_reduce(each, async_op=True) for each in (first, second)]
works[1].wait(), works[0].wait(), works[0].wait()
assert works[0].is_completed()
assert (first.item(), second.item()) == (size, 2 * size)

for call, words in [
    (lambda: distributed.all_reduce([1.0]), "all_reduce: expected tensor as a Tensor, got"),
    (lambda: distributed.all_reduce(x, "sum"), "all_reduce: expected op as a ReduceOp, got 'sum'"),
    (lambda: distributed.broadcast(x, size), f"broadcast: expected src from 0 to {size - 1}, got {size}"),
    (lambda: distributed.all_gather([x], x), f"all_gather: expected tensor_list of {size} Tensors, one a rank, got"),
    (lambda: distributed.all_gather([x] * (size - 1) + [x[:1]], x), "all_gather: expected Tensors of shape (2,)"),
    (lambda: distributed.all_gather_into_tensor(x, x), f"expected output_tensor of shape ({size * 2},)"),
]:
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        call()

# Parameters that only some ranks use, or none; one rank's own gradient of the others is 0.
net = nn.ModuleList([nn.Linear(2, 1, bias=False, device=device) for _ in range(3)])


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = net

    def forward(self, x, branch):
        return self.layers[branch](x)


wrapped = nn.parallel.DistributedDataParallel(Branches())
wrapped(tinycnn.ones(2, 2, device=device), rank % 2).mean().backward()
if device == "cpu":
    share = [len(range(0, size, 2)) / size, len(range(1, size, 2)) / size]
    for branch in (0, 1):
        np.testing.assert_allclose(net[branch].weight.grad.numpy(), share[branch], rtol=1e-6)
    assert net[2].weight.grad is None

# Two leaves of one bucket share one array.
dense = nn.Linear(3, 2, device=device)
wrapped = nn.parallel.DistributedDataParallel(dense)
for _ in range(2):
    dense.zero_grad()
    wrapped(tinycnn.ones(2, 3, device=device)).sum().backward()
    assert dense.weight.grad._array.base is dense.bias.grad._array.base

# BatchNorm's buffers are those of rank 0.
norm = nn.BatchNorm1d(2, device=device)
wrapped = nn.parallel.DistributedDataParallel(norm)
wrapped(tinycnn.randn(4, 2, device=device) + rank).sum().backward()
distributed.check_parameters(norm)

sampler = data.DistributedSampler(range(10))
sampler.set_epoch(3)
mine = tensor([*sampler])
everybody = [tinycnn.zeros_like(mine) for _ in range(size)]
distributed.all_gather(everybody, mine)
assert {i for each in everybody for i in each.tolist()} == {*range(10)}

distributed.barrier()
distributed.destroy_process_group()
assert not distributed.is_initialized()
distributed.init_process_group()  # once more
distributed.destroy_process_group()
print("all is well")
