"""The emulator is as strict as CuPy, and stricter where a mistake would be silent on a GPU."""

import ctypes

import numpy as np
import pytest

from tests import emulator
from tests.emulator import cublas, memory
from tests.emulator.machine import CUDARuntimeError


@pytest.fixture(autouse=True)
def cp():
    with emulator.emulated() as cupy:
        emulator.waits.clear()
        yield cupy
        emulator.limit_memory(None)


rng = np.random.default_rng(0)


def normal(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


# --- strictness -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mix",
    [
        lambda cp, x, host: np.asarray(x),
        lambda cp, x, host: x + host,
        lambda cp, x, host: host + x,
        lambda cp, x, host: cp.maximum(x, host),
        lambda cp, x, host: cp.stack([x, host]),
        lambda cp, x, host: np.sqrt(x),
        lambda cp, x, host: np.concatenate([x, x]),
        lambda cp, x, host: x[np.array([0, 1])],
        lambda cp, x, host: x.__setitem__(..., host),
        lambda cp, x, host: range(x.sum()),
    ],
)
def test_arrays_of_numpy_are_refused(cp, mix):
    host = normal(3, 4)
    with pytest.raises(TypeError):
        mix(cp, cp.asarray(host), host)


@pytest.mark.parametrize(
    "call",
    [
        lambda cp, x: cp.sum(x, where=x > 0),
        lambda cp, x: x.sum(initial=0),
        lambda cp, x: cp.add(x, 1, where=True),
        lambda cp, x: cp.take(x, x, mode="clip"),
        lambda cp, x: cp.clip(x, 0, 1, None, "C"),
    ],
)
def test_arguments_that_cupy_does_not_take(cp, call):
    with pytest.raises(TypeError):
        call(cp, cp.ones(3))


def test_names_that_cupy_does_not_have(cp):
    assert not hasattr(cp, "float128")
    assert not hasattr(cp, "nditer")
    assert not hasattr(cp.random.default_rng(0), "permutation")


def test_operators_and_dtypes(cp):
    host = normal(3, 4)
    x = cp.asarray(host)
    for result, expected in [
        (2 - x, 2 - host),
        (np.float32(2) / x, np.float32(2) / host),
        (np.float64(2) * x, np.float64(2) * host),
        (x * cp.asarray(2.0), host * np.asarray(2.0)),
        (x @ x.T, host @ host.T),
        (abs(-x) ** 2, host**2),
        (x > 0, host > 0),
        (x.sum(axis=0, keepdims=True), host.astype(np.float64).sum(axis=0, keepdims=True).astype(np.float32)),
        (cp.where(x > 0, x, np.float32(0)), np.where(host > 0, host, np.float32(0))),
        (x.argmax(1), host.argmax(1)),
        (cp.einsum("ij,kj->ik", x, x), np.einsum("ij,kj->ik", host, host)),
    ]:
        assert isinstance(result, cp.ndarray)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(cp.asnumpy(result), expected)
    x -= 1
    x[1, ::2] = 7
    x[cp.asarray([0, 2]), 1] += x[0, 0]
    host -= 1
    host[1, ::2] = 7
    host[[0, 2], 1] += host[0, 0]
    np.testing.assert_array_equal(x.get(), host)
    with pytest.raises(TypeError):
        x[x > 0].astype(int).__iadd__(0.5)
    assert x.sum().shape == ()
    assert isinstance(x[0, 0], cp.ndarray)
    assert x[0, 0].base is x


def test_results_are_in_c_order_and_copies_as_cupy_says(cp):
    x = cp.asarray(normal(2, 3, 4)).transpose(2, 0, 1)
    assert (x + x).flags.c_contiguous
    assert x.copy().flags.c_contiguous
    assert x.astype(np.float64).transpose(1, 2, 0).flags.c_contiguous
    assert cp.empty_like(x).transpose(1, 2, 0).flags.c_contiguous
    assert cp.zeros_like(x, order="C").flags.c_contiguous
    assert x.ravel(order="K").base is not None
    assert cp.empty_like(x, shape=(2, 5)).flags.c_contiguous


