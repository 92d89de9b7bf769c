"""A convolution and a max pooling as numbers to point at, forward and backward, on one page or in one figure.

    tinycnn explain --input 5 5 --kernel 3 3 --stride 2 --padding 1 --out explain.html
    tinycnn explain --figure conv.svg

The page needs nothing but a browser: no network, no further file.
"""

from tinycnn.teaching.explain.command import main
from tinycnn.teaching.explain.worked import ConvGeometry, PoolGeometry, worked_conv, worked_pool
