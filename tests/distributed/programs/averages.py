"""Ranks that average their parameters after every third step, with outer momentum, against a loop over all of them in
one process."""

import copy

import numpy as np

import tinycnn
from tinycnn import distributed, nn, optim, tensor
from tinycnn.training import Trainer

EVERY, STEPS, MOMENTUM = 3, 10, 0.6
distributed.init_process_group(timeout=30)
rank, size = distributed.get_rank(), distributed.get_world_size()
tinycnn.manual_seed(0)
tinycnn.set_default_dtype("float64")
first = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
x = tensor(np.random.default_rng(1).normal(size=(STEPS, size, 5, 4)))


def step(net, optimizer, images):
    optimizer.zero_grad()
    (net(images) - images.sum(1, keepdim=True)).square().mean().backward()
    optimizer.step()


# All ranks in one process. Momentum of each rank's own, v of the averages: v ← m v + (x − x̄), x ← x − v.
nets = [copy.deepcopy(first) for _ in range(size)]
optimizers = [optim.SGD(net.parameters(), lr=0.05, momentum=0.9) for net in nets]
last = [p.detach().numpy().copy() for p in first.parameters()]
velocity = [0.0] * len(last)
for i in range(STEPS):
    for r in range(size):
        step(nets[r], optimizers[r], x[i, r])
    if (i + 1) % EVERY == 0 or i + 1 == STEPS:
        for k, parameters in enumerate(zip(*[net.parameters() for net in nets])):
            mean = np.mean([p.detach().numpy() for p in parameters], axis=0)
            velocity[k] = MOMENTUM * velocity[k] + (last[k] - mean)
            last[k] = last[k] - velocity[k]
            for p in parameters:
                p.data = tensor(last[k].copy())

net = copy.deepcopy(first)
wrapped = nn.parallel.DistributedDataParallel(net, average_every=EVERY, outer_momentum=MOMENTUM)
optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for i in range(STEPS):
    step(wrapped, optimizer, x[i, rank])
wrapped.average_parameters()
wrapped.average_parameters()  # nothing has happened since
for p, wanted in zip(net.parameters(), last):
    np.testing.assert_allclose(p.detach().numpy(), wanted, rtol=0, atol=1e-13)
distributed.check_parameters(net)

# Of a Trainer, too, nothing is sent between two averages; the step of a loss that is nan is left out by its rank alone.
engine, sent = distributed.group.current("").mpi, []
for name in ("all_reduce", "start_all_reduce", "broadcast"):
    call = getattr(engine, name)
    setattr(engine, name, lambda *a, call=call, name=name: (sent.append(name), call(*a))[1])
batches = [(x[i, rank], x[i, rank].sum(1, keepdim=True)) for i in range(STEPS)]
if rank == 1:
    batches[4] = (batches[4][0] * np.nan, batches[4][1])
net = copy.deepcopy(first)
trainer = Trainer(
    net, optim.SGD(net.parameters(), lr=0.05), nn.functional.mse_loss, metrics={}, average_every=EVERY,
    outer_momentum=MOMENTUM,
)  # fmt: skip
counts = []
sent.clear()
trainer.parallel.train()
for images, targets in batches:
    trainer.run_step(images, targets)
    counts.append(len(sent))
# 4 parameters, averaged before the fourth, the seventh and the tenth step.
assert counts == [0, 0, 0, 4, 4, 4, 8, 8, 8, 12], counts
trainer.parallel.average_parameters()
distributed.check_parameters(net)
assert all(np.isfinite(p.detach().numpy()).all() for p in net.parameters())
