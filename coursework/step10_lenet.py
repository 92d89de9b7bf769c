"""Step 10: a LeNet of your own pieces, which learns to read digits.

Your operators become operators of tinycnn, whose autograd then calls your backward functions in the right order.
`python step10_lenet.py` trains on the digits of scikit-learn.
"""

import numpy as np
from step06_conv import conv_backward, conv_forward
from step08_pooling import max_pool_backward, max_pool_forward
from step09_cross_entropy import cross_entropy_backward, cross_entropy_forward

from tinycnn import Function, Tensor, no_grad, tensor

# --- given: from NumPy functions to an operator --------------------------------------------------------------


class Operator(Function):
    """An operator of tinycnn made of a pair of NumPy functions:

        y = forward(*inputs, *settings)
        gradients = backward(grad_output, *inputs, *settings)

    `backward` returns one gradient for each input that is trained or computed: a tuple of them, or a single one.

        y = Operator(conv_forward, conv_backward, 1, 2)(x, w, b)     # stride 1, padding 2

    forward gets and returns arrays. backward gets a Tensor and returns Tensors; `tensor.numpy()` is the array in it. An
    input that is not a Tensor (the target of the loss) has no gradient.
    """

    saves_inputs = True  # for backward, as self.inputs

    def __init__(self, forward, backward, *settings):
        self.numpy_forward, self.numpy_backward, self.settings = forward, backward, settings

    def forward(self, *arrays):
        return np.asarray(self.numpy_forward(*arrays, *self.settings))

    def backward(self, grad_output):
        arrays = [x.detach().numpy() if isinstance(x, Tensor) else x for x in self.inputs]
        gradients = self.numpy_backward(grad_output.numpy(), *arrays, *self.settings)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        missing = (None,) * (len(arrays) - len(gradients))
        return (*(tensor(gradient) for gradient in gradients), *missing)


def initial_parameters(seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights of variance 2 / inputs (He et al., 2015), and biases of 0."""
    rng = np.random.default_rng(seed)
    shapes = {
        "w1": (6, 1, 5, 5), "b1": (6,), "w2": (16, 6, 5, 5), "b2": (16,),
        "w3": (32, 64), "b3": (32,), "w4": (10, 32), "b4": (10,),
    }  # fmt: skip
    parameters = {}
    for name, shape in shapes.items():
        scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.0
        parameters[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
    return parameters


# --- yours: the layers that are missing ----------------------------------------------------------------------


def relu_forward(x: np.ndarray) -> np.ndarray:
    """max(x, 0), element by element, for x of any shape."""
    raise NotImplementedError("relu_forward")


def relu_backward(grad_output: np.ndarray, x: np.ndarray) -> np.ndarray:
    """grad_output where x > 0, else 0."""
    raise NotImplementedError("relu_backward")


def linear_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y = x @ wᵀ + b. x (N, C), w (O, C), b (O,); returns y: (N, O)."""
    raise NotImplementedError("linear_forward")


def linear_backward(
    grad_output: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients (dx, dw, db) of `linear_forward`, of the shapes of x, w and b. grad_output (N, O).

    Hint: only one product of the two matrices at hand has the right shape.
    """
    raise NotImplementedError("linear_backward")


# --- yours: the net and its training ---------------------------------------------------------------------------


def lenet(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Images to scores, x (N, 1, 16, 16) to (N, 10), with the parameters p:

        convolution w1, b1 with padding 2, ReLU, max pooling 2×2 with stride 2     -> (N, 6, 8, 8)
        convolution w2, b2 without padding, ReLU, max pooling 2×2 with stride 2    -> (N, 16, 2, 2)
        flatten: x.reshape(len(x), 64)                                             -> (N, 64)
        linear w3, b3, ReLU                                                        -> (N, 32)
        linear w4, b4                                                              -> (N, 10)

    Hint: `Operator(relu_forward, relu_backward)(x)`; a new Operator for each use. Settings are given by position:
    those of a convolution are stride, padding, dilation, those of a pooling kernel_size, stride, padding.
    """
    raise NotImplementedError("lenet")


def loss_and_gradients(
    parameters: dict[str, np.ndarray], images: np.ndarray, labels: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of the net on a batch, and its gradient with respect to every parameter, under the parameter's name.

    Args: images (N, 1, 16, 16), labels (N,), ints.

    Hint: a `tensor(array, requires_grad=True)` for each parameter, the scores, the loss as one more Operator, and
    `loss.backward()`; then each Tensor's `.grad.numpy()` is the array that you want, and `loss.item()` the number.
    """
    raise NotImplementedError("loss_and_gradients")


def train(
    parameters: dict[str, np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    epochs: int,
    batch_size: int,
    lr: float,
) -> dict[str, np.ndarray]:
    """The parameters after training by plain gradient descent: for each batch, parameter −= lr · gradient.

    An epoch goes once through all images, in an order of its own, `batch_size` of them at a time (the last batch of an
    epoch may be smaller). The arrays that came in stay as they are.

    Hint: `np.random.default_rng(0).permutation(len(images))`.
    """
    raise NotImplementedError("train")


# --- given: the real thing -------------------------------------------------------------------------------------


def accuracy(parameters: dict[str, np.ndarray], images: np.ndarray, labels: np.ndarray) -> float:
    with no_grad():
        scores = lenet(tensor(images), {name: tensor(array) for name, array in parameters.items()})
    return float((scores.numpy().argmax(axis=1) == labels).mean())


def main() -> None:
    from tinycnn.data import Digits

    train_set, test_set = Digits(train=True, scale=2), Digits(train=False, scale=2)
    few = train_set.images[:100], train_set.targets[:100]
    by_heart = train(initial_parameters(), *few, epochs=30, batch_size=20, lr=0.1)
    print(f"100 digits by heart: {accuracy(by_heart, *few):.1%}")
    parameters = initial_parameters()
    for epoch in range(1, 9):
        parameters = train(parameters, train_set.images, train_set.targets, epochs=1, batch_size=32, lr=0.1)
        print(f"epoch {epoch}: {accuracy(parameters, test_set.images, test_set.targets):.1%} of digits not seen before")


if __name__ == "__main__":
    main()
