"""Second names of operators, as torch has them."""

from tinycnn.ops import arithmetic, functions, products, rearrange, select, shape, unary

__all__ = [
    "absolute", "arccos", "arcsin", "arctan", "arctan2", "clip", "concat", "concatenate", "divide", "fix", "ger",
    "greater", "greater_equal", "less", "less_equal", "moveaxis", "multiply", "negative", "not_equal", "row_stack",
    "sgn", "split_with_sizes", "subtract", "swapaxes", "swapdims", "true_divide",
]  # fmt: skip

absolute = unary.abs
sgn = unary.sign
fix = functions.trunc
arcsin, arccos, arctan, arctan2 = functions.asin, functions.acos, functions.atan, functions.atan2
subtract, multiply, divide, true_divide = arithmetic.sub, arithmetic.mul, arithmetic.div, arithmetic.div
negative = arithmetic.neg
not_equal, less, less_equal = arithmetic.ne, arithmetic.lt, arithmetic.le
greater, greater_equal = arithmetic.gt, arithmetic.ge
clip = select.clamp
concat = concatenate = shape.cat
swapaxes = swapdims = shape.transpose
split_with_sizes = shape.split
moveaxis = rearrange.movedim
row_stack = rearrange.vstack
ger = products.outer