def test_views_share_memory_and_have_addresses(cp):
    x = cp.zeros((3, 4), np.float32)
    part = x[1:, ::2].T
    part[...] = 1
    assert x.get().sum() == 4
    assert part.data.ptr == x.data.ptr + 16
    assert x.data.ptr % 256 == 0
    assert x.reshape(4, 3).base is x
    assert x.T.reshape(12).base is None
    assert cp.lib.stride_tricks.as_strided(x, (2, 2), (16, 4)).base is x


def test_two_devices(cp):
    x = cp.ones(3)
    with cp.cuda.Device(1):
        y = cp.ones(3)
        with pytest.raises(ValueError, match="Array device must be same"):
            y + x
        assert cp.asarray(x).device.id == 1
        with pytest.raises(NotImplementedError, match="non-contiguous"):
            cp.asarray(x[::2])
    assert (x.device.id, y.device.id) == (0, 1)
    with pytest.raises(ValueError, match="Array device must be same"):
        x += y
    with pytest.raises(CUDARuntimeError, match="invalid device ordinal"):
        cp.cuda.Device(2).use()


def test_whatever_makes_the_host_wait_is_counted(cp):
    x = cp.arange(4)
    y = x * 2 + cp.flip(x)
    assert emulator.waits == []
    float(y[0]), bool(y.any()), y.get(), y[y > 3], cp.nonzero(y), cp.cuda.Stream.null.synchronize()
    assert emulator.waits == ["float", "bool", "get", "a boolean index", "nonzero", "Stream.synchronize"]


# --- memory ---------------------------------------------------------------------------------------------------


def test_memory_is_reused_and_poisoned(cp):
    pool = cp.cuda.MemoryPool()
    with cp.cuda.using_allocator(pool.malloc):
        x = cp.zeros(1000, np.float32)
        address = x.data.ptr
        assert pool.used_bytes() == pool.total_bytes() == 4096
        part = x[10:20]
        del x
        assert pool.used_bytes() == 4096  # the view keeps it
        del part
        small = cp.empty(10, np.float32)
        assert small.data.ptr == address
        assert np.isnan(small.get()).all()
        assert (pool.used_bytes(), pool.total_bytes(), pool.n_free_blocks()) == (512, 4096, 1)
        pool.free_all_blocks()
        assert pool.total_bytes() == 4096  # a part of it is in use
        del small
        pool.free_all_blocks()
        assert pool.total_bytes() == 0


def test_out_of_memory(cp):
    free = cp.cuda.Device().mem_info[0]
    emulator.limit_memory(10_000 + cp.cuda.Device().mem_info[1] - free)
    pool = cp.cuda.MemoryPool()
    with cp.cuda.using_allocator(pool.malloc):
        x = cp.zeros(1000, np.uint8)
        with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="Out of memory allocating 9,216 bytes"):
            cp.zeros(9000, np.uint8)
        del x
        cp.zeros(9000, np.uint8)  # after the pool has given back what it does not use


# --- capture --------------------------------------------------------------------------------------------------


def captured(cp, work, pool=None):
    pool = pool or cp.cuda.MemoryPool()
    with cp.cuda.Stream(non_blocking=True) as stream, cp.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        result = work()
        return result, stream.end_capture()


def test_a_graph_runs_when_it_is_launched(cp):
    x = cp.asarray(normal(3, 4))
    total = cp.zeros((), np.float32)

    def work():
        y = (x * 2).T.copy()
        y[0] = -1
        y += y[cp.arange(4)]
        total[...] = y.sum()
        return y

    y, graph = captured(cp, work)
    assert np.isnan(y.get()).all()
    assert total.get() == 0
    for _ in range(2):
        x[...] = cp.asarray(normal(3, 4))
        graph.launch()
        expected = (x.get() * 2).T
        expected[0] = -1
        expected = expected + expected
        np.testing.assert_array_equal(y.get(), expected)
        np.testing.assert_allclose(total.get(), expected.sum(), rtol=1e-5)


