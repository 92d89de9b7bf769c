"""How many launches steps take: kernels, matrix products, copies and fills. Only the emulator counts them."""

import numpy as np
import pytest

import tinycnn
from tests.gpu import launches
from tinycnn import nn, optim
from tinycnn.nn import functional as F

pytestmark = pytest.mark.gpu


def in_sequence():
    """LeNet-5 as a list of layers."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


class AsFunctions(nn.Module):
    """LeNet-5 as many write it."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


def training_step(model, optimizer, shape, classes=10):
    rng = np.random.default_rng(0)
    x = tinycnn.tensor(rng.standard_normal(shape), dtype="float32", device="gpu")
    target = tinycnn.tensor(rng.integers(0, classes, shape[0]), device="gpu")

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(x), target).backward()
        optimizer.step()

    for _ in range(3):  # buffers are made, gradients come to lie at the addresses of an earlier step
        step()
    return step


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("model", [in_sequence, AsFunctions])
def test_a_step_of_lenet(model, optimizer, batch):
    model = model().gpu()
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    made = getattr(optim, optimizer)(model.parameters(), lr=0.01, **options)
    step = training_step(model, made, (batch, 1, 28, 28))
    assert launches(step) <= 40


@pytest.mark.parametrize("shape", [(4, 3), (8, 3, 5), (64, 16, 12, 12), (2, 3, 4, 5, 6)], ids=str)
def test_a_step_of_batch_normalisation(shape):
    """Statistics with their running values, the map, the sums of the gradient, the gradient."""
    layer = [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d][len(shape) - 1]
    layer = layer(shape[1]).gpu()
    x = tinycnn.randn(*shape, device="gpu").requires_grad_()
    u = tinycnn.randn(*shape, device="gpu")

    def step():
        layer(x).backward(u)
        x.grad = layer.weight.grad = layer.bias.grad = None

    step()
    assert launches(step) == 4


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer, forward", [
    (lambda **o: nn.Conv2d(4, 8, 3, padding=1, **o), 2), (lambda **o: nn.Conv1d(4, 8, 3, **o), 2),
    (lambda **o: nn.Conv3d(4, 8, 3, groups=2, **o), 3),  # a product for each group
])  # fmt: skip
def test_a_convolution(layer, forward, bias):
    """The weight is put in order, and the bias where products are added to it, by the launch that unfolds the input."""
    layer = layer(bias=bias).gpu()
    ndim = layer.weight.ndim
    x = tinycnn.randn(16, 4, *[6] * (ndim - 2), device="gpu")
    with tinycnn.no_grad():
        layer(x)
        assert launches(lambda: layer(x)) == forward


def test_dropout():
    """The mask, whose launch moves the generator's state on, and the product."""
    x = tinycnn.randn(64, 500, device="gpu")
    F.dropout(x, 0.3)
    assert launches(lambda: F.dropout(x, 0.3)) == 2
    assert launches(lambda: tinycnn.randn(3000, device="gpu")) == 1


def test_what_a_hook_does_to_the_first_gradient_stays_there():
    """The gradient of a loss is a 1 that lies on the device already; whoever may change it gets one of its own."""
    x = tinycnn.tensor([[1.0, 2.0]], device="gpu", requires_grad=True)
    target = tinycnn.tensor([1], device="gpu")

    def gradient(**hooked):
        x.grad = None
        loss = F.cross_entropy(x, target)
        if hooked:
            loss.register_hook(lambda g: g.mul_(3.0))
        (loss.mean() if hooked.get("mean") else loss).backward()
        return x.grad.cpu().numpy()

    plain = gradient()
    np.testing.assert_allclose(gradient(loss=True), 3 * plain, rtol=1e-6)
    np.testing.assert_allclose(gradient(mean=True), 3 * plain, rtol=1e-6)
    np.testing.assert_array_equal(gradient(), plain)
    for differentiable in (False, True):
        loss = F.cross_entropy(x, target)
        first, second = tinycnn.autograd.grad(loss, [loss, x], create_graph=differentiable)
        (first.detach() if differentiable else first).mul_(5)
        second.detach().zero_()
        np.testing.assert_array_equal(gradient(), plain)
    loss = F.cross_entropy(x, target)
    loss.backward(inputs=[x, loss])
    loss.grad.zero_()
    np.testing.assert_array_equal(gradient(), plain)
    loss = F.cross_entropy(x, target)
    loss.retain_grad()
    loss.backward()
    loss.grad.zero_()
    np.testing.assert_array_equal(gradient(), plain)
