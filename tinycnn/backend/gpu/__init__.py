"""What a GPU needs: kernels on CuPy arrays, their CUDA sources, cuBLAS."""
