// Softmax and cross-entropy in one: the loss of each row of scores, and its gradient.
//
// With p = softmax(x), target t, class weights w and label smoothing s over C classes, a row that counts has the loss
//     (1 - s) w[t] (log sum exp(x) - x[t]) + s/C sum_j w[j] (log sum exp(x) - x[j]).
// Its gradient is (near + far W) p[j] - near [j = t] - far w[j], with near = (1 - s) w[t], far = s/C, W = sum_j w[j].

#include "common.cuh"
#include "lanes.cuh"

// What the gradient needs of a row: a row that is ignored has zeros from `near` on. The logarithm is that of the sum of
// exp(x - largest): added to a far larger `largest`, it would lose digits.
struct Row {
    Sum largest, log_sum, near, far, both;  // both = near + far * W
};

const int THREADS = 256;

struct Maximum {
    __device__ Sum operator()(Sum a, Sum b) const { return a > b || a != a ? a : b; }  // nan wins
};

// Walks over the rows: a in x (at the first class), b in target, c in row and loss. `weight` may be null. A target that is
// no class gives nan. `loss` gets that of each row; or it is null, and totals = {sum of losses / sum of the w[t] of rows
// that are not ignored, that sum}, or {sum of losses, 1} if not `mean`.
extern "C" __global__ void cross_entropy(T* loss, T* totals, Row* row, const T* x, const long long* target,
                                         const T* weight, Pair* shares, uint* done, Walk rows, int classes, int step,
                                         long long ignored, double smoothing, int lanes, int mean) {
    __shared__ Sum shared[THREADS];
    int lane = threadIdx.x % lanes;
    uint index = blockIdx.x * (THREADS / lanes) + threadIdx.x / lanes;
    bool exists = index < rows.size;  // a thread without a row takes part in the barriers
    Place at = locate(exists ? index : 0, rows);
    const T* scores = x + at.a;
    int last = exists ? classes : 0;

    Sum largest = exists ? Sum(scores[0]) : Sum(0);
    for (int j = lane; j < last; j += lanes) largest = Maximum()(largest, Sum(scores[j * step]));
    largest = among_lanes(largest, lanes, shared, Maximum());

    Sum sum = 0, weights = 0, weighted = 0;
    for (int j = lane; j < last; j += lanes) {
        Sum shifted = Sum(scores[j * step]) - largest, w = weight ? Sum(weight[j]) : Sum(1);
        sum += exp(shifted);
        weights += w;
        if (smoothing != 0) weighted += w * shifted;
    }
    sum = among_lanes(sum, lanes, shared, Addition());
    weights = among_lanes(weights, lanes, shared, Addition());
    weighted = among_lanes(weighted, lanes, shared, Addition());

    Pair found = {0, 0};  // the loss of this row, and what it counts in the mean
    if (lane == 0 && exists) {
        Sum log_sum = log(sum);  // of the shifted scores
        Row of = {largest, log_sum, 0, 0, 0};
        long long t = target[at.b];
        if (t != ignored) {
            bool is_class = 0 <= t && t < classes;
            Sum w = !is_class ? Sum(0) / Sum(0) : weight ? Sum(weight[t]) : Sum(1);
            Sum near = Sum(1 - smoothing) * w, far = Sum(smoothing) / classes;
            of = {largest, log_sum, near, far, near + far * weights};
            Sum own = is_class ? log_sum - (Sum(scores[t * step]) - largest) : w;
            found = {near * own + (smoothing != 0 ? far * (weights * log_sum - weighted) : Sum(0)), w};
        }
        row[at.c] = of;
        if (loss) loss[at.c] = T(found.first);
    }
    if (loss || !joined<THREADS>(found, blockIdx.x, gridDim.x, shares, done, PairAddition())) return;
    totals[0] = T(mean ? found.first / found.second : found.first);
    totals[1] = T(mean ? found.second : Sum(1));
}

// g = u / divisor * the gradient of the loss. Walks over x: a in g, b in x, c in target and row; position 0 is the
// class, position 1 the place in u.
extern "C" __global__ void cross_entropy_backward(T* g, const T* u, const T* divisor, const T* x,
                                                  const long long* target, const Row* row, const T* weight,
                                                  Walk walk) {
    Sum scale = divisor ? 1 / Sum(*divisor) : Sum(1);
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Row of = row[at.c];
        int j = at.position[0];
        Sum slope = of.both * exp(Sum(x[at.b]) - of.largest - of.log_sum);
        if (of.far != 0) slope -= of.far * (weight ? Sum(weight[j]) : Sum(1));
        if (j == target[at.c]) slope -= of.near;
        g[at.a] = T(of.both == 0 ? Sum(0) : scale * Sum(u[at.position[1]]) * slope);
    }
}
