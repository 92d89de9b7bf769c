"""What `backward` gives on two ranks in programs that are not a forward and a backward pass in turn."""

import copy
import pickle
import time

import numpy as np
import pytest

import tinycnn
from tinycnn import distributed, nn, optim, tensor

distributed.init_process_group(timeout=20)
rank = distributed.get_rank()
DDP = nn.parallel.DistributedDataParallel
tinycnn.manual_seed(0)
mine = 1.0 + 2 * rank  # the mean over the ranks is 2


def line(inputs=1, **options):
    net = nn.Linear(inputs, 1, bias=False)
    return net, DDP(net, **options)


def x(value=mine, N=2):
    return tinycnn.full((N, 1), value)


def check(found, *wanted):
    np.testing.assert_allclose(found.grad.flatten().numpy(), wanted, rtol=1e-6)


# Two forward passes, then a backward of each.
net, model = line()
first, second = model(x()).mean(), model(x(10 * mine)).mean()
first.backward()
check(net.weight, 2)
second.backward()
check(net.weight, 22)

# Twice the same graph.
net, model = line()
loss = model(x()).mean()
loss.backward(retain_graph=True)
loss.backward()
check(net.weight, 4)

# A forward pass of one rank alone, of which nothing follows; a skipped step; a gradient by `grad`.
net, model = line()
if rank == 0:
    model(x(5.0, 1000))
    tinycnn.grad(model(x(5.0, 1000)).mean(), [net.weight])
model(x()).mean().backward()
check(net.weight, 2)

# Uneven parts, in nested inputs.
class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)

    def forward(self, batch):
        return {"scores": [self.layer(batch["x"])]}


nested = Nested()
DDP(nested)({"x": x(mine, 1 + rank)})["scores"][0].mean().backward()
check(nested.layer.weight, (1 + 3 + 3) / 3)

# Parameters that two models share: the reduction is that of the model whose output is used.
shared = nn.Linear(1, 1, bias=False)
one, other = DDP(nn.Sequential(shared, nn.Identity())), DDP(nn.Sequential(nn.Identity(), shared))
one(x()).mean().backward()
other(x()).mean().backward()
check(shared.weight, 4)
shared.zero_grad()
shared(x()).mean().backward()  # of no wrapper's output
check(shared.weight, mine)


# Two models in one backward pass, of which one leaves out a parameter on one rank: their messages begin in different
# orders.
class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.p, self.q = (nn.Parameter(tinycnn.ones(1)) for _ in range(2))

    def forward(self, x, both):
        return x * self.p + (self.q * 5 if both else 0)


a, b = Branch(), Branch()
DDP(b)(DDP(a)(x(1.0), True), rank == 1).mean().backward()
check(a.p, 1), check(a.q, 5), check(b.p, 6), check(b.q, 2.5)


# An exception in a backward pass that all ranks catch.
class Boom(Exception):
    pass


def boom(gradient):
    raise Boom


net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
model = DDP(net)
handle = net[0].weight.register_hook(boom)
with pytest.raises(Boom):
    model(x()).mean().backward()
handle.remove()
net.zero_grad()
model(x()).mean().backward()
check(net[1].weight, 2 * net[0].weight.item())

# The same when a bucket has been sent before it: the ranks cannot know how far the others are.
model = DDP(copy.deepcopy(net), bucket_cap_mb=1e-6)
model.module[0].weight.register_hook(boom)
with pytest.raises(Boom):
    model(x()).mean().backward()
with pytest.raises(RuntimeError, match="ended with an exception after gradients were sent"):
    model(x())


# A buffer that the graph uses, which is the same on all ranks.
class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        self.register_buffer("scale", tensor([3.0]))

    def forward(self, x):
        return self.layer(x) * self.scale


scaled = Scaled()
model = DDP(scaled)
outputs = [model(x()), model(x())]
sum(y.mean() for y in outputs).backward()
check(scaled.layer.weight, 12)

# Other parameters than at the start.
partly = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
partly[0].requires_grad_(False)
wrapped = DDP(partly)
partly[0].requires_grad_(True)
with pytest.raises(ValueError, match="DistributedDataParallel: 0.weight is trained now: wrap the model after that"):
    wrapped(x())
partly[0].requires_grad_(False)
partly.double()
with pytest.raises(ValueError, match="DistributedDataParallel: 1.weight is float64 now: wrap the model after `to`"):
    wrapped(x())
partly.float()
partly[0].requires_grad_(False)
copy.deepcopy(wrapped)(x()).mean().backward()

# Copies, and what pickle makes, are models without ranks.
assert pickle.loads(pickle.dumps(net)).state_dict().keys() == net.state_dict().keys()
copied = copy.deepcopy(net)
copied(x()).mean().backward()
assert copied[0].weight.grad.item() == pytest.approx(mine * net[1].weight.item())

# Averages: two forward passes a step, and one more on one rank.
net, model = line(average_every=2)
optimizer = optim.SGD(net.parameters(), lr=0.1)
begun = net.weight.item()
for _ in range(4):
    if rank == 0:
        model(x())
    optimizer.zero_grad()
    (model(x()) + model(x())).mean().backward()
    optimizer.step()
model.average_parameters()
assert net.weight.item() == pytest.approx(begun - 4 * 0.1 * 2 * 2, rel=1e-5)

# A reduction that nobody waits for; one that is asked whether it is done.
distributed.all_reduce(tinycnn.ones(1000), async_op=True)
work = distributed.all_reduce(y := tinycnn.ones(3), async_op=True)
deadline = time.monotonic() + 10
while not work.is_completed() and time.monotonic() < deadline:
    pass
assert work.wait() is True
assert y.tolist() == [2.0] * 3

for wrong in (
    lambda: distributed.all_reduce(tinycnn.ones(2 + rank)),
    lambda: distributed.all_reduce(tinycnn.ones(2, dtype=["float32", "float64"][rank])),
    lambda: distributed.all_reduce(tinycnn.ones(2), list(distributed.ReduceOp)[rank]),
    lambda: distributed.broadcast(tinycnn.ones(2), rank),
    lambda: distributed.all_gather_into_tensor(tinycnn.ones(2, 2 + rank), tinycnn.ones(2 + rank)),
):
    with pytest.raises(ValueError, match="expected the same call on all ranks, got .* on rank 0, .* on rank 1"):
        wrong()

# The last call, after which rank 0 ends while rank 1 is late.
if rank == 1:
    time.sleep(3)
distributed.broadcast(y)
distributed.destroy_process_group()
