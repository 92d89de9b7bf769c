import numpy as np


def _log_softmax(scores):
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def cross_entropy_forward(scores, target):
    return float(-np.take_along_axis(_log_softmax(scores), target[:, None], axis=1).mean())


def cross_entropy_backward(grad_output, scores, target):
    one_hot = np.arange(scores.shape[1]) == target[:, None]
    return grad_output / len(scores) * (np.exp(_log_softmax(scores)) - one_hot)
