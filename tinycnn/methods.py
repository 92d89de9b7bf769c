"""The methods of Tensor that compute: each is a function of `tinycnn.ops`, where its documentation is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycnn._absent import refused
from tinycnn.autocast_mode import autocasts
from tinycnn.ops import (
    aliases,
    arithmetic,
    copy,
    draw,
    functions,
    in_place,
    index,
    products,
    queries,
    rearrange,
    reduce,
    select,
    statistics,
    unary,
)
from tinycnn.ops import matmul as product
from tinycnn.ops import new as new_tensors
from tinycnn.ops import scatter as places
from tinycnn.ops import shape as shapes
from tinycnn.ops import sort as order
from tinycnn.ops.arithmetic import Operand

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor


class Methods:
    """What Tensor inherits."""

    vars().update(refused())  # what is not to come says so

    # --- in place: the result overwrites the tensor -----------------------------------------------------------

    abs_ = in_place.abs_
    exp_ = in_place.exp_
    expm1_ = in_place.expm1_
    log_ = in_place.log_
    log1p_ = in_place.log1p_
    sqrt_ = in_place.sqrt_
    sin_ = in_place.sin_
    cos_ = in_place.cos_
    tanh_ = in_place.tanh_
    sigmoid_ = in_place.sigmoid_
    relu_ = in_place.relu_
    erf_ = in_place.erf_
    floor_ = in_place.floor_
    ceil_ = in_place.ceil_
    round_ = in_place.round_
    neg_ = in_place.neg_
    clamp_ = in_place.clamp_
    add_ = __iadd__ = in_place.in_place(arithmetic.add)
    sub_ = __isub__ = in_place.in_place(arithmetic.sub)
    mul_ = __imul__ = in_place.in_place(arithmetic.mul)
    div_ = __itruediv__ = in_place.in_place(arithmetic.div)
    floor_divide_ = __ifloordiv__ = in_place.in_place(arithmetic.floor_divide)
    remainder_ = __imod__ = in_place.in_place(arithmetic.remainder)
    pow_ = __ipow__ = in_place.in_place(arithmetic.pow)
    bitwise_left_shift_ = __ilshift__ = in_place.in_place(functions.bitwise_left_shift)
    bitwise_right_shift_ = __irshift__ = in_place.in_place(functions.bitwise_right_shift)
    bitwise_not_ = in_place.in_place(arithmetic.bitwise_not)
    bitwise_and_ = __iand__ = in_place.in_place(arithmetic.bitwise_and)
    bitwise_or_ = __ior__ = in_place.in_place(arithmetic.bitwise_or)
    bitwise_xor_ = __ixor__ = in_place.in_place(arithmetic.bitwise_xor)
    eq_ = in_place.in_place(arithmetic.eq)
    ne_ = in_place.in_place(arithmetic.ne)
    lt_ = in_place.in_place(arithmetic.lt)
    le_ = in_place.in_place(arithmetic.le)
    gt_ = in_place.in_place(arithmetic.gt)
    ge_ = in_place.in_place(arithmetic.ge)
    rsqrt_ = in_place.in_place(unary.rsqrt)
    sign_ = in_place.in_place(unary.sign)
    tan_ = in_place.in_place(functions.tan)
    asin_ = in_place.in_place(functions.asin)
    acos_ = in_place.in_place(functions.acos)
    atan_ = in_place.in_place(functions.atan)
    sinh_ = in_place.in_place(functions.sinh)
    cosh_ = in_place.in_place(functions.cosh)
    asinh_ = in_place.in_place(functions.asinh)
    acosh_ = in_place.in_place(functions.acosh)
    atanh_ = in_place.in_place(functions.atanh)
    exp2_ = in_place.in_place(functions.exp2)
    log2_ = in_place.in_place(functions.log2)
    log10_ = in_place.in_place(functions.log10)
    reciprocal_ = in_place.in_place(functions.reciprocal)
    square_ = in_place.in_place(functions.square)
    deg2rad_ = in_place.in_place(functions.deg2rad)
    rad2deg_ = in_place.in_place(functions.rad2deg)
    logit_ = in_place.in_place(functions.logit)
    trunc_ = in_place.in_place(functions.trunc)
    frac_ = in_place.in_place(functions.frac)
    nan_to_num_ = in_place.in_place(functions.nan_to_num)
    atan2_ = in_place.in_place(functions.atan2)
    fmod_ = in_place.in_place(functions.fmod)
    hypot_ = in_place.in_place(functions.hypot)
    xlogy_ = in_place.in_place(functions.xlogy)
    lerp_ = in_place.in_place(functions.lerp)
    addcmul_ = in_place.in_place(functions.addcmul)
    addcdiv_ = in_place.in_place(functions.addcdiv)
    clamp_min_ = in_place.in_place(functions.clamp_min)
    clamp_max_ = in_place.in_place(functions.clamp_max)
    logical_and_ = in_place.in_place(functions.logical_and)
    logical_or_ = in_place.in_place(functions.logical_or)
    logical_xor_ = in_place.in_place(functions.logical_xor)
    logical_not_ = in_place.in_place(functions.logical_not)
    masked_fill_ = in_place.in_place(select.masked_fill)
    cumsum_ = in_place.in_place(order.cumsum)
    cumprod_ = in_place.in_place(statistics.cumprod)
    addmm_ = in_place.in_place(products.addmm)
    addmv_ = in_place.in_place(products.addmv)
    addr_ = in_place.in_place(products.addr)
    addbmm_ = in_place.in_place(products.addbmm)
    baddbmm_ = in_place.in_place(products.baddbmm)
    heaviside_ = in_place.in_place(functions.heaviside)
    nextafter_ = in_place.in_place(functions.nextafter)
    tril_ = in_place.in_place(shapes.tril)
    triu_ = in_place.in_place(shapes.triu)
    scatter_ = in_place.in_place(places.scatter)
    scatter_add_ = in_place.in_place(places.scatter_add)
    index_add_ = in_place.in_place(places.index_add)
    index_copy_ = in_place.in_place(places.index_copy)
    index_fill_ = in_place.in_place(places.index_fill)
    index_put_ = in_place.in_place(places.index_put)
    masked_scatter_ = in_place.in_place(places.masked_scatter)
    subtract_ = sub_
    multiply_ = mul_
    divide_ = div_
    negative_ = neg_
    absolute_ = abs_
    clip_ = clamp_

    normal_ = in_place.normal_
    uniform_ = in_place.uniform_
    exponential_ = in_place.exponential_
    bernoulli_ = in_place.bernoulli_
    random_ = in_place.random_
    squeeze_ = in_place.another_shape(shapes.squeeze)
    unsqueeze_ = in_place.another_shape(shapes.unsqueeze)
    transpose_ = in_place.another_shape(shapes.transpose)
    t_ = in_place.another_shape(shapes.t)

    # --- operators ------------------------------------------------------------------------------------------

    add = __add__ = __radd__ = arithmetic.add
    sub = __sub__ = arithmetic.sub
    mul = __mul__ = __rmul__ = arithmetic.mul
    div = __truediv__ = arithmetic.div
    floor_divide = __floordiv__ = arithmetic.floor_divide
    remainder = __mod__ = arithmetic.remainder
    pow = __pow__ = arithmetic.pow
    neg = __neg__ = arithmetic.neg
    matmul = __matmul__ = product.matmul
    abs = __abs__ = unary.abs

    def __rsub__(self: Any, other: Operand) -> Tensor:
        return arithmetic.sub(other, self)

    @autocasts
    def __rtruediv__(self: Any, other: Operand) -> Tensor:
        return arithmetic.div(other, self)

    def __rfloordiv__(self: Any, other: Operand) -> Tensor:
        return arithmetic.floor_divide(other, self)

    def __rmod__(self: Any, other: Operand) -> Tensor:
        return arithmetic.remainder(other, self)

    def __rpow__(self: Any, other: Operand) -> Tensor:
        return arithmetic.pow(other, self)

    def __rmatmul__(self: Any, other: Tensor) -> Tensor:
        return product.matmul(other, self)

    def __rlshift__(self: Any, other: Operand) -> Tensor:
        return functions.bitwise_left_shift(other, self)

    def __rrshift__(self: Any, other: Operand) -> Tensor:
        return functions.bitwise_right_shift(other, self)

    def __pos__(self: Any) -> Tensor:
        return self

    eq = arithmetic.eq
    ne = arithmetic.ne
    lt = arithmetic.lt
    le = arithmetic.le
    gt = arithmetic.gt
    ge = arithmetic.ge

    def __eq__(self: Any, other: Any) -> Tensor:  # type: ignore[override]  # an object's == gives a bool
        return arithmetic.compare("eq", self, other)

    def __ne__(self: Any, other: Any) -> Tensor:  # type: ignore[override]
        return arithmetic.compare("ne", self, other)

    def __lt__(self: Any, other: Operand) -> Tensor:
        return arithmetic.compare("lt", self, other)

    def __le__(self: Any, other: Operand) -> Tensor:
        return arithmetic.compare("le", self, other)

    def __gt__(self: Any, other: Operand) -> Tensor:
        return arithmetic.compare("gt", self, other)

    def __ge__(self: Any, other: Operand) -> Tensor:
        return arithmetic.compare("ge", self, other)

    numel = nelement = shapes.numel
    dim = ndimension = shapes.dim
    stride = queries.stride
    get_device = queries.get_device
    storage_offset = queries.storage_offset
    is_shared = queries.is_shared
    share_memory_ = queries.share_memory_
    is_pinned = queries.is_pinned
    pin_memory = queries.pin_memory
    is_cuda = property(queries.is_cuda)
    is_cpu = property(queries.is_cpu)
    is_sparse = property(queries.is_sparse)
    is_quantized = property(queries.is_quantized)
    layout = property(queries.layout)
    is_floating_point = queries.is_floating_point
    is_complex = queries.is_complex
    is_nonzero = queries.is_nonzero
    equal = queries.equal

    __hash__ = object.__hash__  # by identity: a tensor can be a key, though == compares element by element

    bitwise_not = __invert__ = arithmetic.bitwise_not
    bitwise_and = __and__ = __rand__ = arithmetic.bitwise_and
    bitwise_or = __or__ = __ror__ = arithmetic.bitwise_or
    bitwise_xor = __xor__ = __rxor__ = arithmetic.bitwise_xor
    isnan = arithmetic.isnan
    isinf = arithmetic.isinf
    isfinite = arithmetic.isfinite
    isclose = arithmetic.isclose
    allclose = arithmetic.allclose

    exp = unary.exp
    expm1 = unary.expm1
    log = unary.log
    log1p = unary.log1p
    sqrt = unary.sqrt
    rsqrt = unary.rsqrt
    sin = unary.sin
    cos = unary.cos
    tanh = unary.tanh
    sigmoid = unary.sigmoid
    relu = unary.relu
    erf = unary.erf
    sign = unary.sign
    tan = functions.tan
    asin = functions.asin
    acos = functions.acos
    atan = functions.atan
    sinh = functions.sinh
    cosh = functions.cosh
    asinh = functions.asinh
    acosh = functions.acosh
    atanh = functions.atanh
    exp2 = functions.exp2
    log2 = functions.log2
    log10 = functions.log10
    reciprocal = functions.reciprocal
    square = functions.square
    deg2rad = functions.deg2rad
    rad2deg = functions.rad2deg
    logit = functions.logit
    trunc = functions.trunc
    frac = functions.frac
    signbit = functions.signbit
    nan_to_num = functions.nan_to_num
    atan2 = functions.atan2
    fmod = functions.fmod
    hypot = functions.hypot
    logaddexp = functions.logaddexp
    xlogy = functions.xlogy
    lerp = functions.lerp
    addcmul = functions.addcmul
    addcdiv = functions.addcdiv
    clamp_min = functions.clamp_min
    clamp_max = functions.clamp_max
    bitwise_left_shift = __lshift__ = functions.bitwise_left_shift
    bitwise_right_shift = __rshift__ = functions.bitwise_right_shift
    heaviside = functions.heaviside
    nextafter = functions.nextafter
    positive = functions.positive
    logical_and = functions.logical_and
    logical_or = functions.logical_or
    logical_xor = functions.logical_xor
    logical_not = functions.logical_not
    floor = unary.floor
    ceil = unary.ceil
    round = unary.round

    maximum = select.maximum
    minimum = select.minimum
    fmax = select.fmax
    fmin = select.fmin
    clamp = select.clamp
    masked_fill = select.masked_fill

    def where(self: Any, condition: Tensor, other: Operand) -> Tensor:
        """This tensor where the boolean `condition` is true, `other` elsewhere."""
        return select.where(condition, self, other)

    sum = reduce.sum
    mean = reduce.mean
    var = reduce.var
    std = reduce.std
    norm = reduce.norm
    amax = reduce.amax
    amin = reduce.amin
    argmax = reduce.argmax
    argmin = reduce.argmin
    max = reduce.max
    min = reduce.min
    all = reduce.all
    any = reduce.any
    softmax = reduce.softmax
    log_softmax = reduce.log_softmax
    logsumexp = reduce.logsumexp

    mm = products.mm
    bmm = products.bmm
    mv = products.mv
    dot = products.dot
    outer = products.outer
    inner = products.inner
    addmm = products.addmm
    addmv = products.addmv
    addr = products.addr
    baddbmm = products.baddbmm
    addbmm = products.addbmm
    kron = products.kron
    cross = products.cross
    dist = products.dist

    prod = statistics.prod
    cumprod = statistics.cumprod
    cummax = statistics.cummax
    cummin = statistics.cummin
    median = statistics.median
    mode = statistics.mode
    kthvalue = statistics.kthvalue
    quantile = statistics.quantile
    nansum = statistics.nansum
    nanmean = statistics.nanmean
    aminmax = statistics.aminmax
    diff = statistics.diff
    bincount = statistics.bincount
    histc = statistics.histc
    unique = statistics.unique
    unique_consecutive = statistics.unique_consecutive
    cov = statistics.cov
    corrcoef = statistics.corrcoef

    bernoulli = draw.bernoulli
    multinomial = draw.multinomial

    cumsum = order.cumsum
    argsort = order.argsort
    sort = order.sort
    topk = order.topk

    reshape = shapes.reshape
    view = shapes.view
    flatten = shapes.flatten
    unflatten = shapes.unflatten
    squeeze = shapes.squeeze
    unsqueeze = shapes.unsqueeze
    permute = shapes.permute
    transpose = shapes.transpose
    t = shapes.t
    flip = shapes.flip
    expand = shapes.expand
    expand_as = shapes.expand_as
    sum_to_size = shapes.sum_to_size
    repeat = shapes.repeat
    tril = shapes.tril
    triu = shapes.triu
    split = shapes.split
    chunk = shapes.chunk
    view_as = rearrange.view_as
    reshape_as = rearrange.reshape_as
    ravel = rearrange.ravel
    movedim = rearrange.movedim
    narrow = rearrange.narrow
    select = rearrange.select
    unbind = rearrange.unbind
    diagonal = rearrange.diagonal
    diag_embed = rearrange.diag_embed
    diag = rearrange.diag
    trace = rearrange.trace
    unfold = rearrange.unfold
    broadcast_to = rearrange.broadcast_to
    roll = rearrange.roll
    tile = rearrange.tile
    repeat_interleave = rearrange.repeat_interleave
    rot90 = rearrange.rot90
    fliplr = rearrange.fliplr
    flipud = rearrange.flipud
    tensor_split = rearrange.tensor_split

    __getitem__ = index.getitem
    gather = index.gather
    index_select = places.index_select
    take_along_dim = places.take_along_dim
    take = places.take
    masked_select = places.masked_select
    scatter = places.scatter
    scatter_add = places.scatter_add
    index_add = places.index_add
    index_copy = places.index_copy
    index_fill = places.index_fill
    index_put = places.index_put
    masked_scatter = places.masked_scatter
    nonzero = places.nonzero
    argwhere = places.argwhere
    count_nonzero = places.count_nonzero

    new = new_tensors.new
    new_zeros = new_tensors.new_zeros
    new_ones = new_tensors.new_ones
    new_empty = new_tensors.new_empty
    new_full = new_tensors.new_full
    new_tensor = new_tensors.new_tensor

    # Second names.
    absolute = aliases.absolute
    arccos = aliases.arccos
    arcsin = aliases.arcsin
    arctan = aliases.arctan
    arctan2 = aliases.arctan2
    clip = aliases.clip
    divide = aliases.divide
    fix = aliases.fix
    ger = aliases.ger
    greater = aliases.greater
    greater_equal = aliases.greater_equal
    less = aliases.less
    less_equal = aliases.less_equal
    moveaxis = aliases.moveaxis
    multiply = aliases.multiply
    negative = aliases.negative
    not_equal = aliases.not_equal
    sgn = aliases.sgn
    split_with_sizes = aliases.split_with_sizes
    subtract = aliases.subtract
    swapaxes = aliases.swapaxes
    swapdims = aliases.swapdims
    true_divide = aliases.true_divide

    clone = copy.clone
    contiguous = shapes.contiguous
