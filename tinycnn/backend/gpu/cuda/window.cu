// Sliding windows: im2col, col2im, max pooling, sums over windows. Output position o and kernel position k meet at
// input position o * stride + k * dilation - padding.
//
// Each kernel computes every element of its result by itself, the adjoints too: they gather what others would
// scatter. So there are no atomic additions, and results are the same, bit for bit, in every run.

#include "common.cuh"

// One spatial dimension. Unused dimensions come first and have one position.
struct Dim {
    int input, output, kernel;
    Divisor stride;  // kernels that gather divide by it for each tap
    int dilation, padding;
    int step;         // between input positions, of the array that is read in input positions
    int step_output;  // between output positions, of the array that is read in output positions
    int step_kernel;  // between kernel positions, of the columns
    int step_other;   // as step_output, for a second array
};

struct Window {
    Dim dim[3];
};

// Calls visit(tap, offset) for each tap, a kernel position counted in row-major order, that meets the input when
// dimension i of the window begins at start[i]; offset is the element of x there, relative to position 0.
#define FOR_EACH_TAP(window, start, tap, offset, visit)                                                     \
    {                                                                                                       \
        int tap = 0;                                                                                        \
        for (int k0 = 0; k0 < window.dim[0].kernel; ++k0) {                                                 \
            int i0 = start[0] + k0 * window.dim[0].dilation - window.dim[0].padding;                        \
            for (int k1 = 0; k1 < window.dim[1].kernel; ++k1) {                                             \
                int i1 = start[1] + k1 * window.dim[1].dilation - window.dim[1].padding;                    \
                for (int k2 = 0; k2 < window.dim[2].kernel; ++k2, ++tap) {                                  \
                    int i2 = start[2] + k2 * window.dim[2].dilation - window.dim[2].padding;                \
                    if (uint(i0) < uint(window.dim[0].input) && uint(i1) < uint(window.dim[1].input) &&     \
                        uint(i2) < uint(window.dim[2].input)) {                                             \
                        int offset = i0 * window.dim[0].step + i1 * window.dim[1].step +                    \
                                     i2 * window.dim[2].step;                                               \
                        visit;                                                                              \
                    }                                                                                       \
                }                                                                                           \
            }                                                                                               \
        }                                                                                                   \
    }

// The output position at which kernel position k meets input position i, or -1.
__device__ __forceinline__ int meeting(const Dim& dim, int i, int k) {
    int shifted = i + dim.padding - k * dim.dilation;
    if (shifted < 0) return -1;
    int o = quotient(shifted, dim.stride);
    return o < dim.output && o * int(dim.stride.divisor) == shifted ? o : -1;
}

// columns[k][o] = x[o * stride + k * dilation - padding], 0 outside. Walks over the columns: a in the columns, b in x;
// the position is the one in x, but for the padding.
extern "C" __global__ void unfold(T* columns, const T* x, Walk walk, Window window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        bool inside = true;
        int offset = at.b;
        for (int i = 0; i < 3; ++i) {
            int position = at.position[i] - window.dim[i].padding;
            inside = inside && uint(position) < uint(window.dim[i].input);
            offset -= window.dim[i].padding * window.dim[i].step;
        }
        columns[at.a] = inside ? x[offset] : T(0);
    }
}

// x[i] = sum of columns[k][o] over all (k, o) that meet at i: the adjoint of unfold. Walks over x: a in x, b in the
// columns. With step_kernel = 0 each output has one value for its whole window: the adjoint of window_sum.
extern "C" __global__ void fold(T* x, const T* columns, Walk walk, Window window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum sum = 0;
        for (int k0 = 0; k0 < window.dim[0].kernel; ++k0) {
            int o0 = meeting(window.dim[0], at.position[0], k0);
            if (o0 < 0) continue;
            for (int k1 = 0; k1 < window.dim[1].kernel; ++k1) {
                int o1 = meeting(window.dim[1], at.position[1], k1);
                if (o1 < 0) continue;
                for (int k2 = 0; k2 < window.dim[2].kernel; ++k2) {
                    int o2 = meeting(window.dim[2], at.position[2], k2);
                    if (o2 < 0) continue;
                    sum += Sum(columns[at.b + k0 * window.dim[0].step_kernel + k1 * window.dim[1].step_kernel +
                                       k2 * window.dim[2].step_kernel + o0 * window.dim[0].step_output +
                                       o1 * window.dim[1].step_output + o2 * window.dim[2].step_output]);
                }
            }
        }
        x[at.a] = T(sum);
    }
}

