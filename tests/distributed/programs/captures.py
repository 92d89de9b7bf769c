"""Two ranks on the emulator, whose parts of the batches have other shapes than the other's: each step is captured on
both or on none, which the stand-in for NCCL insists on.

    captures.py [waits]     with "waits", the step of rank 1 cannot be captured
"""

import os
import sys
import warnings

from tests import emulator

emulator.install()
os.environ["TINYCNN_CUBLAS"] = str(emulator.cublas_path())

import tinycnn  # noqa: E402
from tinycnn import distributed, nn, optim  # noqa: E402

distributed.init_process_group(timeout=20)
rank = distributed.get_rank()
net = nn.Linear(3, 2).to("cuda")
wrapped = nn.parallel.DistributedDataParallel(net)
optimizer = optim.SGD(net.parameters(), lr=0.1)
ran = []


@tinycnn.cuda.capture
def step(x):
    ran.append(len(x))
    optimizer.zero_grad()
    loss = wrapped(x).square().mean()
    if "waits" in sys.argv and rank == 1:
        loss.item()
    loss.backward()
    optimizer.step()
    return loss


# When rank 1 meets the shape of the fourth batch for the first time, rank 0 has captured its own. Of the seventh batch,
# it is the other way round.
SIZES = [(4, 4), (4, 4), (4, 4), (4, 3), (4, 3), (4, 3), (5, 3), (5, 3), (5, 3), (4, 4), (5, 3)]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for sizes in SIZES:
        step(tinycnn.randn(sizes[rank], 3, device="cuda"))
distributed.check_parameters(net)
if "waits" in sys.argv:
    assert not step.captured
    words = "cudaErrorStreamCaptureUnsupported" if rank else "another rank cannot capture it"
    assert words in step.reason, step.reason
    (warning,) = said
    assert "the step runs eagerly" in str(warning.message)
else:
    assert step.captured, step.reason
    assert not said
    # Each rank runs the eager calls of the other, too, and its own captures; all else is replayed.
    assert ran == ([4] * 5 + [5] * 3 if rank == 0 else [4] * 3 + [3] * 5), ran
