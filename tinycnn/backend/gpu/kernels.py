"""The kernels of a GPU, by the names of those in `backend/cpu.py`. The CUDA sources are in `cuda/`."""

