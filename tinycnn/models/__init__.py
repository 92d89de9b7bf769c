"""Ready-made nets, written like any other Module. Those of torchvision have its names of parameters, so that its
weights can be loaded. `list_models` names them all, `get_model` builds one by its name, `model_for` one for given
pictures."""

from tinycnn.models import (
    cifar_resnet,
    densenet,
    lenet,
    lenet_1998,
    mobilenet,
    registry,
    resnet,
    squeezenet,
    u_net,
    vgg,
    wide_net,
)
from tinycnn.models.cifar_resnet import *
from tinycnn.models.densenet import *
from tinycnn.models.lenet import *
from tinycnn.models.lenet_1998 import *
from tinycnn.models.mobilenet import *
from tinycnn.models.registry import *
from tinycnn.models.resnet import *
from tinycnn.models.squeezenet import *
from tinycnn.models.u_net import *
from tinycnn.models.vgg import *
from tinycnn.models.wide_net import *

__all__: list[str] = []  # names are listed where they are defined
__all__ += cifar_resnet.__all__
__all__ += densenet.__all__
__all__ += lenet.__all__
__all__ += lenet_1998.__all__
__all__ += mobilenet.__all__
__all__ += registry.__all__
__all__ += resnet.__all__
__all__ += squeezenet.__all__
__all__ += u_net.__all__
__all__ += vgg.__all__
__all__ += wide_net.__all__
