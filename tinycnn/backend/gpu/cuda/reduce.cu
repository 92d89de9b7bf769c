// Sums, means and variances over some axes of an array, and what normalisation does with them.
//
// A reduction runs in two steps: each block sums up one share of one result, then a few threads join the shares of a
// result: one after the other, hundreds of loads would take far longer than the first step. Both in a fixed order:
// results are the same, bit for bit, in every run.

#include "common.cuh"
#include "lanes.cuh"

// Shares are laid out as [result][share][numbers]. `kept` walks over the results, `reduced` over what is summed up.
#define SHARE_OF_BLOCK(kept, reduced)                                                   \
    uint result = blockIdx.x, share = blockIdx.y, shares = gridDim.y;                   \
    Place base = locate(result, kept);                                                  \
    uint length = (reduced.size + shares - 1) / shares, first = share * length;         \
    uint last = first + length < reduced.size ? first + length : reduced.size;

const int THREADS = 256;

// The second step: which result this thread works at, as one of `lanes`, and whether there is such a result.
#define RESULT_OF_LANE(kept, lanes)                                                \
    uint result = blockIdx.x * (THREADS / lanes) + threadIdx.x / lanes;            \
    int lane = threadIdx.x & (lanes - 1);                                          \
    bool exists = result < kept.size; /* threads without one meet the barriers */

// Adds `term` for i = first, first + step, ... below last to `sum`: in parts of 32, as what is added one by one to a
// large sum is lost.
#define SUM_IN_PARTS(sum, i, first, last, step, term)                                     \
    for (uint i = (first); i < (last);) {                                                 \
        Sum part = 0;                                                                     \
        for (int count = 0; count < 32 && i < (last); ++count, i += (step)) part += term; \
        sum += part;                                                                      \
    }

// a in x.
extern "C" __global__ void sum_shares(Sum* sums, const T* x, Walk kept, Walk reduced) {
    __shared__ Sum shared[THREADS];
    SHARE_OF_BLOCK(kept, reduced)
    Sum sum = 0;
    SUM_IN_PARTS(sum, i, first + threadIdx.x, last, THREADS, Sum(x[base.a + locate(i, reduced).a]))
    sum = among_lanes(sum, THREADS, shared, Addition());
    if (threadIdx.x == 0) sums[result * shares + share] = sum;
}

// b in y.
extern "C" __global__ void add_shares(T* y, const Sum* sums, Walk kept, int shares, int lanes) {
    __shared__ Sum shared[THREADS];
    RESULT_OF_LANE(kept, lanes)
    Sum sum = 0;
    for (int share = lane; exists && share < shares; share += lanes) sum += sums[result * shares + share];
    sum = among_lanes(sum, lanes, shared, Addition());
    if (exists && lane == 0) y[locate(result, kept).b] = T(sum);
}

// y = the sum over `reduced`, few of them, for many results: a in x, b in y.
extern "C" __global__ void sum_few(T* y, const T* x, Walk kept, Walk reduced) {
    FOR_EACH(result, kept.size) {
        Place at = locate(result, kept);
        Sum sum = 0;
        SUM_IN_PARTS(sum, i, 0, reduced.size, 1, Sum(x[at.a + locate(i, reduced).a]))
        y[at.b] = T(sum);
    }
}

#ifdef FLOATING

// --- mean and variance ----------------------------------------------------------------------------------------

// The count, the mean, and the sum of squared differences from it, of some numbers.
struct Moments {
    Sum count, mean, squares;
};

// Those of two sets together (Chan, Golub and LeVeque, 1979): never the difference of two large numbers.
struct Together {
    __device__ Moments operator()(Moments a, Moments b) const {
        if (b.count == 0) return a;
        if (a.count == 0) return b;
        Sum count = a.count + b.count, difference = b.mean - a.mean, share = b.count / count;
        return {count, a.mean + difference * share, a.squares + b.squares + difference * difference * a.count * share};
    }
};

