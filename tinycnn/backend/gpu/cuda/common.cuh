// What all kernels share. A file is compiled once for each element type, T: float, double, Half, BFloat16 or an integer
// type; and once for each WIDTH, the neighbours in memory that a thread takes at a time. Kernels index with 32 bits,
// which are several times as fast as 64; the launching side refuses larger arrays.

typedef unsigned int uint;

// --- element types ------------------------------------------------------------------------------------------

// IEEE half precision: kept in 16 bits, computed with as float. Rounds to nearest, ties to even. The conversions are
// instructions of every GPU, for which the compiler has no name without a header.
struct Half {
    unsigned short bits;

    __device__ Half() {}
    __device__ Half(float value) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value)); }
    __device__ operator float() const {
        float value;
        asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
        return value;
    }
};

// The type in which sums of T are taken.
template <typename Number> struct SumOf { typedef long long type; };
template <> struct SumOf<float> { typedef float type; };
template <> struct SumOf<double> { typedef double type; };
template <> struct SumOf<Half> { typedef float type; };
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

// The axes, the innermost last; those before `first` are not used. A walk takes packs of WIDTH elements: it has as many
// indices as there are packs, and its places are those of their first elements.
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
        int step = int(index);
        if (i > walk.first) {  // what is left to the outermost axis is below its size
            index = quotient(index, axis.size);
            step -= int(index * axis.size.divisor);
        }
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

// --- neighbours -----------------------------------------------------------------------------------------------

// WIDTH neighbours in memory, which are loaded and stored in one access. The launching side sees to it that all of
// them lie at multiples of their size (`walks` in geometry.py).
template <typename Number>
struct alignas(WIDTH * sizeof(Number)) Pack {
    Number element[WIDTH];

    __device__ __forceinline__ Number& operator[](int i) { return element[i]; }
    __device__ __forceinline__ Number operator[](int i) const { return element[i]; }
};

template <typename Number>
__device__ __forceinline__ Pack<Number> load(const Number* from) {
    return *reinterpret_cast<const Pack<Number>*>(from);
}

template <typename Number>
__device__ __forceinline__ void store(Number* to, const Pack<Number>& pack) {
    *reinterpret_cast<Pack<Number>*>(to) = pack;
}

// For the elements of packs: their indices.
#define EACH(i) _Pragma("unroll") for (int i = 0; i < WIDTH; ++i)
