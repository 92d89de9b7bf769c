// What happens to each image of a batch, drawn as backend/augmentation.py draws it: image n is given the numbers
// u[K * n] to u[K * n + K - 1] of those that `uniform` of random.cu would draw.
//
// One block draws for all images, so that it can move the state on when all its threads have read it.

#include "philox.cuh"

template <uint K, typename Draw> __device__ __forceinline__ void for_each_image(State* state, uint count, Draw draw) {
    const uint BLOCKS = K / 4;
    State from = *state;
    for (uint n = threadIdx.x; n < count; n += blockDim.x) {
        double u[K];
#pragma unroll
        for (uint block = 0; block < BLOCKS; ++block) {
            Words words = philox(from.key, from.position + uint64(n) * BLOCKS + block, 0);
#pragma unroll
            for (uint k = 0; k < 4; ++k) u[4 * block + k] = uniform_of(words, k, float());
        }
        draw(n, u);
    }
    __syncthreads();
    if (threadIdx.x == 0) state->position = from.position + uint64(count) * BLOCKS;
}

// starts: row, column, (2, N), each of so many.
extern "C" __global__ void draw_starts(State* state, int* starts, uint count, int rows, int columns) {
    for_each_image<4>(state, count, [=](uint n, const double* u) {
        starts[n] = int(u[0] * rows);
        starts[count + n] = int(u[1] * columns);
    });
}

extern "C" __global__ void draw_flips(State* state, bool* flips, uint count, double p) {
    for_each_image<4>(state, count, [=](uint n, const double* u) { flips[n] = u[0] < p; });
}

// An area and an aspect ratio (as a logarithm) are drawn up to so many times, until they fit.
const uint TRIES = 10;

struct Boxes {
    int height, width;  // of an image
    double p, least, most, log_least, log_most;  // of the share of the area, and of the aspect ratio
};

// boxes: top, left, height, width, (4, N); those of no size change nothing.
extern "C" __global__ void draw_boxes(State* state, int* boxes, uint count, Boxes of) {
    for_each_image<4 + 2 * TRIES>(state, count, [=](uint n, const double* u) {
        int height = 0, width = 0;
        for (uint i = 0; u[0] < of.p && i < TRIES; ++i) {
            double area = double(of.height) * of.width * (of.least + (of.most - of.least) * u[3 + 2 * i]);
            double aspect = exp(of.log_least + (of.log_most - of.log_least) * u[4 + 2 * i]);
            double high = rint(sqrt(area * aspect)), wide = rint(sqrt(area / aspect));
            if (high < of.height && wide < of.width) {
                height = int(high);
                width = int(wide);
                break;
            }
        }
        boxes[n] = int(u[1] * (of.height - height + 1));
        boxes[count + n] = int(u[2] * (of.width - width + 1));
        boxes[2 * count + n] = height;
        boxes[3 * count + n] = width;
    });
}

// boxes: top, left, height, width, (4, N), of a square about a pixel, which ends at the border.
extern "C" __global__ void draw_squares(State* state, int* boxes, uint count, int rows, int columns, int edge) {
    for_each_image<4>(state, count, [=](uint n, const double* u) {
        int top = int(u[0] * rows) - edge / 2, left = int(u[1] * columns) - edge / 2;
        boxes[n] = max(top, 0);
        boxes[count + n] = max(left, 0);
        boxes[2 * count + n] = min(top + edge, rows) - boxes[n];
        boxes[3 * count + n] = min(left + edge, columns) - boxes[count + n];
    });
}

// Low and high of each, in pixels and degrees.
struct Maps {
    double angle[2], x[2], y[2], scale[2], x_shear[2], y_shear[2];
    double center_x, center_y;
    int height, width;
};

__device__ __forceinline__ double between(const double* range, double u) { return range[0] + (range[1] - range[0]) * u; }

// maps: (6, N), where from in the image each pixel comes: `inverse_affine_matrix` and `grids` of
// backend/augmentation.py.
extern "C" __global__ void draw_maps(State* state, float* maps, uint count, Maps of) {
    for_each_image<8>(state, count, [=](uint n, const double* u) {
        const double DEGREE = 3.14159265358979323846 / 180;
        double turn = between(of.angle, u[0]) * DEGREE, x = rint(between(of.x, u[1])), y = rint(between(of.y, u[2]));
        double scale = between(of.scale, u[3]);
        double x_shear = between(of.x_shear, u[4]) * DEGREE, y_shear = between(of.y_shear, u[5]) * DEGREE;
        double a = cos(turn - y_shear) / cos(y_shear), b = -a * tan(x_shear) - sin(turn);
        double c = sin(turn - y_shear) / cos(y_shear), d = -c * tan(x_shear) + cos(turn);
        double inverse[2][2] = {{d / scale, -b / scale}, {-c / scale, a / scale}};
        for (int i = 0; i < 2; ++i) {
            double start = inverse[i][0] * (-of.center_x - x) + inverse[i][1] * (-of.center_y - y);
            float half = 0.5f * (i ? of.height : of.width);
            maps[(3 * i) * count + n] = float(inverse[i][0]) / half;
            maps[(3 * i + 1) * count + n] = float(inverse[i][1]) / half;
            maps[(3 * i + 2) * count + n] = float(start + (i ? of.center_y : of.center_x)) / half;
        }
    });
}

// The share of an image in a mixture, Beta(alpha, alpha), by rejection (Cheng, "Generating beta variates with
// nonintegral shape parameters", 1978, algorithm BA), with logarithms for W, which may be beyond any double.
__device__ __forceinline__ double beta(const State& state, uint64* blocks, double alpha) {
    double steep = alpha <= 1 ? 1 / alpha : 1 / sqrt(alpha), gamma = alpha + 1 / steep;
    while (true) {
        Words words = philox(state.key, state.position + (*blocks)++, 0);
        double u = 1 - uniform_of(words, 0, double()), w = 1 - uniform_of(words, 1, double());  // in (0, 1]
        double v = steep * (log(u) - log1p(-u));
        double softplus = fmax(v, 0.0) + log1p(exp(-fabs(v)));
        if (u < 1 && 2 * alpha * (log(2.0) - softplus) + gamma * v - log(4.0) >= log(u * u * w)) return 1 / (1 + exp(-v));
    }
}

// Runs in one thread. With a box: top, left, height and width of a part of 1 - share of the image, which ends at the
// border, and then the share that is left.
extern "C" __global__ void draw_mixture(State* state, double* share, int* box, double alpha, int height, int width) {
    uint64 blocks = 0;
    *share = beta(*state, &blocks, alpha);
    if (box) {
        Words words = philox(state->key, state->position + blocks++, 0);
        double radius = 0.5 * sqrt(1 - *share);
        int h = int(uniform_of(words, 0, float()) * height), w = int(uniform_of(words, 1, float()) * width);
        int half_h = int(radius * height), half_w = int(radius * width);
        box[0] = max(h - half_h, 0);
        box[1] = max(w - half_w, 0);
        box[2] = min(h + half_h, height) - box[0];
        box[3] = min(w + half_w, width) - box[1];
        *share = 1 - double(box[2]) * box[3] / (double(height) * width);
    }
    state->position += blocks;
}
