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
