"""A convolution and a max pooling with numbers, forward and backward, as an interactive page or a figure.

    tinycnn explain --input 5 5 --kernel 3 3 --stride 2 --padding 1 --out explain.html
    tinycnn explain --figure conv.svg

The page is one file and needs only a browser, no network.
"""

from tinycnn.teaching.explain.command import main
from tinycnn.teaching.explain.worked import ConvGeometry, PoolGeometry, worked_conv, worked_pool

__all__ = ["ConvGeometry", "PoolGeometry", "main", "worked_conv", "worked_pool"]