@pytest.mark.parametrize("private", [True, False])
def test_a_graph_needs_memory_of_its_own(cp, private):
    x = cp.asarray(normal(1000))
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        pool = cp.cuda.MemoryPool()
        with cp.cuda.using_allocator(pool.malloc):
            stream.begin_capture()
            result = (x + 1) * 2  # x + 1 is freed at once, as an intermediate of a graph is
            graph = stream.end_capture()
        with cp.cuda.using_allocator(None if private else pool.malloc):
            other = cp.zeros(1000, np.float32)
        graph.launch()
    assert (other.get() == 0).all() == private
    np.testing.assert_array_equal(result.get(), (x.get() + 1) * 2)


@pytest.mark.parametrize(
    "work",
    [
        lambda cp, x: float(x[0]),
        lambda cp, x: x.get(),
        lambda cp, x: x[x > 0],
        lambda cp, x: cp.asarray([1.0]),
        lambda cp, x: cp.cuda.get_current_stream().synchronize(),
    ],
)
def test_the_host_cannot_wait_in_a_capture(cp, work):
    x = cp.ones(3)
    with cp.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureUnsupported"):
            work(cp, x)
        with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
            stream.end_capture()
    assert (x + 1).get().sum() == 6


def test_libraries_that_cupy_does_not_capture(cp):
    x = cp.ones((3, 3))
    generator = cp.random.default_rng(0)

    def work():
        for call in (lambda: x @ x, lambda: cp.tensordot(x, x), lambda: generator.random(3)):
            with pytest.raises(NotImplementedError, match="during stream capture is currently unsupported"):
                call()

    captured(cp, work)


def test_copies_from_the_host_in_a_capture(cp):
    def work():
        number = cp.asarray(np.array(3.0))  # is given to a kernel
        joined = cp.concatenate([cp.ones(1)] * 8)
        for call in (lambda: cp.asarray(np.ones(1)), lambda: cp.concatenate([cp.ones(1)] * 9)):
            with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureUnsupported"):
                call()
        return number, joined

    with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
        captured(cp, work)


def test_a_stream_belongs_to_a_device(cp):
    stream = cp.cuda.Stream()
    with cp.cuda.Device(1), pytest.raises(RuntimeError, match="does not match with the current device"), stream:
        pass
    with stream:
        assert cp.cuda.get_current_stream() == stream


def test_a_pool_asks_its_allocator(cp):
    asked = []

    def allocate(size):
        asked.append(size)
        if size > 4096:
            raise MemoryError("enough")
        return cp.cuda.MemoryPointer(cp.cuda.Memory(size), 0)

    pool = cp.cuda.MemoryPool(allocate)
    with cp.cuda.using_allocator(pool.malloc):
        x = cp.ones(512)
        del x
        x = cp.ones(500)
        with pytest.raises(MemoryError, match="enough"):
            cp.ones(513)
    assert (asked, pool.total_bytes(), x.sum().item()) == ([4096, 4608], 4096, 500)


def test_work_beside_the_capturing_stream(cp):
    x = cp.ones(3)
    stream = cp.cuda.Stream(non_blocking=True)
    stream.begin_capture()
    with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureImplicit"):
        x + 1
    stream.end_capture()


# --- kernels --------------------------------------------------------------------------------------------------

SOURCE = r"""
#include <cuda_fp16.h>
#ifndef SCALE
#define SCALE 1
#endif
struct Sizes { int rows; double factor; long long columns; };

template <class T> __device__ __forceinline__ T scaled(T x, double factor) { return x * T(factor) * SCALE; }

extern "C" __global__ void __launch_bounds__(64)
scale(const float* __restrict__ x, float* __restrict__ y, const Sizes sizes) {
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < sizes.rows * sizes.columns) y[i] = scaled(x[i], sizes.factor);
}

extern "C" __global__ void numbers(double* out, int a, long long b, float c, double d, bool e, unsigned char* none) {
    out[0] = a; out[1] = b; out[2] = c; out[3] = d; out[4] = e; out[5] = none == nullptr;
}

extern "C" __global__ void halve(half* x) { x[threadIdx.x] = __float2half(__half2float(x[threadIdx.x]) / 2); }

extern "C" __global__ void too_far(float* x) { x[threadIdx.x + 1] = 0; }
"""

