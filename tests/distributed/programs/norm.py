"""SyncBatchNorm on the parts of a batch, against BatchNorm on the whole: outputs, gradients and gradients of these."""

import numpy as np

import tinycnn
from tinycnn import distributed, nn, tensor

distributed.init_process_group(timeout=30)
rank, size = distributed.get_rank(), distributed.get_world_size()
numbers = np.random.default_rng(4)
N, C = 3 * size + 1, 2
x, upstream, second = (numbers.normal(size=(N, C, 3, 2)) for _ in range(3))
bounds = [0, 5, *[N - 3 * (size - r) for r in range(2, size)], N]  # of another size on each rank
part = slice(bounds[rank], bounds[rank + 1])
share = (part.stop - part.start) / N


def results(norm, part, share):
    """Of a loss that is a mean over the samples of a rank."""
    images = tensor(x[part], requires_grad=True)
    y = norm(images)
    n = part.stop - part.start
    loss = (y * tensor(upstream[part])).sum() / n
    (gradient,) = tinycnn.grad(loss, images, create_graph=True)
    penalty = ((gradient * n).square() * tensor(second[part])).sum() / n
    (twice,) = tinycnn.grad(penalty, images)
    return y.detach().numpy(), gradient.detach().numpy() * share, twice.numpy() * share


whole = results(nn.BatchNorm2d(C, dtype="float64"), slice(0, N), 1.0)
own = results(nn.SyncBatchNorm(C, dtype="float64"), part, share)
for name, ours, wanted in zip(("output", "gradient", "gradient of a gradient"), own, whole):
    np.testing.assert_allclose(ours, wanted[part], rtol=1e-9, atol=1e-11, err_msg=name)
