// Sums, means and variances over some axes of an array, and what normalisation does with them.
//
// A reduction is one launch. Several blocks may share one result: each leaves what its share gives, and the last of them
// joins the shares. Which block that is does not matter: it joins them in a fixed order, and results are the same, bit
// for bit, in every run.

#include "common.cuh"
#include "lanes.cuh"

const int THREADS = 256;

// What a block works at: `kept` walks over the results, `reduced` over the packs of what is joined to one of them.
#define SHARE_OF_BLOCK(kept, reduced)                                           \
    Place base = locate(blockIdx.x, kept);                                      \
    uint length = (reduced.size + gridDim.y - 1) / gridDim.y;                   \
    uint first = blockIdx.y * length;                                           \
    uint last = first + length < reduced.size ? first + length : reduced.size;

// Joins what the blocks of a result have, see `joined`; `shares` is memory for [result][block].
#define JOINED_BY_BLOCKS(value, shares, done, join) \
    joined<THREADS>(value, blockIdx.y, gridDim.y, shares + blockIdx.x * gridDim.y, done + blockIdx.x, join)

__device__ __forceinline__ Sum total(const Pack<T>& pack) {
    Sum sum = 0;
    EACH(i) sum += Sum(pack[i]);
    return sum;
}

// Adds `term` for i = first, first + step, ... below last to `sum`: in parts of 32, as what is added one by one to a
// large sum is lost.
#define SUM_IN_PARTS(sum, i, first, last, step, term)                                     \
    for (uint i = (first); i < (last);) {                                                 \
        Sum part = 0;                                                                     \
        for (int count = 0; count < 32 && i < (last); ++count, i += (step)) part += term; \
        sum += part;                                                                      \
    }

// a in x, b in y.
extern "C" __global__ void sum(T* y, const T* x, Sum* shares, uint* done, Walk kept, Walk reduced) {
    SHARE_OF_BLOCK(kept, reduced)
    Sum sum = 0;
    SUM_IN_PARTS(sum, i, first + threadIdx.x, last, THREADS, total(load(x + base.a + locate(i, reduced).a)))
    if (JOINED_BY_BLOCKS(sum, shares, done, Addition())) y[base.b] = T(sum);
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

// Running statistics, which move towards those of a batch by `momentum`, or by *average; null where there are none.
struct Running {
    Sum *mean, *variance;
    long long* batches;  // is counted up
    const double* average;
    double momentum;
};

// a in x, b in mean, variance, inverse_std and the running ones.
extern "C" __global__ void moments(Sum* mean, Sum* variance, Sum* inverse_std, const T* x, Moments* shares, uint* done,
                                   Walk kept, Walk reduced, double eps, Running running) {
    SHARE_OF_BLOCK(kept, reduced)
    Moments all = {0, 0, 0};
    for (uint i = first + threadIdx.x; i < last; i += THREADS) {  // Welford's update, 1962
        Pack<T> pack = load(x + base.a + locate(i, reduced).a);
        EACH(j) {
            Sum value = Sum(pack[j]);
            all.count += 1;
            Sum difference = value - all.mean;
            all.mean += difference / all.count;
            all.squares += difference * (value - all.mean);
        }
    }
    if (!JOINED_BY_BLOCKS(all, shares, done, Together())) return;
    int at = base.b;
    Sum square = all.squares / all.count;
    mean[at] = all.count > 0 ? all.mean : square;  // of nothing: 0 / 0
    variance[at] = square;
    inverse_std[at] = 1 / sqrt(square + Sum(eps));
    if (running.mean) {
        Sum rate = Sum(running.average ? *running.average : running.momentum);
        running.mean[at] = (1 - rate) * running.mean[at] + rate * all.mean;
        running.variance[at] = (1 - rate) * running.variance[at] + rate * (all.squares / (all.count - 1));
        if (running.batches && blockIdx.x == 0) ++*running.batches;
    }
}

// --- normalisation --------------------------------------------------------------------------------------------

// y = (x - mean) * inverse_std * weight + bias: a in y, b in x, c in all others, of which a pack has one; weight and bias
// may be null.
extern "C" __global__ void standardize(T* y, const T* x, const Sum* mean, const Sum* inverse_std, const Sum* weight,
                                       const Sum* bias, Walk walk) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum centre = mean[at.c], scale = inverse_std[at.c], shift = bias ? bias[at.c] : Sum(0);
        if (weight) scale *= weight[at.c];
        Pack<T> value = load(x + at.b), result;
        EACH(i) result[i] = T((Sum(value[i]) - centre) * scale + shift);
        store(y + at.a, result);
    }
}

// The sums of u and of u times the standardized x: a in u, b in x, c in mean, inverse_std and both sums.
extern "C" __global__ void standardize_sums(Sum* sum_u, Sum* sum_ux, const T* u, const T* x, const Sum* mean,
                                            const Sum* inverse_std, Pair* shares, uint* done, Walk kept, Walk reduced) {
    SHARE_OF_BLOCK(kept, reduced)
    Sum centre = mean[base.c];
    Pair sums = {0, 0};
    for (uint i = first + threadIdx.x; i < last;) {
        Pair part = {0, 0};
        for (int count = 0; count < 32 && i < last; ++count, i += THREADS) {
            Place at = locate(i, reduced);
            Pack<T> upstream = load(u + base.a + at.a), value = load(x + base.b + at.b);
            EACH(j) {
                part.first += Sum(upstream[j]);
                part.second += Sum(upstream[j]) * (Sum(value[j]) - centre);
            }
        }
        sums = PairAddition()(sums, part);
    }
    if (!JOINED_BY_BLOCKS(sums, shares, done, PairAddition())) return;
    sum_u[base.c] = sums.first;
    sum_ux[base.c] = sums.second * inverse_std[base.c];
}

// g = (u - mean(u) - standardized x * mean(u * standardized x)) * inverse_std * weight, of means over `count`: a in g
// and x, b in u, c in all others, of which a pack has one; weight may be null.
extern "C" __global__ void standardize_backward(T* g, const T* u, const T* x, const Sum* mean, const Sum* inverse_std,
                                                const Sum* weight, const Sum* sum_u, const Sum* sum_ux, Walk walk,
                                                int count) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Sum centre = mean[at.c], scale = inverse_std[at.c], outer = weight ? scale * weight[at.c] : scale;
        Sum mean_u = sum_u[at.c] / count, slope = scale * (sum_ux[at.c] / count);
        Pack<T> upstream = load(u + at.b), value = load(x + at.a), result;
        EACH(i) result[i] = T((Sum(upstream[i]) - mean_u - (Sum(value[i]) - centre) * slope) * outer);
        store(g + at.a, result);
    }
}

#endif
