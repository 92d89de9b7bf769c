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

// SIZE(window, i, kernel): a field of Sizes of dimension i, constant where it is known. USED(i): whether there may be
// more than one position in it.
#ifdef SIZES
__device__ constexpr Sizes known(int i) {
    const Sizes sizes[] = {SIZES}, one = {1, 1, 1, 1, 1, 0, 1, 1};
    return i < 3 - DIMENSIONS ? one : sizes[i - (3 - DIMENSIONS)];
}
template <int value>
struct Constant {
    enum { VALUE = value };
};
#define SIZE(window, i, field) int(Constant<known(i).field>::VALUE)
#define USED(i) ((i) >= 3 - DIMENSIONS)
#define DIVIDED(window, i, n, field) (uint(n) / uint(SIZE(window, i, field)))
#define UNROLL _Pragma("unroll")
#else
#define SIZE(window, i, field) window.dim[i].sizes.field
#define USED(i) true
#define DIVIDED(window, i, n, field) quotient(n, window.dim[i].field)
#define UNROLL _Pragma("unroll 1")
#endif
#define REMAINDER(window, i, n, field) (n - DIVIDED(window, i, n, field) * SIZE(window, i, field))

// The input position in dimension i at which kernel position k lies, where `at` has the output position times stride.
template <int i>
__device__ __forceinline__ int input_position(const Window& window, const Place& at, int k) {
    return USED(i) ? at.position[i] + k * SIZE(window, i, dilation) - window.dim[i].padding : 0;
}

template <int i>
__device__ __forceinline__ bool on_input(const Window& window, int position) {
    return !USED(i) || uint(position) < uint(window.dim[i].input);
}

// Calls visit(tap, offset) for each tap, a kernel position counted in row-major order, that lies on the input; offset is
// the element of x there, relative to position 0.
#define FOR_EACH_TAP(window, at, tap, offset, visit)                                                   \
    UNROLL for (int k0 = 0; k0 < SIZE(window, 0, kernel); ++k0)                                        \
        UNROLL for (int k1 = 0; k1 < SIZE(window, 1, kernel); ++k1)                                    \
            UNROLL for (int k2 = 0; k2 < SIZE(window, 2, kernel); ++k2) {                              \
                int i0 = input_position<0>(window, at, k0), i1 = input_position<1>(window, at, k1);    \
                int i2 = input_position<2>(window, at, k2);                                            \
                if (on_input<0>(window, i0) && on_input<1>(window, i1) && on_input<2>(window, i2)) {   \
                    int tap = (k0 * SIZE(window, 1, kernel) + k1) * SIZE(window, 2, kernel) + k2;      \
                    int offset = OFFSET(window, step, i0, i1, i2);                                    \
                    visit;                                                                             \
                }                                                                                      \
            }

// The smallest kernel position that meets an input position in one dimension, and the output position there; that is
// below 0 where none meets it.
struct Meeting {
    int in_kernel, in_output;
};

template <int i>
__device__ __forceinline__ Meeting first_meeting(const Window& window, const Place& at) {
    if (!USED(i)) return {0, 0};
    uint sum = at.position[i] + window.dim[i].padding;  // = o * stride + k * dilation
    uint k = DIVIDED(window, i, sum, common);
    k = REMAINDER(window, i, k, period);
    if (SIZE(window, i, inverse) > 1) {
        k *= SIZE(window, i, inverse);
        k = REMAINDER(window, i, k, period);
    }
    int rest = int(sum) - int(k) * SIZE(window, i, dilation);
    int o = rest < 0 ? -1 : int(DIVIDED(window, i, rest, stride));
    return {int(k), o * SIZE(window, i, stride) == rest ? o : -1};
}

// Runs over the pairs of kernel position k and output position o that meet where those of `first` do.
#define FOR_EACH_MEETING(window, i, first, k, o)                                    \
    UNROLL for (int turn = 0; turn < SIZE(window, i, turns); ++turn)                \
        if (int k = first.in_kernel + turn * SIZE(window, i, period),               \
            o = first.in_output - turn * SIZE(window, i, apart);                    \
            !USED(i) || (k < SIZE(window, i, kernel) && uint(o) < uint(window.dim[i].output)))

// The same in all dimensions, where they meet input position `at`: k0, k1, k2 and o0, o1, o2.
#define FOR_EACH_PAIR(window, at)                     \
    Meeting first0 = first_meeting<0>(window, at);    \
    Meeting first1 = first_meeting<1>(window, at);    \
    Meeting first2 = first_meeting<2>(window, at);    \
    FOR_EACH_MEETING(window, 0, first0, k0, o0)       \
    FOR_EACH_MEETING(window, 1, first1, k1, o1)       \
    FOR_EACH_MEETING(window, 2, first2, k2, o2)

