// Sliding windows: output position o and kernel position k meet at input position o * stride + k * dilation - padding.
//
// For windows of few taps, files that include this are compiled with their SIZES and DIMENSIONS, so that loops over
// taps unroll and divisions are by constants. Input, output and padding are not among them: the same code serves every
// layer of a net whose windows have the same sizes.

// What can be known when a file is compiled, of one dimension. At most `turns` windows meet one input position. Their
// kernel positions there are `period` = stride / common apart and their output positions `apart` = dilation / common,
// where common is the greatest common divisor of stride and dilation. apart * inverse is 1 modulo period.
struct Sizes {
    int kernel, stride, dilation, common, period, inverse, apart, turns;
};

// One spatial dimension. Unused dimensions come first and have one position.
struct Dim {
    int input, output, padding;
    Sizes sizes;
    Divisor stride, common, period;
    int step;         // between input positions, of the array that is read in input positions
    int step_output;  // between output positions, of the array that is read in output positions
    int step_kernel;  // between kernel positions, of the columns
    int step_other;   // as step_output, for a second array
};

struct Window {
    Dim dim[3];
};

// SIZE(window, i, kernel): a field of Sizes of dimension i, constant where it is known. USED(i): whether there may be
// more than one position in it.
#ifdef SIZES
__device__ constexpr Sizes known(int i) {
    const Sizes sizes[] = {SIZES}, one = {1, 1, 1, 1, 1, 0, 1, 1};
    return i < 3 - DIMENSIONS ? one : sizes[i - (3 - DIMENSIONS)];
}
template <int value>
struct Constant {
    enum { VALUE = value };
};
#define SIZE(window, i, field) int(Constant<known(i).field>::VALUE)
#define USED(i) ((i) >= 3 - DIMENSIONS)
#define DIVIDED(window, i, n, field) (uint(n) / uint(SIZE(window, i, field)))
#define UNROLL _Pragma("unroll")
#else
#define SIZE(window, i, field) window.dim[i].sizes.field
#define USED(i) true
#define DIVIDED(window, i, n, field) quotient(n, window.dim[i].field)
#define UNROLL _Pragma("unroll 1")
#endif
#define REMAINDER(window, i, n, field) (n - DIVIDED(window, i, n, field) * SIZE(window, i, field))

// The input position in dimension i at which kernel position k lies, where `at` has the output position times stride.
template <int i>
__device__ __forceinline__ int input_position(const Window& window, const Place& at, int k) {
    return USED(i) ? at.position[i] + k * SIZE(window, i, dilation) - window.dim[i].padding : 0;
}

template <int i>
__device__ __forceinline__ bool on_input(const Window& window, int position) {
    return !USED(i) || uint(position) < uint(window.dim[i].input);
}

// An element of an array at such positions, which has `step` in each dimension.
#define OFFSET(window, step, p0, p1, p2) \
    ((p0) * window.dim[0].step + (p1) * window.dim[1].step + (p2) * window.dim[2].step)

template <int i>
__device__ __forceinline__ bool all_on_input(const Window& window, const Place& at) {
    return !USED(i) || (input_position<i>(window, at, 0) >= 0 &&
                        input_position<i>(window, at, SIZE(window, i, kernel) - 1) < window.dim[i].input);
}

// Calls visit(tap, offset) for each tap, a kernel position counted in row-major order, that lies on the input; offset
// is the element of x there, relative to position 0. Where no tap lies on padding, as in most windows, none is asked:
// the loads of all taps can then be under way at once.
#define FOR_EACH_TAP(window, at, tap, offset, visit)                                                   \
    if (all_on_input<0>(window, at) && all_on_input<1>(window, at) && all_on_input<2>(window, at))     \
        FOR_TAPS_WHERE(true, window, at, tap, offset, visit)                                           \
    else                                                                                               \
        FOR_TAPS_WHERE(on_input<0>(window, i0) && on_input<1>(window, i1) && on_input<2>(window, i2),  \
                       window, at, tap, offset, visit)

#define FOR_TAPS_WHERE(condition, window, at, tap, offset, visit)                                    \
    UNROLL for (int k0 = 0; k0 < SIZE(window, 0, kernel); ++k0)                                      \
        UNROLL for (int k1 = 0; k1 < SIZE(window, 1, kernel); ++k1)                                  \
            UNROLL for (int k2 = 0; k2 < SIZE(window, 2, kernel); ++k2) {                            \
                int i0 = input_position<0>(window, at, k0), i1 = input_position<1>(window, at, k1);  \
                int i2 = input_position<2>(window, at, k2);                                          \
                if (condition) {                                                                     \
                    int tap = (k0 * SIZE(window, 1, kernel) + k1) * SIZE(window, 2, kernel) + k2;    \
                    int offset = OFFSET(window, step, i0, i1, i2);                                   \
                    visit;                                                                           \
                }                                                                                    \
            }

// The smallest kernel position that meets an input position in one dimension, and the output position there; that is
// below 0 where none meets it.
struct Meeting {
    int in_kernel, in_output;
};

template <int i>
__device__ __forceinline__ Meeting first_meeting(const Window& window, const Place& at) {
    if (!USED(i)) return {0, 0};
    uint sum = at.position[i] + window.dim[i].padding;  // = o * stride + k * dilation
    uint k = DIVIDED(window, i, sum, common);
    k = REMAINDER(window, i, k, period);
    if (SIZE(window, i, inverse) > 1) {
        k *= SIZE(window, i, inverse);
        k = REMAINDER(window, i, k, period);
    }
    int rest = int(sum) - int(k) * SIZE(window, i, dilation);
    int o = rest < 0 ? -1 : int(DIVIDED(window, i, rest, stride));
    return {int(k), o * SIZE(window, i, stride) == rest ? o : -1};
}

// Runs over the pairs of kernel position k and output position o that meet where those of `first` do.
#define FOR_EACH_MEETING(window, i, first, k, o)                       \
    UNROLL for (int turn = 0; turn < SIZE(window, i, turns); ++turn)   \
        if (int k = first.in_kernel + turn * SIZE(window, i, period),  \
            o = first.in_output - turn * SIZE(window, i, apart);       \
            !USED(i) || (k < SIZE(window, i, kernel) && uint(o) < uint(window.dim[i].output)))

// The same in all dimensions, where they meet input position `at`: k0, k1, k2 and o0, o1, o2.
#define FOR_EACH_PAIR(window, at)                   \
    Meeting first0 = first_meeting<0>(window, at);  \
    Meeting first1 = first_meeting<1>(window, at);  \
    Meeting first2 = first_meeting<2>(window, at);  \
    FOR_EACH_MEETING(window, 0, first0, k0, o0)     \
    FOR_EACH_MEETING(window, 1, first1, k1, o1)     \
    FOR_EACH_MEETING(window, 2, first2, k2, o2)

__device__ __forceinline__ void store_sums(T* to, const Sum* sum) {
    Pack<T> rounded;
    EACH(i) rounded[i] = T(sum[i]);
    store(to, rounded);
}
