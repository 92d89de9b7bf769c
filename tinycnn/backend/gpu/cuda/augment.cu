// Augmentation of a batch (N, C, H, W): what was drawn for image n, by draws.cu, is done to its pixels.
//
// Each kernel walks over its result: a in out, b in x, c in what fills. The position is (h, w, n), and x is indexed here
// along the axes in which an image moves; there, b stays.

#include "common.cuh"

// The type that pixels are computed with: double for double, else float.
typedef decltype(Sum() * 1.0f) Real;

struct Image {
    int height, width, step_h, step_w;  // of x
};

// rows[i] and columns[j] are the place in x of each place of the padded image, -1 in a border of constant `fill`.
extern "C" __global__ void crop(T* out, const T* x, const int* starts, const int* rows, const int* columns,
                                const T* fill, Walk walk, Image image, int count) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        int n = at.position[2];
        int h = rows[starts[n] + at.position[0]], w = columns[starts[count + n] + at.position[1]];
        bool inside = h >= 0 && w >= 0;
        out[at.a] = inside ? x[at.b + h * image.step_h + w * image.step_w] : fill[at.c];
    }
}

// The position is (place along the flipped axis, -, n).
extern "C" __global__ void flip(T* out, const T* x, const bool* flips, Walk walk, int size, int step) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        int i = at.position[0];
        out[at.a] = x[at.b + (flips[at.position[2]] ? size - 1 - i : i) * step];
    }
}

// boxes: top, left, height, width, (4, N).
extern "C" __global__ void erase(T* out, const T* x, const int* boxes, const T* value, Walk walk, int count) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        int n = at.position[2];
        uint h = at.position[0] - boxes[n], w = at.position[1] - boxes[count + n];
        bool inside = h < uint(boxes[2 * count + n]) && w < uint(boxes[3 * count + n]);
        out[at.a] = inside ? value[at.c] : x[at.b];
    }
}

// --- affine maps --------------------------------------------------------------------------------------------

// A coordinate in x, in pixels, of the pixel (h, w). As in torch, which counts from -1 to 1, and step for step: halfway
// between two pixels, rounding decides which one is the nearest. A fused multiply-add would round otherwise.
__device__ __forceinline__ float source(const float* maps, int count, float h, float w, int size) {
    float place = __fadd_rn(__fmul_rn(maps[0], w), __fmul_rn(maps[count], h));
    place = __fadd_rn(__fadd_rn(place, maps[2 * count]), 1);
    return __fadd_rn(__fmul_rn(place, float(size)), -1) / 2;
}

__device__ __forceinline__ T rounded(Real value) {
#ifdef FLOATING
    return T(value);
#else
    return T(rint(value));
#endif
}

// maps: (6, N), from `grids` of backend/augmentation.py. Outside of x is `fill`.
extern "C" __global__ void warp(T* out, const T* x, const float* maps, const T* fill, Walk walk, Image image, int count,
                                int bilinear) {
    float middle_h = 0.5f - 0.5f * image.height, middle_w = 0.5f - 0.5f * image.width;
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        int n = at.position[2];
        float h = at.position[0] + middle_h, w = at.position[1] + middle_w;
        float from_w = source(maps + n, count, h, w, image.width);
        float from_h = source(maps + 3 * count + n, count, h, w, image.height);
        // Compared as floats: they may be beyond any int.
        auto exists = [&](float h, float w) { return h >= 0 && h < image.height && w >= 0 && w < image.width; };
        auto pixel = [&](float h, float w) { return x[at.b + int(h) * image.step_h + int(w) * image.step_w]; };
        if (!bilinear) {
            float row = rint(from_h), column = rint(from_w);
            out[at.a] = exists(row, column) ? pixel(row, column) : fill[at.c];
            continue;
        }
        float top = floor(from_h), left = floor(from_w), down = from_h - top, right = from_w - left;
        Real found = 0, covered = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float row = top + i / 2, column = left + i % 2;
            if (!exists(row, column)) continue;
            Real share = (i / 2 ? down : 1 - down) * (i % 2 ? right : 1 - right);
            found += Real(pixel(row, column)) * share;
            covered += share;
        }
        out[at.a] = rounded(found * covered + (1 - covered) * Real(fill[at.c]));
    }
}

// --- mixtures of each image with the one before it, of the first with the last -------------------------------

struct Batch {
    int count, step;  // images in x, and the distance between two
};

__device__ __forceinline__ int before(int b, int n, Batch batch) {
    return n ? b - batch.step : b + (batch.count - 1) * batch.step;
}

// share * x[n] + (1 - share) * x[n - 1]
extern "C" __global__ void mix(T* out, const T* x, const double* share, Walk walk, Batch batch) {
    Real own = Real(*share), other = Real(1 - *share);
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        out[at.a] = T(Real(x[before(at.b, at.position[2], batch)]) * other + Real(x[at.b]) * own);
    }
}

// x[n - 1] in the box, of top, left, height and width; x[n] elsewhere.
extern "C" __global__ void paste(T* out, const T* x, const int* box, Walk walk, Batch batch) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        uint h = at.position[0] - box[0], w = at.position[1] - box[1];
        bool inside = h < uint(box[2]) && w < uint(box[3]);
        out[at.a] = x[inside ? before(at.b, at.position[2], batch) : at.b];
    }
}

// The classes of a mixture as probabilities (N, K), K innermost.
extern "C" __global__ void mix_classes(T* out, const long long* classes, const double* share, uint size, int count,
                                       int known, int step) {
    Real own = Real(*share), other = Real(1 - *share);
    FOR_EACH(index, size) {
        int n = index / known, k = index % known;
        long long last = classes[(n ? n - 1 : count - 1) * step];
        out[index] = T((last == k ? other : Real(0)) + (classes[n * step] == k ? own : Real(0)));
    }
}
