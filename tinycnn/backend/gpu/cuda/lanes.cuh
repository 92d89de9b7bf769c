// What several threads of a block do together.

struct Addition {
    __device__ Sum operator()(Sum a, Sum b) const { return a + b; }
};

// A value of every one of `lanes` neighbouring threads, a power of two, joined in a fixed order to one that all of them
// get. All threads of a block have to come here; `shared` has a place for each.
template <typename Value, typename Join>
__device__ __forceinline__ Value among_lanes(Value value, int lanes, Value* shared, Join join) {
    int lane = threadIdx.x & (lanes - 1);
    __syncthreads();  // the results of a call before have been read
    shared[threadIdx.x] = value;
    for (int half = lanes / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half) shared[threadIdx.x] = join(shared[threadIdx.x], shared[threadIdx.x + half]);
    }
    __syncthreads();
    return shared[threadIdx.x - lane];
}

// Whether this block is the last of `blocks` to come here; all its threads have to. It then reads with `latest` what the
// others wrote before. `done` is 0 before, and again when all have come.
__device__ __forceinline__ bool is_last_of(uint blocks, uint* done) {
    __shared__ bool last;
    __threadfence();  // what this thread has written is there for whoever sees the count
    __syncthreads();
    if (threadIdx.x == 0) last = atomicInc(done, blocks - 1) == blocks - 1;
    __syncthreads();
    return last;
}

// What another block has written, a number or a struct of numbers: never an older one from a cache.
template <typename Value>
__device__ __forceinline__ Value latest(const Value* at) {
    Value value;
    for (int i = 0; i < sizeof(Value) / sizeof(Sum); ++i) ((Sum*)&value)[i] = ((const volatile Sum*)at)[i];
    return value;
}

struct Pair {
    Sum first, second;
};

struct PairAddition {
    __device__ Pair operator()(Pair a, Pair b) const { return {a.first + b.first, a.second + b.second}; }
};

// Joins a value of every thread of `count` blocks, of which this is number `block`, in a fixed order. Returns whether this
// thread is the one that gets the result, in `value`. `shares` has a place for each block, `done` counts them.
template <int threads, typename Value, typename Join>
__device__ __forceinline__ bool joined(Value& value, uint block, uint count, Value* shares, uint* done, Join join) {
    __shared__ Value shared[threads];
    value = among_lanes(value, threads, shared, join);
    if (count > 1) {
        if (threadIdx.x == 0) shares[block] = value;
        if (!is_last_of(count, done)) return false;
        value = Value();
        for (uint i = threadIdx.x; i < count; i += threads) value = join(value, latest(shares + i));
        value = among_lanes(value, threads, shared, join);
    }
    return threadIdx.x == 0;
}
