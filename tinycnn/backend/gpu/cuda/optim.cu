// The steps of the optimizers. One launch updates many parameters, each block a piece of one of them.
//
// What a step depends on lies in device memory: the options of the algorithm (`numbers`), the step counts, whether a
// gradient was infinite (`found_inf`, may be null) and what gradients are multiplied with (`grad_scale`, may be null).
// So a recorded step can be replayed with other options, and the host never waits to learn whether to skip a step.

#include "common.cuh"
#include "lanes.cuh"

const int MOST_PARAMETERS = 40, MOST_AXES = 32;  // with the other arguments just below CUDA's 4 KB
const int THREADS = 256, PIECE = 1024;           // threads and elements of a block

struct Parameter {
    T* value;
    const T* grad;
    T* buffer[3];     // what the algorithm keeps for each element; null where it keeps less
    long long* step;  // how many steps were made; null where the algorithm does not count
    uint size, first_block;
    int first_axis, axes;  // no axes: all arrays lie in memory alike and without gaps
};

struct Parameters {
    int count;
    Parameter parameter[MOST_PARAMETERS];
    Axis axis[MOST_AXES];  // a in the value, b in the gradient, position in the buffers
};

// Calls update(which parameter, value, gradient, buffers) for each element that this block is to update.
template <typename Update>
__device__ __forceinline__ void for_each_element(const Parameters& all, const float* grad_scale, Update update) {
    int which = 0, end = all.count;  // the last parameter that begins at or before this block: empty ones are passed
    while (end - which > 1) {
        int middle = (which + end) / 2;
        if (all.parameter[middle].first_block <= blockIdx.x)
            which = middle;
        else
            end = middle;
    }
    const Parameter& p = all.parameter[which];
    uint first = (blockIdx.x - p.first_block) * PIECE;
    uint last = p.size - first < PIECE ? p.size : first + PIECE;
    Sum scale = grad_scale ? Sum(*grad_scale) : Sum(1);
    for (uint index = first + threadIdx.x; index < last; index += THREADS) {
        int value = index, grad = index, buffer[3] = {value, value, value};
        if (p.axes) {
            value = grad = buffer[0] = buffer[1] = buffer[2] = 0;
            uint outer = index;
            for (int i = p.first_axis + p.axes - 1; i >= p.first_axis; --i) {
                const Axis& axis = all.axis[i];
                uint rest = quotient(outer, axis.size);
                int step = int(outer - rest * axis.size.divisor);
                outer = rest;
                value += step * axis.a;
                grad += step * axis.b;
                for (int k = 0; k < 3; ++k) buffer[k] += step * axis.position[k];
            }
        }
        update(which, p.value[value], scale * Sum(p.grad[grad]), p.buffer[0] + buffer[0], p.buffer[1] + buffer[1],
               p.buffer[2] + buffer[2]);
    }
}

__device__ __forceinline__ bool skipped(const float* found_inf) { return found_inf && *found_inf != 0; }

// The gradient of loss + decay / 2 * |value|^2, or its opposite.
__device__ __forceinline__ Sum regularized(Sum value, Sum grad, Sum decay, int maximize) {
    if (maximize) grad = -grad;
    return decay != 0 ? grad + decay * value : grad;
}

// Every kernel has the same arguments. Those named ..._begin run before, in one block with a thread for each parameter:
// they count the step and put what depends on the count into `factors`, two for each parameter.
#define ARGUMENTS                                                                                        \
    const Parameters all, const double *numbers, double *factors, const float *found_inf,                \
        const float *grad_scale, int maximize, int variant

// The options as they come from the host.
struct Numbers {
    double number[8];
};

extern "C" __global__ void set_numbers(double* numbers, Numbers given) { numbers[threadIdx.x] = given.number[threadIdx.x]; }

// --- SGD ----------------------------------------------------------------------------------------------------
// numbers: lr, momentum, dampening, weight_decay; variant: nesterov; buffers: velocity

