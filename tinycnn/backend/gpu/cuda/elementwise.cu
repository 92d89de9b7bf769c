// Element by element.

#include "common.cuh"

// g = u where y = relu(x) is not 0, else 0: a in g and y, b in u.
extern "C" __global__ void relu_backward(T* g, const T* u, const T* y, Walk walk) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Pack<T> value = load(y + at.a), upstream = load(u + at.b), result;
        EACH(i) result[i] = value[i] != T(0) ? upstream[i] : T(0);
        store(g + at.a, result);
    }
}

// z = y * weight + bias, of which one may be null: a in z, b in y, c in weight and bias.
extern "C" __global__ void scale_shift(T* z, const T* y, const Sum* weight, const Sum* bias, Walk walk) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum value = Sum(y[at.b]);
        if (weight) value *= weight[at.c];
        z[at.a] = T(bias ? value + bias[at.c] : value);
    }
}
