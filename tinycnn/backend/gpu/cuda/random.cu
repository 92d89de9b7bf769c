// Random numbers by counting: Philox4x32-10 makes four random words of a key and the number of a block
// (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). So every number can be computed by itself,
// and is the same whatever thread does it.

#include "common.cuh"

typedef unsigned long long uint64;

// Lies on the device, and a kernel advances it there: a captured graph draws other numbers in every replay.
struct State {
    uint64 key;
    uint64 position;  // the first block that was not used yet
};

struct Words {
    uint word[4];
};

// `attempt` is for those that need more than one block: the upper half of the block's number.
__device__ __forceinline__ Words philox(uint64 key, uint64 block, uint64 attempt) {
    uint key0 = uint(key), key1 = uint(key >> 32);
    uint a = uint(block), b = uint(block >> 32), c = uint(attempt), d = uint(attempt >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        uint high_a = __umulhi(0xD2511F53u, a), low_a = 0xD2511F53u * a;
        uint high_c = __umulhi(0xCD9E8D57u, c), low_c = 0xCD9E8D57u * c;
        a = high_c ^ b ^ key0;
        b = low_c;
        c = high_a ^ d ^ key1;
        d = low_a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return {{a, b, c, d}};
}

// The type that numbers are drawn in: double for double, else float. A block makes four floats or two doubles.
typedef decltype(Sum() * 1.0f) Real;
const uint A_BLOCK = 16 / sizeof(Real);

// The k-th number of a block, in [0, 1): all the bits that the type can hold there at equal distances.
__device__ __forceinline__ float uniform_of(const Words& words, uint k, float) {
    return float(words.word[k] >> 8) * 5.9604644775390625e-8f;  // 2^-24
}

__device__ __forceinline__ double uniform_of(const Words& words, uint k, double) {
    uint64 bits = uint64(words.word[2 * k] >> 5) << 26 | words.word[2 * k + 1] >> 6;
    return double(bits) * 1.1102230246251565e-16;  // 2^-53
}

// A pair of uniform numbers makes a pair of normal ones (Box and Muller, 1958).
__device__ __forceinline__ Real normal_of(const Words& words, uint k) {
    Real u = 1 - uniform_of(words, k & ~1u, Real()), v = uniform_of(words, k | 1u, Real());  // u is never 0
    Real radius = sqrt(Real(-2) * log(u)), angle = Real(6.283185307179586) * v;
    return radius * (k % 2 ? sin(angle) : cos(angle));
}

// out[i] = number(the words of block i / A_BLOCK, i % A_BLOCK).
template <typename Number>
__device__ __forceinline__ void fill(T* out, const State* state, uint size, Number number) {
    FOR_EACH(block, (size + A_BLOCK - 1) / A_BLOCK) {
        Words words = philox(state->key, state->position + block, 0);
#pragma unroll
        for (uint k = 0; k < A_BLOCK; ++k) {
            uint i = block * A_BLOCK + k;
            if (i < size) out[i] = number(words, k);
        }
    }
}

extern "C" __global__ void uniform(T* out, const State* state, uint size) {
    fill(out, state, size, [](const Words& words, uint k) { return T(uniform_of(words, k, Real())); });
}

extern "C" __global__ void normal(T* out, const State* state, uint size) {
    fill(out, state, size, [](const Words& words, uint k) { return T(normal_of(words, k)); });
}

// 0 with probability p, else `kept`.
extern "C" __global__ void dropout_mask(T* out, const State* state, uint size, Real p, Real kept) {
    fill(out, state, size,
         [=](const Words& words, uint k) { return T(uniform_of(words, k, Real()) < p ? Real(0) : kept); });
}

// Integers from low to low + range - 1, each as likely as any other: 64 bits that would favour some are drawn again.
// `unfair` is 2^64 mod range (Lemire, "Fast random integer generation in an interval", 2019).
extern "C" __global__ void integers(long long* out, const State* state, uint size, uint64 low, uint64 range,
                                    uint64 unfair) {
    FOR_EACH(i, size) {
        uint64 bits, attempt = 0;
        do {
            Words words = philox(state->key, state->position + i, attempt++);
            bits = uint64(words.word[1]) << 32 | words.word[0];
        } while (bits * range < unfair);
        out[i] = (long long)(low + __umul64hi(bits, range));
    }
}

// --- the state: kernels of one thread -----------------------------------------------------------------------

extern "C" __global__ void seed(State* state, uint64 key) { *state = {key, 0}; }

extern "C" __global__ void move_on(State* state, uint64 blocks) { state->position += blocks; }