BARRIERS = r"""
#define FULL 0xffffffffu
template <class T> __device__ T total_of(T x) {
    __shared__ T parts[256];
    parts[threadIdx.x] = x;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    return parts[0];
}

#define BLOCK_SUM(name, T)                                                             \
    extern "C" __global__ void name(const T* x, T* sums) {                             \
        T total = total_of(x[blockIdx.x * blockDim.x + threadIdx.x]);                  \
        if (threadIdx.x == 0) sums[blockIdx.x] = total;                                \
    }
BLOCK_SUM(block_sum, float)
BLOCK_SUM(block_sum_double, double)

extern "C" __global__ void reverse(float* x, int forget) {
    extern __shared__ float tile[];
    tile[threadIdx.x] = x[threadIdx.x];
    if (!forget) __syncthreads();
    x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void warp_sum(const float* x, float* sums, unsigned* positive) {
    __shared__ float of_warp[32];
    float value = x[threadIdx.x];
    unsigned ballot = __ballot_sync(FULL, value > 0);
    for (int delta = 16; delta > 0; delta /= 2) value += __shfl_down_sync(FULL, value, delta);
    if (threadIdx.x % 32 == 0) {
        of_warp[threadIdx.x / 32] = value;
        atomicAdd(positive, (unsigned)__popc(ballot));
    }
    __syncthreads();
    if (threadIdx.x < 32) {
        value = threadIdx.x < blockDim.x / 32 ? of_warp[threadIdx.x] : 0.0f;
        for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(FULL, value, lanes);
        if (threadIdx.x == 0) sums[0] = value;
    }
}

extern "C" __global__ void stale(float* x) {
    // a comment on __shared__ memory
    __shared__ float kept;
    if (blockIdx.x == 0) kept = 1;
    __syncthreads();
    x[blockIdx.x] = kept;
}

extern "C" __global__ void diverge(int n) {
    if (threadIdx.x < n) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}
"""
SIZES = np.dtype([("rows", np.int32), ("factor", np.float64), ("columns", np.int64)], align=True)


def test_a_kernel_with_a_struct(cp):
    module = cp.RawModule(code=SOURCE, options=("--std=c++17", "-DSCALE=3", "-use_fast_math"))
    x = cp.asarray(normal(5, 37))
    y = cp.empty_like(x)
    sizes = np.array((5, 0.5, 37), SIZES)
    module.get_function("scale")((3,), (64,), (x, y, sizes))
    np.testing.assert_allclose(y.get(), x.get() * 1.5, rtol=1e-6)
    _, graph = captured(cp, lambda: module.get_function("scale")((3,), (64,), (y, x, sizes)))
    graph.launch()
    np.testing.assert_allclose(x.get(), y.get() * 1.5, rtol=1e-6)


def test_a_kernel_with_half_precision(cp):
    x = cp.ones(4, np.float16)
    cp.RawKernel(SOURCE, "halve")((1,), (4,), (x,))
    assert x.get().tolist() == [0.5] * 4


def test_how_numbers_are_passed_and_what_is_refused(cp):
    out = cp.empty(6)
    kernel = cp.RawKernel(SOURCE, "numbers")
    given = [out, np.int32(1), 2, np.float32(3), 4.0, True, None]
    kernel((1,), (1,), tuple(given))
    assert out.get().tolist() == [1, 2, 3, 4, 1, 1]
    for position, wrong, name in [
        (0, cp.empty(6, np.float32), "out"),
        (1, 1, "a"),
        (2, 2.0, "b"),
        (3, 3.0, "c"),
        (4, 4, "d"),
        (5, np.int32(1), "e"),
    ]:
        with pytest.raises(TypeError, match=f"kernel numbers: the parameter {name} is"):
            kernel((1,), (1,), (*given[:position], wrong, *given[position + 1 :]))
    with pytest.raises(ValueError, match="not live device memory"):
        kernel((1,), (1,), (*given[:6], 12345))
    with pytest.raises(TypeError, match="expected 7 arguments, got 1"):
        kernel((1,), (1,), (out,))
    with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
        kernel((0,), (1,), tuple(given))
    with pytest.raises(RuntimeError, match="CUDA_ERROR_NOT_FOUND"):
        cp.RawModule(code=SOURCE).get_function("scaled")
    with pytest.raises(RuntimeError, match="past the end of the memory of x"):
        cp.RawKernel(SOURCE, "too_far")((1,), (4,), (cp.zeros(4, np.float32),))
    with pytest.raises(cp.cuda.compiler.CompileException, match="error"):
        cp.RawKernel('extern "C" __global__ void bad() { no }', "bad")
    large = 'struct Large { double x[%d]; }; extern "C" __global__ void much(const Large x, int n) {}'
    cp.RawKernel(large % 511, "much")
    with pytest.raises(cp.cuda.compiler.CompileException, match="much: .* overflowed .4100 bytes"):
        cp.RawKernel(large % 512, "much")


