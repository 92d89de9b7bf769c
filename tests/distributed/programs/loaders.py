"""Trainer on ranks with loaders of each kind: which items a rank gets, and that together they are all, each once."""

from itertools import chain

import numpy as np
import pytest

import tinycnn
from tinycnn import data, distributed, nn, optim, tensor
from tinycnn.training import Callback, Trainer

distributed.init_process_group(timeout=30)
rank, size = distributed.get_rank(), distributed.get_world_size()
N = 23


class Items(data.Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return np.array([i], np.float32), np.array([0.0], np.float32)


class Stream(data.IterableDataset):
    def __iter__(self):
        return ((np.array([i], np.float32), np.array([0.0], np.float32)) for i in range(N))


class Seen(Callback):
    def on_train_begin(self, trainer):
        self.batches = []

    def on_batch_end(self, trainer, batch):
        self.batches.append(batch.images.flatten().tolist())


def seen(loader, epochs=1, test_loader=None, net=None):
    """By rank, the batches."""
    net, callback = net or nn.Linear(1, 1), Seen()
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=1e-4), nn.MSELoss(), metrics={}, callbacks=[callback])
    trainer.fit(loader, epochs, test_loader)
    return distributed.group.current("").mpi.gather(callback.batches)


def whole(by_rank):
    """The batches of which the ranks have parts."""
    return [[item for part in parts for item in part] for parts in zip(*by_rank, strict=True)]


in_order = [[*map(float, range(start, min(start + 5, N)))] for start in range(0, N, 5)]
tinycnn.manual_seed(rank)
assert whole(seen(data.DataLoader(Items(), 5))) == in_order
shuffled = whole(seen(data.DataLoader(Items(), 5, shuffle=True)))
assert sorted(chain(*shuffled)) == [*chain(*in_order)] != [*chain(*shuffled)]
assert [*map(len, shuffled)] == [*map(len, in_order)]
for workers in (0, 2):
    by_rank = seen(data.DataLoader(Items(), batch_sampler=[[3, 1, 4], [1, 5, 9, 2], [6, 5]], num_workers=workers))
    assert whole(by_rank) == [[3, 1, 4], [1, 5, 9, 2], [6, 5]]
drawn = whole(seen(data.DataLoader(Items(), 4, sampler=data.WeightedRandomSampler([1.0] * N, 12))))
assert [*map(len, drawn)] == [4, 4, 4]
shares = seen(data.DataLoader(Items(), 4, sampler=data.DistributedSampler(Items(), seed=1)))
assert {*chain(*chain(*shares))} == {*chain(*in_order)}
assert len({len(share) for share in shares}) == 1

# The same with lists of indices. Each epoch has an order of its own.
own = data.DistributedSampler(Items(), seed=1)
by_lists = seen(data.DataLoader(Items(), batch_sampler=data.BatchSampler(own, 4, False)), epochs=2)
assert [batches[: len(batches) // 2] for batches in by_lists] == shares
assert all(batches[: len(batches) // 2] != batches[len(batches) // 2 :] for batches in by_lists)

# The training part may be evaluated on, too.
assert whole(seen(loader := data.DataLoader(Items(), 5), 2, loader)) == in_order * 2

# As many parts of a batch on each rank, with messages in each of them: four of 15 items, and four of 16.
many = 16 * size - 1
items = data.TensorDataset(tinycnn.randn(many, 1, 2), tinycnn.randn(many, 1, 2))
net = nn.SyncBatchNorm(1)
trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.1), nn.MSELoss(), metrics={}, accumulate=4)
trainer.fit(data.DataLoader(items, many), 2)

# A stream cannot be divided by its items: a program with a loop of its own gives each rank another one.
with pytest.raises(ValueError, match="DataLoader.divide: expected batches of a data set with indices"):
    seen(data.DataLoader(Stream(), 5))
with pytest.raises(ValueError, match="Trainer.fit: expected a DataLoader, to divide its batches among ranks, got list"):
    seen([(tensor([[1.0]]), tensor([[0.0]]))])
