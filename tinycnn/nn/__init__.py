"""Layers and losses."""

from typing import TYPE_CHECKING, Any

from tinycnn._absent import no_attribute as _no_attribute
from tinycnn.nn import (
    activation,
    container,
    conv,
    distance,
    dropout,
    embedding,
    functional,
    init,
    lazy,
    likelihood,
    linear,
    local_norm,
    loss,
    lp_pool,
    margin,
    module,
    norm,
    padding,
    parallel,
    parameter,
    parameter_container,
    piecewise,
    pool,
    shape,
    smooth,
    sync_norm,
    utils,
)
from tinycnn.nn.activation import *
from tinycnn.nn.container import *
from tinycnn.nn.conv import *
from tinycnn.nn.distance import *
from tinycnn.nn.dropout import *
from tinycnn.nn.embedding import *
from tinycnn.nn.lazy import *
from tinycnn.nn.likelihood import *
from tinycnn.nn.linear import *
from tinycnn.nn.local_norm import *
from tinycnn.nn.loss import *
from tinycnn.nn.lp_pool import *
from tinycnn.nn.margin import *
from tinycnn.nn.module import *
from tinycnn.nn.norm import *
from tinycnn.nn.padding import *
from tinycnn.nn.parallel import DataParallel
from tinycnn.nn.parameter import *
from tinycnn.nn.parameter_container import *
from tinycnn.nn.piecewise import *
from tinycnn.nn.pool import *
from tinycnn.nn.shape import *
from tinycnn.nn.smooth import *
from tinycnn.nn.sync_norm import *

__all__ = ["functional", "init", "parallel", "utils"]  # the layers are listed where they are defined
__all__ += activation.__all__
__all__ += container.__all__
__all__ += conv.__all__
__all__ += distance.__all__
__all__ += dropout.__all__
__all__ += embedding.__all__
__all__ += lazy.__all__
__all__ += likelihood.__all__
__all__ += linear.__all__
__all__ += local_norm.__all__
__all__ += loss.__all__
__all__ += lp_pool.__all__
__all__ += margin.__all__
__all__ += module.__all__
__all__ += norm.__all__
__all__ += padding.__all__
__all__ += ["DataParallel"]
__all__ += parameter.__all__
__all__ += parameter_container.__all__
__all__ += piecewise.__all__
__all__ += pool.__all__
__all__ += shape.__all__
__all__ += smooth.__all__
__all__ += sync_norm.__all__

if not TYPE_CHECKING:  # to type checkers, what is not defined is not there

    def __getattr__(name: str) -> Any:
        raise _no_attribute("tinycnn.nn", name)
