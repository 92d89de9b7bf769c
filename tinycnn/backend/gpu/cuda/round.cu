// float32 rounded to 16 bits, to the nearest, ties to even: operands of matrix products in mixed precision.

#include "common.cuh"

// a in y, b in x.
extern "C" __global__ void to_float16(Half* y, const T* x, Walk walk) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Pack<T> value = load(x + at.b);
        Pack<Half> result;
        EACH(i) result[i] = Half(float(value[i]));
        store(y + at.a, result);
    }
}

// bfloat16 is the upper half of a float.
extern "C" __global__ void to_bfloat16(unsigned short* y, const T* x, Walk walk) {
    FOR_EACH(index, walk.size) {
        Place at = locate(index, walk);
        Pack<T> value = load(x + at.b);
        Pack<unsigned short> result;
        EACH(i) {
            uint word = __float_as_uint(float(value[i]));
            bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
            result[i] = (unsigned short)(is_nan ? 0x7fc0u : (word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
        }
        store(y + at.a, result);
    }
}