PACKS = r"""
struct alignas(16) Pack { float element[4]; };

extern "C" __global__ void copy(float* to, const float* from, int n) {
    for (int i = 4 * threadIdx.x; i < n; i += 4 * blockDim.x) *(Pack*)(to + i) = *(const Pack*)(from + i);
}

extern "C" __global__ void copy_and_meet(float* to, const float* from, int n) {
    for (int i = 4 * threadIdx.x; i < n; i += 4 * blockDim.x) *(Pack*)(to + i) = *(const Pack*)(from + i);
    __syncthreads();
}

extern "C" __global__ void convert(float* back, unsigned short* to, const float* from) {
    unsigned short bits;
    float value = from[threadIdx.x];
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    to[threadIdx.x] = bits;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    back[threadIdx.x] = value;
}
"""


@pytest.mark.parametrize("name", ["copy", "copy_and_meet"])
def test_a_misaligned_access_is_refused(cp, name):
    """As a GPU does, where it stops all work of the process."""
    kernel = cp.RawModule(code=PACKS).get_function(name)
    x, y = cp.arange(12, dtype=np.float32), cp.zeros(12, np.float32)
    kernel((1,), (2,), (y, x, np.int32(12)))
    assert y.get().tolist() == list(range(12))
    with pytest.raises(RuntimeError, match=f"kernel {name}: misaligned address: ...[0-9a-f]+ is no multiple of 16"):
        kernel((1,), (2,), (y, x[1:], np.int32(8)))
    with pytest.raises(RuntimeError, match="misaligned address"):
        kernel((1,), (2,), (y[2:], x, np.int32(8)))
    kernel((1,), (2,), (y[4:], x, np.int32(8)))
    assert y.get().tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]


def test_conversions_of_ptx(cp):
    x = np.array([1, 1 + 2**-11, 1 + 3 * 2**-11, 65519.9, 65520, -1e9, 6e-8, 2**-25, -0.0, np.inf, np.nan], np.float32)
    half, back = cp.empty(x.shape, np.float16), cp.empty(x.shape, np.float32)
    cp.RawModule(code=PACKS).get_function("convert")((1,), x.shape, (back, half, cp.asarray(x)))
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(half.get(), expected)
    np.testing.assert_array_equal(back.get(), expected.astype(np.float32))


def test_barriers_and_warps(cp):
    module = cp.RawModule(code=BARRIERS)
    for name, dtype in [("block_sum", np.float32), ("block_sum_double", np.float64)]:
        x, sums = cp.asarray(normal(3, 256, dtype=dtype)), cp.empty(3, dtype)
        module.get_function(name)((3,), (256,), (x, sums))
        np.testing.assert_allclose(sums.get(), x.get().sum(1), rtol=1e-4)
    x, total, positive = cp.asarray(normal(96)), cp.empty(1, np.float32), cp.zeros(1, np.uint32)
    module.get_function("warp_sum")((1,), (96,), (x, total, positive))
    np.testing.assert_allclose(total.get(), x.get().sum(), rtol=1e-4)
    assert positive.get() == (x.get() > 0).sum()