extern "C" __global__ void sgd_begin(ARGUMENTS) {
    int i = threadIdx.x;
    if (i >= all.count || skipped(found_inf)) return;
    long long t = ++*all.parameter[i].step;
    factors[2 * i] = t == 1 ? 1 : 1 - numbers[2];
}

extern "C" __global__ void sgd(ARGUMENTS) {
    if (skipped(found_inf)) return;
    Sum lr = Sum(numbers[0]), momentum = Sum(numbers[1]), decay = Sum(numbers[3]);
    for_each_element(all, grad_scale, [&](int which, T& place, Sum grad, T* velocity, T*, T*) {
        Sum value = Sum(place);
        grad = regularized(value, grad, decay, maximize);
        if (all.parameter[which].buffer[0]) {
            Sum moving = momentum * Sum(*velocity) + Sum(factors[2 * which]) * grad;
            *velocity = T(moving);
            grad = variant ? grad + momentum * moving : moving;
        }
        place = T(value - lr * grad);
    });
}

// --- Adam and AdamW -----------------------------------------------------------------------------------------
// numbers: lr, beta1, beta2, eps, weight_decay; variant: decoupled weight decay; buffers: mean, mean square and, with
// amsgrad, the largest mean square so far

extern "C" __global__ void adam_begin(ARGUMENTS) {
    int i = threadIdx.x;
    if (i >= all.count || skipped(found_inf)) return;
    double t = double(++*all.parameter[i].step);
    double root2 = sqrt(1 - pow(numbers[2], t));
    factors[2 * i] = numbers[0] * root2 / (1 - pow(numbers[1], t));
    factors[2 * i + 1] = numbers[3] * root2;
}

extern "C" __global__ void adam(ARGUMENTS) {
    if (skipped(found_inf)) return;
    Sum rate1 = Sum(1 - numbers[1]), beta2 = Sum(numbers[2]), rate2 = Sum(1 - numbers[2]), decay = Sum(numbers[4]);
    Sum kept = variant ? Sum(1 - numbers[0] * numbers[4]) : Sum(1);
    for_each_element(all, grad_scale, [&](int which, T& place, Sum grad, T* mean_, T* square_, T* largest) {
        Sum value = Sum(place) * kept, mean = Sum(*mean_);
        grad = regularized(value, grad, variant ? Sum(0) : decay, maximize);
        mean += rate1 * (grad - mean);
        Sum square = beta2 * Sum(*square_) + rate2 * grad * grad;
        *mean_ = T(mean);
        *square_ = T(square);
        if (all.parameter[which].buffer[2]) {
            Sum before = Sum(*largest);
            if (before > square) square = before;
            *largest = T(square);
        }
        place = T(value - Sum(factors[2 * which]) * (mean / (sqrt(square) + Sum(factors[2 * which + 1]))));
    });
}

// --- Adadelta -----------------------------------------------------------------------------------------------
// numbers: lr, rho, eps, weight_decay; buffers: mean square of gradients, mean square of steps

extern "C" __global__ void adadelta(ARGUMENTS) {
    if (skipped(found_inf)) return;
    Sum lr = Sum(numbers[0]), rho = Sum(numbers[1]), rate = Sum(1 - numbers[1]), eps = Sum(numbers[2]);
    Sum decay = Sum(numbers[3]);
    for_each_element(all, grad_scale, [&](int, T& place, Sum grad, T* square_, T* steps_, T*) {
        Sum value = Sum(place), steps = Sum(*steps_);
        grad = regularized(value, grad, decay, maximize);
        Sum square = rho * Sum(*square_) + rate * grad * grad;
        Sum step = sqrt((steps + eps) / (square + eps)) * grad;
        *square_ = T(square);
        *steps_ = T(rho * steps + rate * step * step);
        place = T(value - lr * step);
    });
}

// --- RMSprop ------------------------------------------------------------------------------------------------
// numbers: lr, alpha, eps, weight_decay, momentum; buffers: mean square, mean if centered, velocity with momentum