// y[o] = sum over its window of x. Walks over y: a in y, b in x (but for the spatial dimensions).
extern "C" __global__ void window_sum(T* y, const T* x, Walk walk, Window window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum sum = 0;
        FOR_EACH_TAP(window, at.position, tap, offset, sum += Sum(x[at.b + offset]));
        y[at.a] = T(sum);
    }
}

// y[o] = the largest x in the window, `lowest` where all of it is padding, and the tap it lies at: the first of equals.
// Walks over y: a in y and argmax, b in x. A nan wins, the last of several, as in torch; argmax may be null.
template <typename Tap>
__device__ __forceinline__ void max_pool(T* y, Tap* argmax, const T* x, T lowest, const Walk& walk,
                                         const Window& window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        T best = lowest;
        int chosen = -1;
        FOR_EACH_TAP(window, at.position, tap, offset, {
            T value = x[at.b + offset];
            if (chosen < 0 || value > best || value != value) chosen = tap;
            if (!(best >= value) && best == best) best = value;
        });
        y[at.a] = best;
        if (argmax) argmax[at.a] = Tap(chosen < 0 ? 0 : chosen);
    }
}

extern "C" __global__ void max_pool_u1(T* y, unsigned char* argmax, const T* x, T lowest, Walk walk, Window window) {
    max_pool(y, argmax, x, lowest, walk, window);
}

extern "C" __global__ void max_pool_i4(T* y, int* argmax, const T* x, T lowest, Walk walk, Window window) {
    max_pool(y, argmax, x, lowest, walk, window);
}

// x[i] = sum of g[o] over the outputs o whose chosen tap meets i: the gradient of max pooling. Walks over x: a in x,
// b in g, c in argmax.
template <typename Tap>
__device__ __forceinline__ void scatter_taps(T* x, const T* g, const Tap* argmax, const Walk& walk,
                                             const Window& window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum sum = 0;
        int tap = 0;
        for (int k0 = 0; k0 < window.dim[0].kernel; ++k0) {
            int o0 = meeting(window.dim[0], at.position[0], k0);
            for (int k1 = 0; k1 < window.dim[1].kernel; ++k1) {
                int o1 = o0 < 0 ? -1 : meeting(window.dim[1], at.position[1], k1);
                for (int k2 = 0; k2 < window.dim[2].kernel; ++k2, ++tap) {
                    int o2 = o1 < 0 ? -1 : meeting(window.dim[2], at.position[2], k2);
                    if (o2 < 0) continue;
                    int other = o0 * window.dim[0].step_other + o1 * window.dim[1].step_other +
                                o2 * window.dim[2].step_other;
                    if (int(argmax[at.c + other]) != tap) continue;
                    sum += Sum(g[at.b + o0 * window.dim[0].step_output + o1 * window.dim[1].step_output +
                                 o2 * window.dim[2].step_output]);
                }
            }
        }
        x[at.a] = T(sum);
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
                                            const Window& window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        int tap = int(argmax[at.c]), offset = at.b;
        bool inside = true;
        for (int i = 2; i >= 0; --i) {
            const Dim& dim = window.dim[i];
            int position = at.position[i] + tap % dim.kernel * dim.dilation - dim.padding;
            tap /= dim.kernel;
            inside = inside && uint(position) < uint(dim.input);
            offset += position * dim.step;
        }
        y[at.a] = inside ? x[offset] : T(0);
    }
}

extern "C" __global__ void gather_taps_u1(T* y, const T* x, const unsigned char* argmax, Walk walk, Window window) {
    gather_taps(y, x, argmax, walk, window);
}

extern "C" __global__ void gather_taps_i4(T* y, const T* x, const int* argmax, Walk walk, Window window) {
    gather_taps(y, x, argmax, walk, window);
}
