// What all kernels share. A file is compiled once for each element type: T is float, double, Half,
// BFloat16 or an integer type.
// Kernels index with 32 bits, which are several times as fast as 64; the launching side refuses larger arrays.

typedef unsigned int uint;

// --- element types ------------------------------------------------------------------------------------------

// IEEE half precision: kept in 16 bits, computed with as float. Rounds to nearest, ties to even.
struct Half {
    unsigned short bits;

    __device__ Half() {}
    __device__ Half(float value) {
        uint word = __float_as_uint(value), sign = (word >> 16) & 0x8000u, rest = word & 0x7fffffffu;
        if (rest >= 0x47800000u) {  // at least 65536, infinite or nan
            bits = sign | (rest > 0x7f800000u ? 0x7e00u : 0x7c00u);
        } else if (rest < 0x38800000u) {  // below 2^-14: a subnormal number, in units of 2^-24
            // Adding 0.5 leaves float's last bit worth just 2^-24, so that the addition itself rounds.
            bits = sign | (__float_as_uint(__uint_as_float(rest) + 0.5f) - 0x3f000000u);
        } else {
            bits = sign | ((rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13);
        }
    }
    __device__ operator float() const {
        uint sign = uint(bits & 0x8000u) << 16, rest = uint(bits & 0x7fffu) << 13;
        if (rest >= 0x0f800000u) return __uint_as_float(sign | rest | 0x7f800000u);  // infinite or nan
        if (rest < 0x00800000u) {  // subnormal
            float value = float(rest >> 13) * 5.9604644775390625e-8f;
            return sign ? -value : value;
        }
        return __uint_as_float(sign | (rest + 0x38000000u));
    }
};

// bfloat16, the upper half of a float: kept in 16 bits, computed with as float. Rounds to nearest, ties to even.
struct BFloat16 {
    unsigned short bits;

    __device__ BFloat16() {}
    __device__ BFloat16(float value) {
        uint word = __float_as_uint(value);
        bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;  // the addition may turn it into another number
        bits = is_nan ? 0x7fc0u : (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    }
    __device__ operator float() const { return __uint_as_float(uint(bits) << 16); }
};

// The type in which sums of T are taken.
template <typename Number> struct SumOf { typedef long long type; };
template <> struct SumOf<float> { typedef float type; };
template <> struct SumOf<double> { typedef double type; };
template <> struct SumOf<Half> { typedef float type; };
template <> struct SumOf<BFloat16> { typedef float type; };
typedef SumOf<T>::type Sum;

// --- from an index to a place -------------------------------------------------------------------------------

// Division by a number that is known at launch, as a multiplication: n / divisor for n below 2^31
// (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994, figure 4.1).
struct Divisor {
    uint divisor, magic, shift;
};

__device__ __forceinline__ uint quotient(uint n, Divisor d) { return (__umulhi(n, d.magic) + n) >> d.shift; }

// One axis of the arrays that a kernel walks over: for a step along it, how far to go in each of three arrays
// (in elements), and how the position in up to three spatial dimensions changes.
struct Axis {
    Divisor size;
    int a, b, c, position[3];
};

// The axes, the innermost last; those before `first` are not used.
struct Walk {
    uint size;
    int first;
    Axis axis[8];
};

struct Place {
    int a, b, c, position[3];
};

__device__ __forceinline__ Place locate(uint index, const Walk& walk) {
    Place place = {0, 0, 0, {0, 0, 0}};
#pragma unroll
    for (int i = 7; i >= 0; --i) {
        if (i < walk.first) break;
        const Axis& axis = walk.axis[i];
        uint rest = quotient(index, axis.size);
        int step = int(index - rest * axis.size.divisor);
        index = rest;
        place.a += step * axis.a;
        place.b += step * axis.b;
        place.c += step * axis.c;
        place.position[0] += step * axis.position[0];
        place.position[1] += step * axis.position[1];
        place.position[2] += step * axis.position[2];
    }
    return place;
}

// Runs over all indices below `size`, whatever the number of blocks.
#define FOR_EACH(index, size) \
    for (uint index = blockIdx.x * blockDim.x + threadIdx.x; index < (size); index += gridDim.x * blockDim.x)