def test_mistakes_with_shared_memory_and_barriers_show(cp):
    module = cp.RawModule(code=BARRIERS)
    reverse = module.get_function("reverse")
    x = cp.arange(64, dtype=np.float32)
    reverse((1,), (64,), (x, np.int32(0)), shared_mem=256)
    assert x.get().tolist() == list(range(63, -1, -1))
    reverse((1,), (64,), (x, np.int32(1)), shared_mem=256)
    assert np.isnan(x.get()).any()  # the forgotten barrier
    module.get_function("stale")((2,), (1,), (x,))
    assert x.get()[0] == 1
    assert np.isnan(x.get()[1])  # a block finds nothing of the one before
    with pytest.raises(RuntimeError, match="a write past the 128 bytes of dynamic shared memory"):
        reverse((1,), (64,), (x, np.int32(0)), shared_mem=128)
    with pytest.raises(RuntimeError, match="bytes of shared memory"):
        reverse((1,), (64,), (x, np.int32(0)), shared_mem=50_000)
    with pytest.raises(RuntimeError, match="wait at different barriers"):
        module.get_function("diverge")((1,), (64,), (np.int32(32),))


# --- cuBLAS ---------------------------------------------------------------------------------------------------


class Blas:
    """As the package will call it: by ctypes, column-major."""

    def __init__(self, stream=0):
        self.library = ctypes.CDLL(str(emulator.cublas_path()))
        self.handle = ctypes.c_void_p()
        assert self.library.cublasCreate_v2(ctypes.byref(self.handle)) == 0
        assert self.library.cublasSetStream_v2(self.handle, ctypes.c_void_p(stream)) == 0

    def gemm(self, ta, tb, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta, c, ldc, step_c, batch, compute=68):
        codes = {"f": 0, "d": 1, "e": 2, "H": 14}
        real = ctypes.c_double if compute == 70 else ctypes.c_float
        pointer, long = (lambda array: ctypes.c_void_p(array.data.ptr)), ctypes.c_longlong
        return self.library.cublasGemmStridedBatchedEx(
            self.handle, ta, tb, m, n, k, ctypes.byref(real(alpha)),
            pointer(a), codes[a.dtype.char], lda, long(step_a), pointer(b), codes[b.dtype.char], ldb, long(step_b),
            ctypes.byref(real(beta)), pointer(c), codes[c.dtype.char], ldc, long(step_c), batch, compute, -1,
        )  # fmt: skip


@pytest.mark.parametrize(
    "dtype, out, compute", [("f", "f", 68), ("f", "f", 77), ("d", "d", 70), ("e", "f", 68), ("e", "e", 68)]
)
@pytest.mark.parametrize("ta", [0, 1])
@pytest.mark.parametrize("tb", [0, 1])
def test_gemm(cp, ta, tb, dtype, out, compute):
    m, n, k, batch, pad = 3, 5, 4, 2, 2
    # what cuBLAS sees column by column, NumPy sees row by row: each matrix is stored as its transpose
    a = normal(batch, m if ta else k, (k if ta else m) + pad, dtype=dtype)
    b = normal(batch, k if tb else n, (n if tb else k) + pad, dtype=dtype)
    c = normal(batch, n, m + pad, dtype=out)
    on_device = [cp.asarray(array) for array in (a, b, c)]
    operands = [given for x in on_device for given in (x, x.shape[2], x[0].size)]
    assert Blas().gemm(ta, tb, m, n, k, 2.0, *operands[:6], 0.5, *operands[6:], batch, compute) == 0

    A = (a[:, :, :k] if ta else a[:, :, :m].swapaxes(1, 2)).astype(np.float64)  # (m, k)
    B = (b[:, :, :n] if tb else b[:, :, :k].swapaxes(1, 2)).astype(np.float64)  # (k, n)
    expected = c.copy()
    expected[:, :, :m] = (2 * A @ B).swapaxes(1, 2) + 0.5 * c[:, :, :m]
    rough = out == "e" or compute == 77
    np.testing.assert_allclose(on_device[2].get(), expected, rtol=1e-2 if rough else 1e-4, atol=1e-2 if rough else 1e-5)
    if compute == 77:
        assert not np.allclose(on_device[2].get(), expected, rtol=1e-6, atol=0)


