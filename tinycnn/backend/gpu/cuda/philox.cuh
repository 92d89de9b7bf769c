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

// The k-th number of a block, in [0, 1): all the bits that the type can hold there at equal distances.
__device__ __forceinline__ float uniform_of(const Words& words, uint k, float) {
    return float(words.word[k] >> 8) * 5.9604644775390625e-8f;  // 2^-24
}

__device__ __forceinline__ double uniform_of(const Words& words, uint k, double) {
    uint64 bits = uint64(words.word[2 * k] >> 5) << 26 | words.word[2 * k + 1] >> 6;
    return double(bits) * 1.1102230246251565e-16;  // 2^-53
}
