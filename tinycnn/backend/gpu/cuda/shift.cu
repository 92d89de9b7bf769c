// Shifted images: out[n, c, h, w] = x[n, c, h + dy[n] - pixels, w + dx[n] - pixels], fill[c] outside of the image.
// Walks over the images: a in out, b in x (but for H and W), c in fill; the position is (h, w, n). `starts` is dy, dx.

#include "common.cuh"

struct Image {
    int height, width, step_h, step_w;  // steps in x
};

extern "C" __global__ void shift(T* out, const T* x, const long long* starts, const T* fill, Walk walk, Image image,
                                 int count, int pixels) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        int n = at.position[2];
        int h = at.position[0] + int(starts[n]) - pixels, w = at.position[1] + int(starts[count + n]) - pixels;
        bool inside = uint(h) < uint(image.height) && uint(w) < uint(image.width);
        out[at.a] = inside ? x[at.b + h * image.step_h + w * image.step_w] : fill[at.c];
    }
}
