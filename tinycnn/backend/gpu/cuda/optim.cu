// The steps of the optimizers. One launch updates many parameters, each block a piece of one of them.
//
// What a step depends on lies in device memory: the options of the algorithm (`numbers`), the step counts and other
// numbers of each parameter, whether a gradient was infinite (`found_inf`, may be null) and what gradients are
// multiplied with (`grad_scale`, may be null).
// So a recorded step can be replayed with other options, and the host never waits to learn whether to skip a step.

#include "common.cuh"
#include "lanes.cuh"

const int MOST_PARAMETERS = 35, MOST_AXES = 32;  // with the other arguments just below CUDA's 4 KB
const int THREADS = 256, PIECE = 1024;           // threads and elements of a block

struct Parameter {
    T* value;
    const T* grad;
    T* buffer[3];     // what the algorithm keeps for each element; null where it keeps less
    long long* step;  // how many steps were made; null where the algorithm does not count
    double* own[2];   // what the algorithm keeps for the whole parameter; null where it keeps less
    uint size, first_block;
    int first_axis, axes;  // no axes: all arrays lie in memory alike and without gaps
};

// The first parameters of a launch come as its argument, and if there are more, all of them in device memory.
struct Parameters {
    Parameter parameter[MOST_PARAMETERS];
    Axis axis[MOST_AXES];  // a in the value, b in the gradient, position in the buffers
};

struct Table {
    const Parameters& few;
    const Parameter* parameters;  // null if they are few
    const Axis* axes;
    int count;

    __device__ Parameter parameter(int i) const { return parameters ? parameters[i] : few.parameter[i]; }
    __device__ Axis axis(int i) const { return parameters ? axes[i] : few.axis[i]; }
    __device__ uint first_block(int i) const { return parameters ? parameters[i].first_block : few.parameter[i].first_block; }

    // Which parameter this block works at.
    __device__ int of_block() const {
        int which = 0, end = count;
        while (end - which > 1) {
            int middle = (which + end) / 2;
            if (first_block(middle) <= blockIdx.x)
                which = middle;
            else
                end = middle;
        }
        return which;
    }
};

#define PARAMETERS const Parameters few, const Parameter *parameters, const Axis *axes, int count
#define TABLE Table{few, parameters, axes, count}

// Writes a part of the parameters to device memory, where later launches find them.
extern "C" __global__ void put_parameters(Parameter* parameters, Axis* axes, const Parameters part, int count,
                                          int count_axes) {
    for (int i = threadIdx.x; i < count; i += THREADS) parameters[i] = part.parameter[i];
    for (int i = threadIdx.x; i < count_axes; i += THREADS) axes[i] = part.axis[i];
}

// Calls update(value, gradient, buffers) for each element of a parameter that this block is to update.
template <typename Update>
__device__ __forceinline__ void for_each_element(const Table& all, const Parameter& p, const float* grad_scale,
                                                 Update update) {
    uint first = (blockIdx.x - p.first_block) * PIECE;
    uint last = p.size - first < PIECE ? p.size : first + PIECE;
    Sum scale = grad_scale ? Sum(*grad_scale) : Sum(1);
    for (uint index = first + threadIdx.x; index < last; index += THREADS) {
        int value = index, grad = index, buffer[3] = {value, value, value};
        if (p.axes) {
            value = grad = buffer[0] = buffer[1] = buffer[2] = 0;
            uint outer = index;
            for (int i = p.first_axis + p.axes - 1; i >= p.first_axis; --i) {
                Axis axis = all.axis(i);
                uint rest = quotient(outer, axis.size);
                int step = int(outer - rest * axis.size.divisor);
                outer = rest;
                value += step * axis.a;
                grad += step * axis.b;
                for (int k = 0; k < 3; ++k) buffer[k] += step * axis.position[k];
            }
        }
        update(p.value[value], scale * Sum(p.grad[grad]), p.buffer[0] + buffer[0], p.buffer[1] + buffer[1],
               p.buffer[2] + buffer[2]);
    }
}

