"""Trains a small net for some steps, on as many ranks as there are, and writes its state: of rank 0, or of a program
without ranks.

    steps.py OUT [--optimizer sgd|adam] [--norm] [--accumulate] ...
"""

import argparse
import os

import numpy as np

import tinycnn
from tinycnn import distributed, nn, optim, tensor

parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("--optimizer", default="sgd")
parser.add_argument("--norm", action="store_true")
parser.add_argument("--accumulate", action="store_true")
parser.add_argument("--bucket", type=float, default=10)
parser.add_argument("--average-every", type=int)
parser.add_argument("--even", action="store_true", help="batches of 10 alone, and no momentum")
parser.add_argument("--gpu", action="store_true", help="on the emulator, one GPU a rank")
parser.add_argument("--capture", action="store_true")
parser.add_argument("--unweighted", action="store_true", help="a bug: each rank tells the same number of samples")
options = parser.parse_args()
BATCH = 10
ITEMS = 30 if options.even else 23  # batches of 10, 10 and 3
STEPS = 50

if options.gpu:
    from tests import emulator

    emulator.install()
    os.environ["TINYCNN_CUBLAS"] = str(emulator.cublas_path())

rank, size = 0, 1
if distributed.is_launched():
    distributed.init_process_group(timeout=60)
    rank, size = distributed.get_rank(), distributed.get_world_size()

tinycnn.manual_seed(rank)  # other ranks begin with other parameters
tinycnn.set_default_dtype("float64")
norm = [nn.BatchNorm2d(3)] if options.norm else []
# Before a norm, a bias has the gradient 0, and Adam makes steps of its rounding errors.
convolution, hidden, output = nn.Conv2d(2, 3, 3, bias=not norm), nn.Linear(48, 7), nn.Linear(7, 5)
net = nn.Sequential(convolution, *norm, nn.ReLU(), nn.Flatten(), hidden, nn.Tanh(), output)
if options.norm:
    net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
device = "cuda" if options.gpu else "cpu"
net = net.to(device)
wrapped = net
if distributed.is_initialized():
    wrapped = nn.parallel.DistributedDataParallel(
        net, bucket_cap_mb=options.bucket, average_every=options.average_every
    )
    if options.unweighted:
        wrapped._samples = lambda inputs: 1
if options.optimizer == "sgd":
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.0 if options.even else 0.9, weight_decay=1e-3)
else:
    optimizer = optim.Adam(net.parameters(), lr=0.01)

numbers = np.random.default_rng(0)
images = tensor(numbers.normal(size=(ITEMS, 2, 6, 6)), device=device)
targets = tensor(numbers.integers(0, 5, ITEMS), device=device)


def backward(images, targets, share=1.0):
    scores = wrapped(images)
    # Of no samples there is no mean: the rank takes part with gradients of 0.
    loss = nn.functional.cross_entropy(scores, targets) if len(images) else scores.sum()
    (loss * share).backward()


def train(images, targets):
    optimizer.zero_grad()
    if options.accumulate:
        middle, share = len(images) // 2, 1 / max(len(images), 1)
        with wrapped.no_sync():
            backward(images[:middle], targets[:middle], middle * share)
        backward(images[middle:], targets[middle:], (len(images) - middle) * share)
    else:
        backward(images, targets)
    optimizer.step()


if options.capture:
    train = tinycnn.cuda.capture(train)

for step in range(STEPS):
    start = step % 3 * BATCH
    items = min(BATCH, ITEMS - start)
    first, last = (start + items * r // size for r in (rank, rank + 1))
    train(images[first:last], targets[first:last])

if options.capture:
    assert train.captured, train.reason
if distributed.is_initialized():
    wrapped.average_parameters()
    distributed.check_parameters(net)
if rank == 0:
    np.savez(options.out, **{name: x.cpu().numpy() for name, x in net.state_dict().items()})
