// im2col, col2im and sums over windows.
//
// Each kernel computes every element of its result by itself, the adjoints too: they gather what others would
// scatter. So there are no atomic additions, and results are the same, bit for bit, in every run.

#include "common.cuh"
#include "window.cuh"

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