def test_gemm_does_not_read_c_without_beta_and_bfloat16(cp):
    one = cp.asarray(np.full((2, 2), 0x3F80, np.uint16))  # 1 in bfloat16
    result = cp.empty((2, 2), np.float32)
    assert Blas().gemm(0, 0, 2, 2, 2, 1, one, 2, 0, one, 2, 0, 0, result, 2, 0, 1) == 0
    assert (result.get() == 2).all()


def test_gemm_checks_its_arguments(cp):
    x, half = cp.ones((4, 4), np.float32), cp.ones((4, 4), np.float16)
    blas = Blas()

    def status(m=4, lda=4, a=x, ldc=4, compute=68, batch=1):
        return blas.gemm(0, 0, m, 4, 4, 1, a, lda, 0, x, 4, 0, 0, x, ldc, 0, batch, compute)

    assert status() == 0
    assert status(m=-1) == status(lda=3) == status(ldc=3) == status(batch=-1) == 7
    assert status(a=half) == status(compute=70) == 15
    assert status(lda=300) == cublas.EXECUTION_FAILED  # beyond the memory


def test_gemm_in_a_capture_needs_a_workspace_and_the_stream(cp):
    x, y = cp.asarray(normal(4, 4)), cp.zeros((4, 4), np.float32)
    workspace = cp.empty(4096, np.uint8)
    with cp.cuda.Stream(non_blocking=True) as stream:
        blas, elsewhere = Blas(stream.ptr), Blas()
        arguments = (0, 0, 4, 4, 4, 1, x, 4, 0, x, 4, 0, 0, y, 4, 0, 1)
        assert elsewhere.gemm(*arguments) == cublas.EXECUTION_FAILED
        set_workspace = (blas.handle, ctypes.c_void_p(workspace.data.ptr), ctypes.c_size_t(4096))
        assert blas.library.cublasSetWorkspace_v2(*set_workspace) == 0
        blas.library.cublasSetStream_v2(blas.handle, ctypes.c_void_p(stream.ptr))  # forgets the workspace
        stream.begin_capture()
        assert blas.gemm(*arguments) == cublas.NOT_INITIALIZED
        assert blas.library.cublasSetWorkspace_v2(*set_workspace) == 0
        assert blas.gemm(*arguments) == 0
        graph = stream.end_capture()
        assert (y.get() == 0).all()
        graph.launch()
        np.testing.assert_allclose(y.get(), x.get() @ x.get(), rtol=1e-4, atol=1e-5)


def test_addresses(cp):
    x = cp.zeros(10, np.uint8)
    memory.find(x.data.ptr, 10)
    with pytest.raises(ValueError, match="not live device memory"):
        memory.find(x.data.ptr, 11)


def test_memory_of_python_functions_is_freed_with_the_last_array(cp):
    pool, freed, pointers = cp.cuda.MemoryPool(), [], {}

    def malloc(size, device):
        pointer = pool.malloc(size)
        pointers[pointer.ptr] = pointer
        return pointer.ptr

    with cp.cuda.using_allocator(cp.cuda.PythonFunctionAllocator(malloc, lambda *given: freed.append(given)).malloc):
        x, empty = cp.arange(10), cp.empty(0)
        with pytest.raises(ValueError, match="inside `using_allocator`"):
            cp.cuda.set_allocator(pool.malloc)
    assert [*pointers] == [x.data.ptr]
    view = x[3:]
    del x, empty
    assert (view.get()[0], freed) == (3, [])
    del view
    assert freed == [(address, 0) for address in pointers]


def test_shared_memory_of_two_modules_is_not_one(cp):
    """Both have an inline function of one name, with shared memory of other sizes."""
    code = """
    template <typename Number> __device__ inline Number last_of(Number value) {
        __shared__ Number all[SIZE];
        all[threadIdx.x] = value;
        __syncthreads();
        return all[SIZE - 1];
    }
    extern "C" __global__ void tail(float* out) { out[threadIdx.x] = last_of(float(threadIdx.x)); }
    """
    for size in (4, 64, 4):
        out = cp.zeros(size, np.float32)
        kernel = cp.RawModule(code=f"#define SIZE {size}\n" + code, options=("--std=c++17",)).get_function("tail")
        kernel((1,), (size,), (out,))
        np.testing.assert_array_equal(out.get(), size - 1)
