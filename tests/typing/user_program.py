"""A program as users write it, for mypy, which `make lint` runs over it: what editors know of the public names."""

from typing import assert_type

import numpy as np

import tinycnn
from tinycnn import Size, Tensor, gradcheck, nn, no_grad, optim, reference, summary
from tinycnn.data import DataLoader, Digits
from tinycnn.models import LeNet5
from tinycnn.nn import functional as F

x = tinycnn.randn(2, 3, requires_grad=True)
y = tinycnn.tensor([[1.0, 2.0, 3.0]])

# Operators: as a function, as a method and as a symbol, from one definition.
assert_type(tinycnn.exp(x), Tensor)
assert_type(x.exp(), Tensor)
assert_type(x + 1, Tensor)
assert_type(1 - x, Tensor)
assert_type(2.0**x, Tensor)
assert_type(x @ y.t(), Tensor)
assert_type(-x, Tensor)
assert_type(x < y, Tensor)
assert_type(x.sum(0, keepdim=True), Tensor)
assert_type(tinycnn.sum(x, (0, 1)), Tensor)
assert_type(x.max(), Tensor)
assert_type(x.max(1).values, Tensor)
assert_type(x.topk(2).indices, Tensor)
assert_type(x.reshape(3, 2), Tensor)
assert_type(x.reshape((-1, 2)).permute(1, 0), Tensor)
assert_type(x[0, :2], Tensor)
assert_type(tinycnn.cat([x, y]), Tensor)
assert_type(x.split(1), tuple[Tensor, ...])
assert_type(x.allclose(x), bool)
assert_type(tinycnn.where(x > 0, x, 0.0), Tensor)
assert_type(x.shape, Size)
assert_type(x.detach().numpy().dtype == np.float32, bool)

x.exp(2)  # type: ignore[call-arg]
tinycnn.exp("text")  # type: ignore[arg-type]
x.sum(keep=True)  # type: ignore[call-arg]
x.softmax()  # type: ignore[call-arg]


class Net(nn.Module):
    """A small net."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, kernel_size=(3, 3), padding="same")
        self.head = nn.Linear(8, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, 10)."""
        h = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.head(h.mean((2, 3)))


def train() -> float:
    """One epoch."""
    model: nn.Module = Net()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss = tinycnn.zeros(())
    for images, labels in DataLoader(Digits(train=True), batch_size=64, shuffle=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
    with no_grad():
        print(summary(LeNet5(), (1, 1, 28, 28)))
    values, indices = F.max_pool2d(x.reshape(1, 1, 2, 3), 2, return_indices=True)
    print(values, indices, tinycnn.grad(loss, list(model.parameters()))[0].shape, gradcheck(tinycnn.exp, x.double()))
    print(reference.conv2d_loops)
    return float(loss)
