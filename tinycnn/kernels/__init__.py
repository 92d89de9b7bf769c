"""Array kernels that NumPy and CuPy do differently: `cpu` and `gpu` offer the same names."""
