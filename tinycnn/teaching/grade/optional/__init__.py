"""Steps 11 to 17, which are optional: they have no points, and each of their checks passes or fails."""

from tinycnn.teaching.grade.optional import (
    average_pooling,
    batch_norm,
    dropout,
    fashion,
    gradient_check,
    grouped_conv,
    timing,
)

STEPS = [
    module.STEP for module in (gradient_check, batch_norm, dropout, average_pooling, grouped_conv, timing, fashion)
]