// What is the same for all elements of a parameter in a step, and what its own numbers are after that.
struct Factors {
    double first, second, third, own[2];
};

// One step of the parameter of this block: begin(parameter, t) gives the factors of its step t, counted from 1, and
// update(parameter, factors, value, gradient, buffers) changes an element. The last block of a parameter counts the
// step and writes its own numbers, which all blocks have read by then. `done` counts the blocks of each parameter.
template <typename Begin, typename Update>
__device__ __forceinline__ void make_step(const Table& all, uint* done, const float* found_inf, const float* grad_scale,
                                          Begin begin, Update update) {
    if (found_inf && *found_inf != 0) return;
    __shared__ Factors factors;
    int which = all.of_block();
    Parameter p = all.parameter(which);
    if (p.step) {
        if (threadIdx.x == 0) factors = begin(p, *p.step + 1);
        __syncthreads();
    }
    for_each_element(all, p, grad_scale, [&](T& value, Sum grad, T* first, T* second, T* third) {
        update(p, factors, value, grad, first, second, third);
    });
    uint blocks = p.size > 0 ? (p.size + PIECE - 1) / PIECE : 1;
    if (p.step && is_last_of(blocks, done + which) && threadIdx.x == 0) {
        ++*p.step;
        for (int k = 0; k < 2; ++k)
            if (p.own[k]) *p.own[k] = factors.own[k];
    }
}

__device__ __forceinline__ Factors uncounted(const Parameter&, long long) { return {}; }

// The gradient of loss + decay / 2 * |value|^2, or its opposite.
__device__ __forceinline__ Sum regularized(Sum value, Sum grad, Sum decay, int maximize) {
    if (maximize) grad = -grad;
    return decay != 0 ? grad + decay * value : grad;
}

// A nan stays.
__device__ __forceinline__ Sum sign(Sum x) { return x > 0 ? Sum(1) : x < 0 ? Sum(-1) : x; }

// Every algorithm's kernel has the same arguments.
#define ARGUMENTS                                                                                   \
    PARAMETERS, const double *numbers, uint *done, const float *found_inf, const float *grad_scale, \
        int maximize, int nesterov

// The options as they come from the host.
struct Numbers {
    double number[8];
};

extern "C" __global__ void set_numbers(double* numbers, Numbers given) { numbers[threadIdx.x] = given.number[threadIdx.x]; }

// How far the running means of the gradient and of its square move in a step; each is kept, and given back.
struct Rates {
    Sum rate1, beta2, rate2;

    __device__ Rates(double beta1, double beta2) : rate1(1 - beta1), beta2(beta2), rate2(1 - beta2) {}
    __device__ Sum mean(Sum grad, T* kept) const {
        Sum mean = Sum(*kept);
        mean += rate1 * (grad - mean);
        *kept = T(mean);
        return mean;
    }
    __device__ Sum square(Sum grad, T* kept) const {
        Sum square = beta2 * Sum(*kept) + rate2 * grad * grad;
        *kept = T(square);
        return square;
    }
};

// --- SGD ----------------------------------------------------------------------------------------------------
// numbers: lr, momentum, dampening, weight decay of the gradient, decoupled weight decay; buffers: velocity

extern "C" __global__ void sgd(ARGUMENTS) {
    Sum lr = Sum(numbers[0]), momentum = Sum(numbers[1]), decay = Sum(numbers[3]);
    Sum kept = Sum(1 - numbers[0] * numbers[4]);
    auto begin = [&](const Parameter&, long long t) { return Factors{t == 1 ? 1 : 1 - numbers[2]}; };
    make_step(TABLE, done, found_inf, grad_scale, begin,
              [&](const Parameter& p, Factors factors, T& place, Sum grad, T* velocity, T*, T*) {
                  Sum value = Sum(place) * kept;
                  grad = regularized(value, grad, decay, maximize);
                  if (p.buffer[0]) {
                      Sum moving = momentum * Sum(*velocity) + Sum(factors.first) * grad;
                      *velocity = T(moving);
                      grad = nesterov ? grad + momentum * moving : moving;
                  }
                  place = T(value - lr * grad);
              });
}

