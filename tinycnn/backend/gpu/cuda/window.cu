// Sliding windows: im2col, col2im, max pooling, sums over windows. Output position o and kernel position k meet at
// input position o * stride + k * dilation - padding.
//
// Each kernel computes every element of its result by itself, the adjoints too: they gather what others would
// scatter. So there are no atomic additions, and results are the same, bit for bit, in every run.
//
// For windows of few taps this file is compiled with their SIZES and DIMENSIONS, so that loops over taps unroll and
// divisions are by constants. Input, output and padding are not among them: the same code serves every layer of a net
// whose windows have the same sizes.

#include "common.cuh"

// What can be known when this file is compiled, of one dimension. Windows that meet one input position do so at kernel
// positions which are `period` = stride / common apart, and at output positions `apart` = dilation / common apart;
// common is the greatest common divisor of stride and dilation. They are at most `turns` many.
// dilation / common * inverse = 1 modulo period.
struct Sizes {
    int kernel, stride, dilation, common, period, inverse, apart, turns;
};

// One spatial dimension. Unused dimensions come first and have one position.
struct Dim {
    int input, output, padding;
    Sizes sizes;
    Divisor stride, common, period;
    int step;         // between input positions, of the array that is read in input positions
    int step_output;  // between output positions, of the array that is read in output positions
    int step_kernel;  // between kernel positions, of the columns
    int step_other;   // as step_output, for a second array
};

struct Window {
    Dim dim[3];
};

#ifdef SIZES
#define UNROLL _Pragma("unroll")

// The window with what the compiler knows.
__device__ __forceinline__ Window known(Window window) {
    const Sizes sizes[] = {SIZES}, one = {1, 1, 1, 1, 1, 0, 1, 1};
    UNROLL for (int i = 0; i < 3; ++i) {
        Dim& dim = window.dim[i];
        bool used = i >= 3 - DIMENSIONS;
        dim.sizes = used ? sizes[i - (3 - DIMENSIONS)] : one;
        if (!used) dim.input = dim.output = 1, dim.padding = 0;
    }
    return window;
}

__device__ __forceinline__ uint divided(uint n, Divisor, int d) { return n / uint(d); }
__device__ __forceinline__ int position(const Place& at, int i) { return i < 3 - DIMENSIONS ? 0 : at.position[i]; }
#else
#define UNROLL _Pragma("unroll 1")

__device__ __forceinline__ const Window& known(const Window& window) { return window; }
__device__ __forceinline__ uint divided(uint n, Divisor divisor, int) { return quotient(n, divisor); }
__device__ __forceinline__ int position(const Place& at, int i) { return at.position[i]; }
#endif

// Calls visit(tap, offset) for each tap, a kernel position counted in row-major order, that meets the input at output
// position `at`, whose positions are multiplied by the stride; offset is the element of x there, relative to position 0.
#define FOR_EACH_TAP(window, at, tap, offset, visit)                                                        \
    {                                                                                                       \
        const Dim &dim0 = window.dim[0], &dim1 = window.dim[1], &dim2 = window.dim[2];                      \
        int tap = 0;                                                                                        \
        UNROLL for (int k0 = 0; k0 < dim0.sizes.kernel; ++k0) {                                             \
            int i0 = position(at, 0) + k0 * dim0.sizes.dilation - dim0.padding;                             \
            UNROLL for (int k1 = 0; k1 < dim1.sizes.kernel; ++k1) {                                         \
                int i1 = position(at, 1) + k1 * dim1.sizes.dilation - dim1.padding;                         \
                UNROLL for (int k2 = 0; k2 < dim2.sizes.kernel; ++k2, ++tap) {                              \
                    int i2 = position(at, 2) + k2 * dim2.sizes.dilation - dim2.padding;                     \
                    if (uint(i0) < uint(dim0.input) && uint(i1) < uint(dim1.input) &&                       \
                        uint(i2) < uint(dim2.input)) {                                                      \
                        int offset = i0 * dim0.step + i1 * dim1.step + i2 * dim2.step;                      \
                        visit;                                                                              \
                    }                                                                                       \
                }                                                                                           \
            }                                                                                               \
        }                                                                                                   \
    }