// An element of an array with such a step in each dimension.
#define OFFSET(window, step, p0, p1, p2) \
    ((p0) * window.dim[0].step + (p1) * window.dim[1].step + (p2) * window.dim[2].step)

__device__ __forceinline__ void store_sums(T* to, const Sum* sum) {
    Pack<T> rounded;
    EACH(i) rounded[i] = T(sum[i]);
    store(to, rounded);
}

// A copy of elements: a in the copy, b in what is copied. If `repeated`, each element is written to a whole pack.
struct Copy {
    Walk walk;
    int repeated;
};

__device__ __forceinline__ void copy(T* to, const T* from, const Copy& by) {
    FOR_EACH(index, by.walk.size) {
        Place at = locate(index, by.walk);
        T value = from[at.b];
        if (by.repeated) {
            Pack<T> pack;
            EACH(i) pack[i] = value;
            store(to + at.a, pack);
        } else {
            to[at.a] = value;
        }
    }
}

// columns[k][o] = x[o * stride + k * dilation - padding], 0 outside. Walks over the columns: a in the columns, b in x;
// the position is the one in x, but for the padding.
// Besides, it copies `of_first` to `first` and `of_second` to `second`: small preparations of a product are not worth
// launches of their own.
extern "C" __global__ void unfold(T* columns, const T* x, Walk walk, Window window, T* first, const T* of_first,
                                  Copy by_first, T* second, const T* of_second, Copy by_second) {
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
    copy(first, of_first, by_first);
    copy(second, of_second, by_second);
}

// x[i] = sum of columns[k][o] over all (k, o) that meet at i: the adjoint of unfold. Walks over x: a in x, b in the
// columns. With step_kernel = 0 each output has one value for its whole window: the adjoint of window_sum.
extern "C" __global__ void fold(T* x, const T* columns, Walk walk, Window window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum sum[WIDTH] = {};
        FOR_EACH_PAIR(window, at) {
            Pack<T> column = load(columns + at.b + OFFSET(window, step_kernel, k0, k1, k2) +
                                  OFFSET(window, step_output, o0, o1, o2));
            EACH(i) sum[i] += Sum(column[i]);
        }
        store_sums(x + at.a, sum);
    }
}

// y[o] = sum over its window of x. Walks over y: a in y, b in x (but for the spatial dimensions).
extern "C" __global__ void window_sum(T* y, const T* x, Walk walk, Window window) {
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
__device__ __forceinline__ void max_pool(T* y, Tap* argmax, const T* x, const Walk& walk, const Window& window,
                                         T lowest) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Pack<T> best;
        int first = -1, chosen[WIDTH];  // the first tap on the input; it is chosen where none is above `lowest`
        EACH(i) best[i] = lowest, chosen[i] = -1;
        FOR_EACH_TAP(window, at, tap, offset, {
            Pack<T> value = load(x + at.b + offset);
            if (first < 0) first = tap;
            EACH(i) {
                bool larger = value[i] > best[i] || value[i] != value[i];
                best[i] = larger ? value[i] : best[i];
                chosen[i] = larger ? tap : chosen[i];
            }
        });
        store(y + at.a, best);
        if (!argmax) continue;
        if (first < 0) first = 0;
        Pack<Tap> taps;
        EACH(i) taps[i] = Tap(chosen[i] < 0 ? first : chosen[i]);
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
                                             const Window& window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum sum[WIDTH] = {};
        FOR_EACH_PAIR(window, at) {
            int tap = (k0 * SIZE(window, 1, kernel) + k1) * SIZE(window, 2, kernel) + k2;
            Pack<Tap> chosen = load(argmax + at.c + OFFSET(window, step_other, o0, o1, o2));
            Pack<T> value = load(g + at.b + OFFSET(window, step_output, o0, o1, o2));
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
                                            const Window& window) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Pack<Tap> chosen = load(argmax + at.c);
        Pack<T> value;
        EACH(i) {
            int tap = int(chosen[i]), row = tap / SIZE(window, 2, kernel), plane = row / SIZE(window, 1, kernel);
            int i0 = input_position<0>(window, at, plane);
            int i1 = input_position<1>(window, at, row - plane * SIZE(window, 1, kernel));
            int i2 = input_position<2>(window, at, tap - row * SIZE(window, 2, kernel));
            bool inside = on_input<0>(window, i0) && on_input<1>(window, i1) && on_input<2>(window, i2);
            value[i] = inside ? x[at.b + i + OFFSET(window, step, i0, i1, i2)] : T(0);
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
