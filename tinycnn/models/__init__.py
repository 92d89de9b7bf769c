"""Ready-made nets, written like any other Module."""

from tinycnn.models.lenet import LeNet5

__all__ = ["LeNet5"]