extern "C" __global__ void rmsprop(ARGUMENTS) {
    if (skipped(found_inf)) return;
    Sum lr = Sum(numbers[0]), alpha = Sum(numbers[1]), rate = Sum(1 - numbers[1]), eps = Sum(numbers[2]);
    Sum decay = Sum(numbers[3]), momentum = Sum(numbers[4]);
    for_each_element(all, grad_scale, [&](int which, T& place, Sum grad, T* square_, T* mean_, T* velocity) {
        const Parameter& p = all.parameter[which];
        Sum value = Sum(place);
        grad = regularized(value, grad, decay, maximize);
        Sum square = alpha * Sum(*square_) + rate * grad * grad;
        *square_ = T(square);
        if (p.buffer[1]) {
            Sum mean = Sum(*mean_);
            mean += rate * (grad - mean);
            *mean_ = T(mean);
            square -= mean * mean;
            if (square < 0) square = 0;  // a variance near 0 may be rounded to below 0
        }
        Sum step = grad / (sqrt(square) + eps);
        if (p.buffer[2]) {
            step += momentum * Sum(*velocity);
            *velocity = T(step);
        }
        place = T(value - lr * step);
    });
}

// --- Adagrad ------------------------------------------------------------------------------------------------
// numbers: lr, lr_decay, eps, weight_decay; buffers: sum of squares

extern "C" __global__ void adagrad_begin(ARGUMENTS) {
    int i = threadIdx.x;
    if (i >= all.count || skipped(found_inf)) return;
    long long before = (*all.parameter[i].step)++;
    factors[2 * i] = numbers[0] / (1 + double(before) * numbers[1]);
}

extern "C" __global__ void adagrad(ARGUMENTS) {
    if (skipped(found_inf)) return;
    Sum eps = Sum(numbers[2]), decay = Sum(numbers[3]);
    for_each_element(all, grad_scale, [&](int which, T& place, Sum grad, T* total, T*, T*) {
        Sum value = Sum(place);
        grad = regularized(value, grad, decay, maximize);
        Sum squares = Sum(*total) + grad * grad;
        *total = T(squares);
        place = T(value - Sum(factors[2 * which]) * (grad / (sqrt(squares) + eps)));
    });
}

// --- norms and scaling of gradients -------------------------------------------------------------------------
// Here the gradients themselves are the values.

__device__ __forceinline__ double joined(double a, double b, double p) {
    if (!isinf(p)) return a + b;
    return (p > 0 ? b > a : b < a) || b != b ? b : a;  // a nan stays
}

// The sum of |x|^p, or for p = inf and -inf the largest and the smallest |x|, over what the threads of a block have
// joined so far.
__device__ __forceinline__ double joined_by_block(double own, double p) {
    __shared__ double shared[THREADS];
    return among_lanes(own, THREADS, shared, [p](double a, double b) { return joined(a, b, p); });
}

__device__ __forceinline__ double nothing(double p) { return p < 0 && isinf(p) ? -p : 0; }

// Each block's share.
extern "C" __global__ void norm_shares(const Parameters all, double* shares, double p) {
    double own = nothing(p);
    for_each_element(all, nullptr, [&](int, T&, Sum x, T*, T*, T*) {
        double size = x < 0 ? -x : x;
        own = joined(own, isinf(p) || p == 1 ? size : p == 2 ? size * size : pow(size, p), p);
    });
    own = joined_by_block(own, p);
    if (threadIdx.x == 0) shares[blockIdx.x] = own;
}

extern "C" __global__ void norm_of_shares(T* result, const double* shares, int count, double p) {
    double own = nothing(p);
    for (int i = threadIdx.x; i < count; i += THREADS) own = joined(own, shares[i], p);
    own = joined_by_block(own, p);
    if (threadIdx.x == 0) *result = T(Sum(isinf(p) || p == 1 ? own : p == 2 ? sqrt(own) : pow(own, 1 / p)));
}

extern "C" __global__ void scale(const Parameters all, const double* factor) {
    Sum times = Sum(*factor);
    for_each_element(all, nullptr, [&](int, T& place, Sum x, T*, T*, T*) { place = T(times * x); });
}