// The smallest kernel position that meets an input position in one dimension, and the output position there; that is
// below 0 where none meets it.
struct Meeting {
    int in_kernel, in_output;
};

__device__ __forceinline__ uint remainder(uint n, Divisor divisor, int d) { return n - divided(n, divisor, d) * d; }

__device__ __forceinline__ Meeting first_meeting(const Dim& dim, int i) {
    const Sizes& sizes = dim.sizes;
    uint sum = i + dim.padding;  // = o * stride + k * dilation
    uint k = remainder(divided(sum, dim.common, sizes.common), dim.period, sizes.period);
    if (sizes.inverse > 1) k = remainder(k * sizes.inverse, dim.period, sizes.period);
    int rest = int(sum) - int(k) * sizes.dilation;
    int o = rest < 0 ? -1 : int(divided(rest, dim.stride, sizes.stride));
    return {int(k), o * sizes.stride == rest ? o : -1};
}

// Runs over the pairs of kernel position k and output position o that meet where those of `first` do.
#define FOR_EACH_MEETING(dim, first, k, o)                                                                \
    UNROLL for (int turn = 0; turn < dim.sizes.turns; ++turn)                                             \
        if (int k = first.in_kernel + turn * dim.sizes.period, o = first.in_output - turn * dim.sizes.apart; \
            k < dim.sizes.kernel && uint(o) < uint(dim.output))

// The same in all dimensions: k0, k1, k2 and o0, o1, o2.
#define FOR_EACH_PAIR(window, at)                                                    \
    const Dim &dim0 = window.dim[0], &dim1 = window.dim[1], &dim2 = window.dim[2];   \
    Meeting first0 = first_meeting(dim0, position(at, 0));                           \
    Meeting first1 = first_meeting(dim1, position(at, 1));                           \
    Meeting first2 = first_meeting(dim2, position(at, 2));                           \
    FOR_EACH_MEETING(dim0, first0, k0, o0)                                           \
    FOR_EACH_MEETING(dim1, first1, k1, o1)                                           \
    FOR_EACH_MEETING(dim2, first2, k2, o2)

__device__ __forceinline__ void store_sums(T* to, const Sum* sum) {
    Pack<T> rounded;
    EACH(i) rounded[i] = T(sum[i]);
    store(to, rounded);
}

// columns[k][o] = x[o * stride + k * dilation - padding], 0 outside. Walks over the columns: a in the columns, b in x;
// the position is the one in x, but for the padding.
extern "C" __global__ void unfold(T* columns, const T* x, Walk walk, Window window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        bool inside = true;
        int offset = at.b;
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            int there = at.position[i] - window.dim[i].padding;
            inside = inside && uint(there) < uint(window.dim[i].input);
            offset -= window.dim[i].padding * window.dim[i].step;
        }
        Pack<T> value;
        EACH(i) value[i] = T(0);
        if (inside) value = load(x + offset);
        store(columns + at.a, value);
    }
}

// x[i] = sum of columns[k][o] over all (k, o) that meet at i: the adjoint of unfold. Walks over x: a in x, b in the
// columns. With step_kernel = 0 each output has one value for its whole window: the adjoint of window_sum.
extern "C" __global__ void fold(T* x, const T* columns, Walk walk, Window given) {
    Window window = known(given);
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum sum[WIDTH] = {};
        FOR_EACH_PAIR(window, at) {
            Pack<T> column = load(columns + at.b + k0 * dim0.step_kernel + k1 * dim1.step_kernel + k2 * dim2.step_kernel +
                                  o0 * dim0.step_output + o1 * dim1.step_output + o2 * dim2.step_output);
            EACH(i) sum[i] += Sum(column[i]);
        }
        store_sums(x + at.a, sum);
    }
}

// y[o] = sum over its window of x. Walks over y: a in y, b in x (but for the spatial dimensions).
extern "C" __global__ void window_sum(T* y, const T* x, Walk walk, Window given) {
    Window window = known(given);
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum sum[WIDTH] = {};
        FOR_EACH_TAP(window, at, tap, offset, {
            Pack<T> value = load(x + at.b + offset);
            EACH(i) sum[i] += Sum(value[i]);
        });
        store_sums(y + at.a, sum);
    }
}