// --- Adam and AdamW -----------------------------------------------------------------------------------------
// numbers: lr, beta1, beta2, eps, weight decay of the gradient, decoupled weight decay; buffers: mean, mean square and,
// with amsgrad, the largest mean square so far

extern "C" __global__ void adam(ARGUMENTS) {
    Rates rates(numbers[1], numbers[2]);
    Sum decay = Sum(numbers[4]), kept = Sum(1 - numbers[0] * numbers[5]);
    auto begin = [&](const Parameter&, long long t) {
        double root2 = sqrt(1 - pow(numbers[2], double(t)));
        return Factors{numbers[0] * root2 / (1 - pow(numbers[1], double(t))), numbers[3] * root2};
    };
    make_step(TABLE, done, found_inf, grad_scale, begin,
              [&](const Parameter& p, Factors factors, T& place, Sum grad, T* mean_, T* square_, T* largest) {
                  Sum value = Sum(place) * kept;
                  grad = regularized(value, grad, decay, maximize);
                  Sum mean = rates.mean(grad, mean_), square = rates.square(grad, square_);
                  if (p.buffer[2]) {
                      Sum before = Sum(*largest);
                      if (before > square) square = before;
                      *largest = T(square);
                  }
                  place = T(value - Sum(factors.first) * (mean / (sqrt(square) + Sum(factors.second))));
              });
}

// --- Adamax -------------------------------------------------------------------------------------------------
// numbers: lr, beta1, beta2, eps, weight_decay; buffers: mean, largest gradient so far, which decays

extern "C" __global__ void adamax(ARGUMENTS) {
    Sum rate1 = Sum(1 - numbers[1]), beta2 = Sum(numbers[2]), eps = Sum(numbers[3]), decay = Sum(numbers[4]);
    auto begin = [&](const Parameter&, long long t) { return Factors{numbers[0] / (1 - pow(numbers[1], double(t)))}; };
    make_step(TABLE, done, found_inf, grad_scale, begin,
              [&](const Parameter&, Factors factors, T& place, Sum grad, T* mean_, T* largest_, T*) {
                  Sum value = Sum(place), mean = Sum(*mean_);
                  grad = regularized(value, grad, decay, maximize);
                  mean += rate1 * (grad - mean);
                  Sum largest = beta2 * Sum(*largest_), size = (grad < 0 ? -grad : grad) + eps;
                  if (!(largest > size || largest != largest)) largest = size;  // a nan stays
                  *mean_ = T(mean);
                  *largest_ = T(largest);
                  place = T(value - Sum(factors.first) * (mean / largest));
              });
}

// --- NAdam --------------------------------------------------------------------------------------------------
// numbers: lr, beta1, beta2, eps, weight decay of the gradient, decoupled weight decay, momentum_decay; buffers: mean,
// mean square; own: the product of all momenta so far

extern "C" __global__ void nadam(ARGUMENTS) {
    Rates rates(numbers[1], numbers[2]);
    Sum eps = Sum(numbers[3]), decay = Sum(numbers[4]), kept = Sum(1 - numbers[0] * numbers[5]);
    auto momentum = [&](long long t) { return numbers[1] * (1 - 0.5 * pow(0.96, double(t) * numbers[6])); };
    auto begin = [&](const Parameter& p, long long t) {
        double now = momentum(t), following = momentum(t + 1), product = *p.own[0] * now;
        return Factors{numbers[0] * (1 - now) / (1 - product), numbers[0] * following / (1 - product * following),
                       1 / (1 - pow(numbers[2], double(t))), {product}};
    };
    make_step(TABLE, done, found_inf, grad_scale, begin,
              [&](const Parameter&, Factors factors, T& place, Sum grad, T* mean_, T* square_, T*) {
                  Sum value = Sum(place) * kept;
                  grad = regularized(value, grad, decay, maximize);
                  Sum mean = rates.mean(grad, mean_), square = rates.square(grad, square_);
                  Sum step = Sum(factors.first) * grad + Sum(factors.second) * mean;
                  place = T(value - step / (sqrt(square * Sum(factors.third)) + eps));
              });
}

