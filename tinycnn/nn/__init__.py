"""Layers and losses."""

from tinycnn.nn import functional, init, utils
from tinycnn.nn.activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from tinycnn.nn.container import Sequential
from tinycnn.nn.conv import Conv1d, Conv2d, Conv3d
from tinycnn.nn.dropout import Dropout
from tinycnn.nn.linear import Linear
from tinycnn.nn.loss import CrossEntropyLoss, MSELoss, NLLLoss
from tinycnn.nn.module import Module, Parameter
from tinycnn.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tinycnn.nn.pool import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d
from tinycnn.nn.shape import Flatten, Identity