// y[o] = the largest x in the window, `lowest` where all of it is padding, and the tap it lies at: the first of equals.
// Walks over y: a in y and argmax, b in x. A nan wins, the last of several, as in torch; argmax may be null.
template <typename Tap>
__device__ __forceinline__ void max_pool(T* y, Tap* argmax, const T* x, const Walk& walk, const Window& given,
                                         T lowest) {
    Window window = known(given);
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Pack<T> best;
        int chosen[WIDTH];
        EACH(i) best[i] = lowest, chosen[i] = -1;
        FOR_EACH_TAP(window, at, tap, offset, {
            Pack<T> pack = load(x + at.b + offset);
            EACH(i) {
                T value = pack[i];
                if (chosen[i] < 0 || value > best[i] || value != value) chosen[i] = tap;
                if (!(best[i] >= value) && best[i] == best[i]) best[i] = value;
            }
        });
        store(y + at.a, best);
        if (!argmax) continue;
        Pack<Tap> taps;
        EACH(i) taps[i] = Tap(chosen[i] < 0 ? 0 : chosen[i]);
        store(argmax + at.a, taps);
    }
}

extern "C" __global__ void max_pool_u1(T* y, unsigned char* argmax, const T* x, Walk walk, Window window, T lowest) {
    max_pool(y, argmax, x, walk, window, lowest);
}

extern "C" __global__ void max_pool_i4(T* y, int* argmax, const T* x, Walk walk, Window window, T lowest) {
    max_pool(y, argmax, x, walk, window, lowest);
}

// x[i] = sum of g[o] over the outputs o whose chosen tap meets i: the gradient of max pooling. Walks over x: a in x,
// b in g, c in argmax.
template <typename Tap>
__device__ __forceinline__ void scatter_taps(T* x, const T* g, const Tap* argmax, const Walk& walk,
                                             const Window& given) {
    Window window = known(given);
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum sum[WIDTH] = {};
        FOR_EACH_PAIR(window, at) {
            int tap = (k0 * dim1.sizes.kernel + k1) * dim2.sizes.kernel + k2;
            Pack<Tap> chosen = load(argmax + at.c + o0 * dim0.step_other + o1 * dim1.step_other + o2 * dim2.step_other);
            Pack<T> value = load(g + at.b + o0 * dim0.step_output + o1 * dim1.step_output + o2 * dim2.step_output);
            EACH(i) if (int(chosen[i]) == tap) sum[i] += Sum(value[i]);
        }
        store_sums(x + at.a, sum);
    }
}

extern "C" __global__ void scatter_taps_u1(T* x, const T* g, const unsigned char* argmax, Walk walk, Window window) {
    scatter_taps(x, g, argmax, walk, window);
}

extern "C" __global__ void scatter_taps_i4(T* x, const T* g, const int* argmax, Walk walk, Window window) {
    scatter_taps(x, g, argmax, walk, window);
}

// y[o] = x at the chosen tap of o, 0 if that is padding: the adjoint of scatter_taps. Walks over y: a in y, b in x,
// c in argmax.
template <typename Tap>
__device__ __forceinline__ void gather_taps(T* y, const T* x, const Tap* argmax, const Walk& walk,
                                            const Window& given) {
    Window window = known(given);
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Pack<Tap> chosen = load(argmax + at.c);
        Pack<T> value;
        EACH(neighbour) {
            int tap = int(chosen[neighbour]), offset = at.b + neighbour;
            bool inside = true;
#pragma unroll
            for (int i = 2; i >= 0; --i) {
                const Dim& dim = window.dim[i];
                int rest = tap / dim.sizes.kernel, in_window = tap - rest * dim.sizes.kernel;
                int there = position(at, i) + in_window * dim.sizes.dilation - dim.padding;
                tap = rest;
                inside = inside && uint(there) < uint(dim.input);
                offset += there * dim.step;
            }
            value[neighbour] = inside ? x[offset] : T(0);
        }
        store(y + at.a, value);
    }
}

extern "C" __global__ void gather_taps_u1(T* y, const T* x, const unsigned char* argmax, Walk walk, Window window) {
    gather_taps(y, x, argmax, walk, window);
}

extern "C" __global__ void gather_taps_i4(T* y, const T* x, const int* argmax, Walk walk, Window window) {
    gather_taps(y, x, argmax, walk, window);
}