// a in x.
extern "C" __global__ void moments_shares(Moments* moments, const T* x, Walk kept, Walk reduced) {
    __shared__ Moments shared[THREADS];
    SHARE_OF_BLOCK(kept, reduced)
    Moments own = {0, 0, 0};
    for (uint i = first + threadIdx.x; i < last; i += THREADS) {  // Welford's update, 1962
        Sum value = Sum(x[base.a + locate(i, reduced).a]);
        own.count += 1;
        Sum difference = value - own.mean;
        own.mean += difference / own.count;
        own.squares += difference * (value - own.mean);
    }
    own = among_lanes(own, THREADS, shared, Together());
    if (threadIdx.x == 0) moments[result * shares + share] = own;
}

// b in mean, variance and inverse_std.
extern "C" __global__ void join_moments(Sum* mean, Sum* variance, Sum* inverse_std, const Moments* moments, Walk kept,
                                        int shares, int lanes, double eps) {
    __shared__ Moments shared[THREADS];
    RESULT_OF_LANE(kept, lanes)
    Moments all = {0, 0, 0};
    for (int share = lane; exists && share < shares; share += lanes)
        all = Together()(all, moments[result * shares + share]);
    all = among_lanes(all, lanes, shared, Together());
    if (!exists || lane != 0) return;
    int at = locate(result, kept).b;
    Sum squares = all.squares / all.count;
    mean[at] = all.count > 0 ? all.mean : squares;  // of nothing: 0 / 0
    variance[at] = squares;
    inverse_std[at] = 1 / sqrt(squares + Sum(eps));
}

// --- normalisation --------------------------------------------------------------------------------------------

// y = (x - mean) * inverse_std: a in y, b in x, c in mean and inverse_std.
extern "C" __global__ void standardize(T* y, const T* x, const Sum* mean, const Sum* inverse_std, Walk walk) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        y[at.a] = T((Sum(x[at.b]) - mean[at.c]) * inverse_std[at.c]);
    }
}

// The sums of u and of u * y, in shares: a in u, b in y.
extern "C" __global__ void standardize_sums(Sum* sums, const T* u, const T* y, Walk kept, Walk reduced) {
    __shared__ Sum shared[THREADS];
    SHARE_OF_BLOCK(kept, reduced)
    Sum sum_u = 0, sum_uy = 0;
    for (uint i = first + threadIdx.x; i < last;) {
        Sum part_u = 0, part_uy = 0;
        for (int count = 0; count < 32 && i < last; ++count, i += THREADS) {
            Place at = locate(i, reduced);
            Sum value = Sum(u[base.a + at.a]);
            part_u += value;
            part_uy += value * Sum(y[base.b + at.b]);
        }
        sum_u += part_u;
        sum_uy += part_uy;
    }
    sum_u = among_lanes(sum_u, THREADS, shared, Addition());
    sum_uy = among_lanes(sum_uy, THREADS, shared, Addition());
    if (threadIdx.x == 0) {
        sums[2 * (result * shares + share)] = sum_u;
        sums[2 * (result * shares + share) + 1] = sum_uy;
    }
}

// The means of u and of u * y from the shares: c in both means.
extern "C" __global__ void standardize_means(Sum* means, const Sum* sums, Walk kept, int shares, int lanes, int count) {
    __shared__ Sum shared[THREADS];
    RESULT_OF_LANE(kept, lanes)
    Sum sum_u = 0, sum_uy = 0;
    for (int share = lane; exists && share < shares; share += lanes) {
        sum_u += sums[2 * (result * shares + share)];
        sum_uy += sums[2 * (result * shares + share) + 1];
    }
    sum_u = among_lanes(sum_u, lanes, shared, Addition());
    sum_uy = among_lanes(sum_uy, lanes, shared, Addition());
    if (!exists || lane != 0) return;
    int at = locate(result, kept).c;
    means[2 * at] = sum_u / count;
    means[2 * at + 1] = sum_uy / count;
}

// g = (u - mean(u) - y * mean(u * y)) * inverse_std: a in g and y, b in u, c in inverse_std and both means.
extern "C" __global__ void standardize_backward(T* g, const T* u, const T* y, const Sum* inverse_std, const Sum* means,
                                                Walk walk) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum centred = Sum(u[at.b]) - means[2 * at.c] - Sum(y[at.a]) * means[2 * at.c + 1];
        g[at.a] = T(centred * inverse_std[at.c]);
    }
}

#endif
