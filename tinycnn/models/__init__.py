"""Ready-made nets, written like any other Module. Those of torchvision have its names of parameters, so that its
weights can be loaded."""

from tinycnn.models import densenet, mobilenet, resnet, squeezenet, vgg
from tinycnn.models.densenet import *
from tinycnn.models.lenet import LeNet5
from tinycnn.models.mobilenet import *
from tinycnn.models.resnet import *
from tinycnn.models.squeezenet import *
from tinycnn.models.vgg import *

__all__ = ["LeNet5"]  # the rest is listed where it is defined
__all__ += densenet.__all__
__all__ += mobilenet.__all__
__all__ += resnet.__all__
__all__ += squeezenet.__all__
__all__ += vgg.__all__
