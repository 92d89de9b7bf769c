"""Trains a net with dropout on shifted digits for two epochs, and writes its state and the figures of rank 0.

    resumed.py OUT [--stop STEP] [--resume]     with --stop, leaves checkpoints in OUT and trains no further
"""

import argparse
from pathlib import Path

import numpy as np

import tinycnn
from tinycnn import data, distributed, nn, optim
from tinycnn.data.transforms import RandomShift
from tinycnn.training import Callback, Checkpoints, Trainer, resume

parser = argparse.ArgumentParser()
parser.add_argument("out", type=Path)
parser.add_argument("--stop", type=int)
parser.add_argument("--resume", action="store_true")
options = parser.parse_args()


class Stopped(Exception):
    pass


class Stop(Callback):
    def on_batch_end(self, trainer, batch):
        if trainer.step == options.stop:
            raise Stopped


distributed.init_process_group(timeout=30)
rank = distributed.get_rank()
tinycnn.manual_seed(3 + 5 * options.resume)  # the resumed training does not begin with the same numbers
digits = data.Digits()
net = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5),
                    nn.Linear(400, 10))  # fmt: skip
loader = data.DataLoader(digits, 120, shuffle=True)
trainer = Trainer(
    nn.SyncBatchNorm.convert_sync_batchnorm(net), optim.Adam(net.parameters(), lr=0.01),
    augment=RandomShift(2, fill=digits.background), callbacks=[Stop(), Checkpoints(options.out, every=1)],
)  # fmt: skip
if options.resume:
    resume(trainer, options.out, loader)
    assert trainer.step == 16
try:
    history = trainer.fit(loader, 2, data.DataLoader(data.Digits(train=False), 100))
except Stopped:
    pass
else:
    if rank == 0:
        figures = {f"test_loss {figures['epoch']}": figures["test_loss"] for figures in history}
        np.savez(f"{options.out}.npz", **figures, **{key: x.numpy() for key, x in net.state_dict().items()})
