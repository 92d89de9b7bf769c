// Max pooling and its adjoints, which gather as those in window.cu.

#include "common.cuh"
#include "window.cuh"

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
