// Sums at indices, in an order that never changes.

#include "common.cuh"

// y[position[j]] += x[j] for all j < n; `order` sorts the positions, and each run of equal ones is one thread's.
extern "C" __global__ void add_runs(T* y, const T* x, const long long* position, const long long* order, long long n) {
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        long long place = position[order[i]];
        if (i > 0 && position[order[i - 1]] == place) continue;
        Sum sum = Sum(y[place]);
        for (long long j = i; j < n && position[order[j]] == place; ++j) sum += Sum(x[order[j]]);
        y[place] = T(sum);
    }
}