// --- RAdam --------------------------------------------------------------------------------------------------
// numbers: lr, beta1, beta2, eps, weight decay of the gradient, decoupled weight decay; buffers: mean, mean square

extern "C" __global__ void radam(ARGUMENTS) {
    Rates rates(numbers[1], numbers[2]);
    Sum eps = Sum(numbers[3]), decay = Sum(numbers[4]), kept = Sum(1 - numbers[0] * numbers[5]);
    auto begin = [&](const Parameter&, long long t) {
        double rate = numbers[0] / (1 - pow(numbers[1], double(t))), power2 = pow(numbers[2], double(t));
        double longest = 2 / (1 - numbers[2]) - 1, length = longest - 2 * double(t) * power2 / (1 - power2);
        if (!(length > 5)) return Factors{rate, 0};
        double square = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length);
        return Factors{rate * sqrt(square * (1 - power2)), 1};
    };
    make_step(TABLE, done, found_inf, grad_scale, begin,
              [&](const Parameter&, Factors factors, T& place, Sum grad, T* mean_, T* square_, T*) {
                  Sum value = Sum(place) * kept;
                  grad = regularized(value, grad, decay, maximize);
                  Sum mean = rates.mean(grad, mean_), square = rates.square(grad, square_);
                  Sum step = factors.second != 0 ? mean / (sqrt(square) + eps) : mean;
                  place = T(value - Sum(factors.first) * step);
              });
}

// --- Adadelta -----------------------------------------------------------------------------------------------
// numbers: lr, rho, eps, weight_decay; buffers: mean square of gradients, mean square of steps

