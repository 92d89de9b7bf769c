// Arrays of random numbers: see philox.cuh.

#include "philox.cuh"
#include "lanes.cuh"

// The type that numbers are drawn in: double for double, else float. A block makes four floats or two doubles.
typedef decltype(Sum() * 1.0f) Real;
const uint A_BLOCK = 16 / sizeof(Real);

// A pair of uniform numbers makes a pair of normal ones (Box and Muller, 1958).
__device__ __forceinline__ Real normal_of(const Words& words, uint k) {
    Real u = 1 - uniform_of(words, k & ~1u, Real()), v = uniform_of(words, k | 1u, Real());  // u is never 0
    Real radius = sqrt(Real(-2) * log(u)), angle = Real(6.283185307179586) * v;
    return radius * (k % 2 ? sin(angle) : cos(angle));
}

// Moves the state on when all have drawn from it: the last of the launch's blocks does. `done` counts them.
__device__ __forceinline__ void move_on(State* state, uint64 blocks, uint* done) {
    if (is_last_of(gridDim.x, done) && threadIdx.x == 0) state->position += blocks;
}

// out[i] = number(the words of block i / A_BLOCK, i % A_BLOCK).
template <typename Number>
__device__ __forceinline__ void fill(T* out, State* state, uint* done, uint size, Number number) {
    uint blocks = (size + A_BLOCK - 1) / A_BLOCK;
    FOR_EACH(block, blocks) {
        Words words = philox(state->key, state->position + block, 0);
#pragma unroll
        for (uint k = 0; k < A_BLOCK; ++k) {
            uint i = block * A_BLOCK + k;
            if (i < size) out[i] = number(words, k);
        }
    }
    move_on(state, blocks, done);
}

extern "C" __global__ void uniform(T* out, State* state, uint* done, uint size) {
    fill(out, state, done, size, [](const Words& words, uint k) { return T(uniform_of(words, k, Real())); });
}

extern "C" __global__ void normal(T* out, State* state, uint* done, uint size) {
    fill(out, state, done, size, [](const Words& words, uint k) { return T(normal_of(words, k)); });
}

// 0 with probability p, else `kept`.
extern "C" __global__ void dropout_mask(T* out, State* state, uint* done, uint size, Real p, Real kept) {
    fill(out, state, done, size,
         [=](const Words& words, uint k) { return T(uniform_of(words, k, Real()) < p ? Real(0) : kept); });
}

// Integers from low to low + range - 1, each as likely as any other: 64 bits that would favour some are drawn again.
// `unfair` is 2^64 mod range (Lemire, "Fast random integer generation in an interval", 2019).
extern "C" __global__ void integers(long long* out, State* state, uint* done, uint size, uint64 low, uint64 range,
                                    uint64 unfair) {
    FOR_EACH(i, size) {
        uint64 bits, attempt = 0;
        do {
            Words words = philox(state->key, state->position + i, attempt++);
            bits = uint64(words.word[1]) << 32 | words.word[0];
        } while (bits * range < unfair);
        out[i] = (long long)(low + __umul64hi(bits, range));
    }
    move_on(state, size, done);
}

extern "C" __global__ void seed(State* state, uint64 key) { *state = {key, 0}; }
