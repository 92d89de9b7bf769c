// Element by element.

#include "common.cuh"

// g = u where y = relu(x) is not 0, else 0: a in g and y, b in u.
extern "C" __global__ void relu_backward(T* g, const T* u, const T* y, Walk walk) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        g[at.a] = y[at.a] != T(0) ? u[at.b] : T(0);
    }
}