extern "C" __global__ void adadelta(ARGUMENTS) {
    Sum lr = Sum(numbers[0]), rho = Sum(numbers[1]), rate = Sum(1 - numbers[1]), eps = Sum(numbers[2]);
    Sum decay = Sum(numbers[3]);
    make_step(TABLE, done, found_inf, grad_scale, uncounted,
              [&](const Parameter&, Factors, T& place, Sum grad, T* square_, T* steps_, T*) {
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
    Sum lr = Sum(numbers[0]), alpha = Sum(numbers[1]), rate = Sum(1 - numbers[1]), eps = Sum(numbers[2]);
    Sum decay = Sum(numbers[3]), momentum = Sum(numbers[4]);
    make_step(TABLE, done, found_inf, grad_scale, uncounted,
              [&](const Parameter& p, Factors, T& place, Sum grad, T* square_, T* mean_, T* velocity) {
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

extern "C" __global__ void adagrad(ARGUMENTS) {
    Sum eps = Sum(numbers[2]), decay = Sum(numbers[3]);
    auto begin = [&](const Parameter&, long long t) { return Factors{numbers[0] / (1 + double(t - 1) * numbers[1])}; };
    make_step(TABLE, done, found_inf, grad_scale, begin,
              [&](const Parameter&, Factors factors, T& place, Sum grad, T* total, T*, T*) {
                  Sum value = Sum(place);
                  grad = regularized(value, grad, decay, maximize);
                  Sum squares = Sum(*total) + grad * grad;
                  *total = T(squares);
                  place = T(value - Sum(factors.first) * (grad / (sqrt(squares) + eps)));
              });
}

// --- ASGD ---------------------------------------------------------------------------------------------------
// numbers: lr, lambd, alpha, t0, weight_decay; buffers: mean of the values; own: the rate of the next step, the share
// of its values in their mean

extern "C" __global__ void asgd(ARGUMENTS) {
    Sum decay = Sum(numbers[4]);
    auto begin = [&](const Parameter& p, long long t) {
        double rate = t == 1 ? numbers[0] : *p.own[0], late = double(t) - numbers[3];
        double next = numbers[0] / pow(1 + numbers[1] * numbers[0] * double(t), numbers[2]);
        return Factors{rate, *p.own[1], 1 - numbers[1] * rate, {next, late > 1 ? 1 / late : 1}};
    };
    make_step(TABLE, done, found_inf, grad_scale, begin,
              [&](const Parameter&, Factors factors, T& place, Sum grad, T* mean_, T*, T*) {
                  Sum value = Sum(place), mean = Sum(*mean_);
                  grad = regularized(value, grad, decay, maximize);
                  value = Sum(factors.third) * value - Sum(factors.first) * grad;
                  *mean_ = T(mean + Sum(factors.second) * (value - mean));
                  place = T(value);
              });
}

// --- Rprop --------------------------------------------------------------------------------------------------
// numbers: lr, the factors by which a step shrinks and grows, the smallest and the largest step; buffers: last
// gradient, size of the step

extern "C" __global__ void rprop(ARGUMENTS) {
    Sum lr = Sum(numbers[0]), smaller = Sum(numbers[1]), larger = Sum(numbers[2]);
    Sum least = Sum(numbers[3]), most = Sum(numbers[4]);
    auto begin = [&](const Parameter&, long long t) { return Factors{t == 1 ? 1.0 : 0.0}; };
    make_step(TABLE, done, found_inf, grad_scale, begin,
              [&](const Parameter&, Factors factors, T& place, Sum grad, T* last, T* size_, T*) {
                  Sum value = Sum(place), size = factors.first != 0 ? lr : Sum(*size_);
                  grad = regularized(value, grad, 0, maximize);
                  Sum turn = grad * Sum(*last);
                  size *= turn > 0 ? larger : turn < 0 ? smaller : turn == 0 ? Sum(1) : turn;  // a nan stays
                  if (size < least) size = least;
                  if (size > most) size = most;
                  if (turn < 0) grad = 0;
                  *last = T(grad);
                  *size_ = T(size);
                  place = T(value - size * sign(grad));
              });
}

// --- Lion ---------------------------------------------------------------------------------------------------
// numbers: lr, beta1, beta2, decoupled weight decay; buffers: mean

extern "C" __global__ void lion(ARGUMENTS) {
    Sum lr = Sum(numbers[0]), rate1 = Sum(1 - numbers[1]), rate2 = Sum(1 - numbers[2]);
    Sum kept = Sum(1 - numbers[0] * numbers[3]);
    make_step(TABLE, done, found_inf, grad_scale, uncounted,
              [&](const Parameter&, Factors, T& place, Sum grad, T* mean_, T*, T*) {
                  Sum value = Sum(place) * kept, mean = Sum(*mean_);
                  grad = regularized(value, grad, 0, maximize);
                  *mean_ = T(mean + rate2 * (grad - mean));
                  place = T(value - lr * sign(mean + rate1 * (grad - mean)));
              });
}

// --- Muon ---------------------------------------------------------------------------------------------------
// Here parameters stay as they are. What is made of the directions is the gradient of a step of `sgd`, with the same
// numbers. numbers: the second is the momentum; buffers: mean, direction

extern "C" __global__ void muon(ARGUMENTS) {
    Sum momentum = Sum(numbers[1]), rate = Sum(1 - numbers[1]);
    make_step(TABLE, done, found_inf, grad_scale, uncounted,
              [&](const Parameter&, Factors, T&, Sum grad, T* mean_, T* direction, T*) {
                  Sum mean = Sum(*mean_);
                  mean += rate * (grad - mean);
                  *mean_ = T(mean);
                  *direction = T(nesterov ? grad + momentum * (mean - grad) : mean);
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
extern "C" __global__ void norm_shares(PARAMETERS, double* shares, double p) {
    Table all = TABLE;
    double own = nothing(p);
    for_each_element(all, all.parameter(all.of_block()), nullptr, [&](T&, Sum x, T*, T*, T*) {
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

extern "C" __global__ void scale(PARAMETERS, const double* factor) {
    Table all = TABLE;
    Sum times = Sum(*factor);
    for_each_element(all, all.parameter(all.of_block()), nullptr,
                     [&](T& place, Sum x, T*, T*, T*) { place = T(times * x); });
}
