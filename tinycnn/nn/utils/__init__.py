"""What torch keeps in nn.utils: limits on gradients, parameters as one vector, and norms of weights."""

from tinycnn.nn.utils.vector import parameters_to_vector, vector_to_parameters
from tinycnn.nn.utils.weight import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from tinycnn.optim.clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector", "remove_spectral_norm",
    "remove_weight_norm", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip
