"""Nets to train and measure with; a net of one's own is written the same way."""

from tinycnn.models.lenet import LeNet5
