"""Training steps (forward, backward, update), inference, and the memory of both: small and middle-sized nets, tinycnn
beside torch.

Each net in a process of its own, and so each library.

    python benchmarks/training.py [--threads 1 2] [--only ResNet] [--repeats 10]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nets
import timing


def steps(
    net: Callable, batch_size: int, optimizer: str = "SGD", image: tuple[int, ...] = (1, 28, 28), **options: Any
) -> Callable[[Any], timing.Calls]:
    """The training step and the inference of a net, once the library is known."""

    def calls(lib: Any) -> timing.Calls:
        return {
            "training step": nets.training_step(lib, net, batch_size, optimizer, image=image, **options),
            "inference": nets.inference(lib, net, batch_size, image),
        }

    return calls


SMALL = (3, 32, 32)
GROUPS = {
    "LeNet-5, batch 64": steps(nets.lenet, 64),
    "LeNet-5, batch 256": steps(nets.lenet, 256),
    "wide net, batch 128": steps(nets.wide, 128, "Adam"),
    "ResNet-20, batch 64": steps(nets.resnet20, 64, image=SMALL),
    "MobileNet-like, batch 32": steps(nets.mobilenet, 32, image=SMALL),
    "small VGG, batch 32": steps(nets.vgg, 32, image=SMALL),
    "ResNet-18 for 32×32, batch 32": steps(nets.resnet18, 32, image=SMALL),
    "ResNet-18 for 32×32, batch 1": steps(nets.resnet18, 1, image=SMALL),
    "U-Net for 96×96, batch 1": steps(nets.unet, 1, image=(3, 96, 96), of_pixels=True),
}

if __name__ == "__main__":
    timing.run(__file__, GROUPS, __doc__, threads=[1, 2], repeats=10, peak=True)
