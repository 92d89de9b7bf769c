// CUDA C++ for a CPU: included before a kernel's source, so that g++ compiles what NVRTC would.
// Every thread of a block that may meet a barrier is a fiber, a stack of its own; the others are a plain loop.
#pragma once
#include <sys/mman.h>

#include <cfloat>
#include <climits>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#ifndef __x86_64__
#error "cuda_on_cpu.h: the switch between fibers is written for x86-64 only"
#endif

#define __CUDACC_RTC__
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static
#define CUDART_INF_F INFINITY
#define CUDART_INF HUGE_VAL
#define CUDART_NAN_F NAN
#define CUDART_NAN double(NAN)

#define CUDA_ON_CPU_VECTOR(T, name)                                                                       \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                    \
    struct name##3 { T x, y, z; };                                                                        \
    struct alignas(sizeof(T) < 4 ? 4 * sizeof(T) : 16) name##4 { T x, y, z, w; };                         \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                            \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                    \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUDA_ON_CPU_VECTOR(float, float)
CUDA_ON_CPU_VECTOR(double, double)
CUDA_ON_CPU_VECTOR(int, int)
CUDA_ON_CPU_VECTOR(unsigned, uint)
CUDA_ON_CPU_VECTOR(short, short)
CUDA_ON_CPU_VECTOR(unsigned short, ushort)
CUDA_ON_CPU_VECTOR(signed char, char)
CUDA_ON_CPU_VECTOR(unsigned char, uchar)
CUDA_ON_CPU_VECTOR(long long, longlong)

using __half = _Float16;
using half = _Float16;
inline float __half2float(__half x) { return x; }
inline __half __float2half(float x) { return x; }

struct dim3 { unsigned x = 1, y = 1, z = 1; };
static dim3 gridDim, blockDim;
static uint3 blockIdx, threadIdx;
static const int warpSize = 32;

// Saves the registers that a callee keeps on this stack, whose end goes to *from, and goes on with the stack `to`.
extern "C" void cuda_on_cpu_switch(void** from, void* to);
asm(R"(.text
cuda_on_cpu_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
)");

namespace cuda_on_cpu {

const int MOST_THREADS = 1024;
const size_t STACK = 1 << 17, MOST_SHARED = 227 << 10, GUARD = 256;
alignas(1024) static char dynamic_shared[MOST_SHARED + GUARD];

// The __shared__ variables met so far; compiler.py adds a call of know_shared to each declaration.
static std::vector<std::pair<void*, size_t>> shared_variables;
inline bool know_shared(void* variable, size_t size) {
    memset(variable, 0xff, size);
    shared_variables.push_back({variable, size});
    return true;
}

enum State { READY, AT_BARRIER, AT_WARP, DONE };
struct Fiber {
    void* stack_end;
    State state;
    int line;            // of the barrier
    unsigned mask;       // of the warp operation: who takes part
    int source;          // the lane whose value this one wants
    uint64_t given, got; // by the warp operation
    unsigned ballot;     // the lanes that gave something else than 0
    uint3 index;
};
static Fiber fibers[MOST_THREADS];
static int current, count;
static void* scheduler_end;
static char* stacks;
static char error[200];
static void (*thread_body)(void*);
static void* thread_arguments;

inline void yield(State state) {
    fibers[current].state = state;
    cuda_on_cpu_switch(&fibers[current].stack_end, scheduler_end);
}

static void fiber_main() {
    thread_body(thread_arguments);
    yield(DONE);
}

inline void sync_threads(int line) {
    fibers[current].line = line;
    yield(AT_BARRIER);
}

// Gives `value` to the lanes of `mask` in this warp and takes that of the lane `source`.
template <class T> T exchange(unsigned mask, T value, int source) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    Fiber& self = fibers[current];
    self.given = 0;
    memcpy(&self.given, &value, sizeof(T));
    self.mask = mask;
    self.source = source;
    yield(AT_WARP);
    memcpy(&value, &self.got, sizeof(T));
    return value;
}

inline bool release_warps() {
    bool released = false;
    for (int base = 0; base < count; base += 32) {
        int lanes = count - base < 32 ? count - base : 32;
        for (int first = 0; first < lanes; ++first) {
            if (fibers[base + first].state != AT_WARP) continue;
            unsigned mask = fibers[base + first].mask, group = 0, ballot = 0;
            bool complete = true;
            for (int i = 0; i < lanes; ++i) {
                const Fiber& f = fibers[base + i];
                if (!(mask >> i & 1) || f.state == DONE) continue;
                if (f.state != AT_WARP || f.mask != mask) complete = false;
                group |= 1u << i;
                if (f.given) ballot |= 1u << i;
            }
            if (!complete) continue;
            for (int i = 0; i < lanes; ++i) {
                if (!(group >> i & 1)) continue;
                Fiber& f = fibers[base + i];
                // what a lane that takes no part would give is undefined
                f.got = f.source < 32 && group >> f.source & 1 ? fibers[base + f.source].given : ~0ull;
                f.ballot = ballot;
                f.state = READY;
            }
            released = true;
        }
    }
    return released;
}

inline bool release_block() {
    int line = -1;
    for (int i = 0; i < count; ++i) {
        if (fibers[i].state == DONE) continue;
        if (fibers[i].state != AT_BARRIER) return false;
        if (line >= 0 && fibers[i].line != line) {
            snprintf(error, sizeof error, "threads of one block wait at different barriers: lines %d and %d", line,
                     fibers[i].line);
            return false;
        }
        line = fibers[i].line;
    }
    for (int i = 0; i < count; ++i)
        if (fibers[i].state == AT_BARRIER) fibers[i].state = READY;
    return line >= 0;
}

// Between barriers the threads run in an order that changes, so that a missing barrier shows.
inline void run_block_of_fibers() {
    static int order[MOST_THREADS];
    static unsigned random = 1;
    if (!stacks)
        stacks = (char*)mmap(nullptr, MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (int i = 0; i < count; ++i) {
        void** end = (void**)(stacks + (i + 1) * STACK) - 2;
        *end = (void*)fiber_main;
        fibers[i].stack_end = end - 6;
        fibers[i].state = READY;
        fibers[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
        order[i] = i;
    }
    do {
        for (int i = count - 1; i > 0; --i) {
            random = random * 1664525u + 1013904223u;
            std::swap(order[i], order[(random >> 8) % (i + 1)]);
        }
        for (int i = 0; i < count; ++i) {
            current = order[i];
            if (fibers[current].state != READY) continue;
            threadIdx = fibers[current].index;
            cuda_on_cpu_switch(&scheduler_end, fibers[current].stack_end);
        }
    } while (!error[0] && (release_warps() || release_block()));
    for (int i = 0; i < count && !error[0]; ++i)
        if (fibers[i].state != DONE)
            snprintf(error, sizeof error, "thread %d waits forever: others of its warp or block do not arrive", i);
}

static jmp_buf after_the_loop;

inline void run_block_in_a_loop() {
    if (setjmp(after_the_loop)) return;
    for (threadIdx.z = 0; threadIdx.z < blockDim.z; ++threadIdx.z)
        for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)
            for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) thread_body(thread_arguments);
}

static bool in_fibers;

// Ends a thread that does what a GPU would refuse; the launch then fails.
inline void end_thread() {
    if (in_fibers) yield(DONE);
    longjmp(after_the_loop, 1);
}

inline const char* run_grid(bool fibers_needed, size_t shared) {
    in_fibers = fibers_needed;
    count = blockDim.x * blockDim.y * blockDim.z;
    error[0] = 0;
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
                for (auto [variable, size] : shared_variables) memset(variable, 0xff, size);
                memset(dynamic_shared, 0xff, shared + GUARD);
                fibers_needed ? run_block_of_fibers() : run_block_in_a_loop();
                for (size_t i = 0; i < GUARD; ++i)
                    if (dynamic_shared[shared + i] != (char)0xff && !error[0])
                        snprintf(error, sizeof error, "a write past the %zu bytes of dynamic shared memory", shared);
                if (error[0]) return error;
            }
    return nullptr;
}

template <class T> T load(void* bytes) {
    T value;
    memcpy((void*)&value, bytes, sizeof(T));
    return value;
}

template <class P> std::string describe() {  // "p4": a pointer to 4 bytes, "f8": a double, "i4", "s24": a struct
    using T = std::remove_cv_t<P>;
    if constexpr (std::is_pointer_v<T>) {
        using E = std::remove_cv_t<std::remove_pointer_t<T>>;
        if constexpr (std::is_arithmetic_v<E>) return "p" + std::to_string(sizeof(E));
        return "p0";
    } else {
        const char* kind = std::is_floating_point_v<T> ? "f" : std::is_integral_v<T> ? "i" : "s";
        return kind + std::to_string(sizeof(T));
    }
}

template <class... P, size_t... I>
const char* launch(void (*kernel)(P...), std::index_sequence<I...>, const unsigned* size, size_t shared, void** given,
                   bool fibers_needed) {
    struct Call {
        void (*kernel)(P...);
        void** given;
    } call{kernel, given};
    gridDim = {size[0], size[1], size[2]};
    blockDim = {size[3], size[4], size[5]};
    thread_body = [](void* p) {
        Call& call = *(Call*)p;
        call.kernel(load<std::remove_cv_t<P>>(call.given[I])...);
    };
    thread_arguments = &call;
    return run_grid(fibers_needed, shared);
}

template <class... P> auto indices(void (*)(P...)) { return std::index_sequence_for<P...>(); }

template <class... P> std::string describe_all(void (*)(P...)) {
    std::string all;
    ((all += describe<P>() + " "), ...);
    return all;
}

// What PTX does with the bits of a number of one type to get those of another.
typedef _Float16 f16;
typedef float f32;
typedef double f64;
template <class To, class From, class ToBits, class FromBits> void convert(ToBits& to, const FromBits& from) {
    static_assert(sizeof(To) == sizeof(ToBits) && sizeof(From) == sizeof(FromBits), "operands of other sizes");
    From number;
    memcpy(&number, &from, sizeof from);
    To converted = (To)number;
    memcpy(&to, &converted, sizeof to);
}

inline int lane() { return current % 32; }
inline int segment(int width) { return lane() & ~(width - 1); }

}  // namespace cuda_on_cpu

// g++ checks the alignment of every access (-fsanitize=alignment) and calls this: a GPU stops with an error.
extern "C" void __ubsan_handle_type_mismatch_v1(void* description, void* address) {
    unsigned char log_alignment = *((unsigned char*)description + 3 * sizeof(void*));  // behind a place and a type
    snprintf(cuda_on_cpu::error, sizeof cuda_on_cpu::error, "misaligned address: ...%03x is no multiple of %d",
             unsigned((uintptr_t)address & 0xfff), 1 << log_alignment);
    cuda_on_cpu::end_thread();
}

#define CUDA_ON_CPU_KERNEL(name, fibers_needed)                                                                  \
    extern "C" const char* __run_##name(const unsigned* size, size_t shared, void** given) {                     \
        return cuda_on_cpu::launch(&name, cuda_on_cpu::indices(&name), size, shared, given, fibers_needed);      \
    }                                                                                                            \
    extern "C" const char* __describe_##name() {                                                                 \
        static std::string text = cuda_on_cpu::describe_all(&name);                                              \
        return text.c_str();                                                                                     \
    }

#define __syncthreads() cuda_on_cpu::sync_threads(__LINE__)
inline void __syncwarp(unsigned mask = ~0u) { cuda_on_cpu::exchange(mask, 0, 0); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    return cuda_on_cpu::exchange(mask, value, cuda_on_cpu::segment(width) + (source & (width - 1)));
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    int lane = cuda_on_cpu::lane(), source = lane - (int)delta;
    return cuda_on_cpu::exchange(mask, value, source < cuda_on_cpu::segment(width) ? lane : source);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    int lane = cuda_on_cpu::lane(), source = lane + (int)delta;
    return cuda_on_cpu::exchange(mask, value, source >= cuda_on_cpu::segment(width) + width ? lane : source);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    int lane = cuda_on_cpu::lane(), source = lane ^ lanes;
    return cuda_on_cpu::exchange(mask, value, source >= cuda_on_cpu::segment(width) + width ? lane : source);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    cuda_on_cpu::exchange(mask, predicate != 0, cuda_on_cpu::lane());
    return cuda_on_cpu::fibers[cuda_on_cpu::current].ballot;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

#define CUDA_ON_CPU_ATOMIC(name, expression)                          \
    template <class T, class V> T name(T* at, V value) {              \
        T old = *at, given = (T)value;                                \
        *at = expression;                                             \
        return old;                                                   \
    }
CUDA_ON_CPU_ATOMIC(atomicAdd, old + given)
CUDA_ON_CPU_ATOMIC(atomicSub, old - given)
CUDA_ON_CPU_ATOMIC(atomicExch, given)
CUDA_ON_CPU_ATOMIC(atomicMax, old < given ? given : old)
CUDA_ON_CPU_ATOMIC(atomicMin, given < old ? given : old)
CUDA_ON_CPU_ATOMIC(atomicAnd, old & given)
CUDA_ON_CPU_ATOMIC(atomicOr, old | given)
CUDA_ON_CPU_ATOMIC(atomicInc, old >= given ? 0 : old + 1)
template <class T, class V> T atomicCAS(T* at, V expected, V value) {
    T old = *at;
    if (old == (T)expected) *at = (T)value;
    return old;
}

template <class A, class B> std::common_type_t<A, B> min(A a, B b) {
    std::common_type_t<A, B> x = a, y = b;
    if constexpr (std::is_floating_point_v<decltype(x)>) return std::fmin(x, y);
    return y < x ? y : x;
}
template <class A, class B> std::common_type_t<A, B> max(A a, B b) {
    std::common_type_t<A, B> x = a, y = b;
    if constexpr (std::is_floating_point_v<decltype(x)>) return std::fmax(x, y);
    return x < y ? y : x;
}
using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;

template <class To, class From> To cuda_on_cpu_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float x) { return cuda_on_cpu_bits<unsigned>(x); }
inline int __float_as_int(float x) { return cuda_on_cpu_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return cuda_on_cpu_bits<float>(x); }
inline float __int_as_float(int x) { return cuda_on_cpu_bits<float>(x); }
inline long long __double_as_longlong(double x) { return cuda_on_cpu_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return cuda_on_cpu_bits<double>(x); }

inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
inline int __mulhi(int a, int b) { return (int64_t)a * b >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
inline long long __mul64hi(long long a, long long b) { return (__int128)a * b >> 64; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }

template <class T> T __ldg(const T* at) { return *at; }
template <class T> T __ldcs(const T* at) { return *at; }
template <class T> void __stcs(T* at, T value) { *at = value; }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
// volatile: never part of a fused multiply-add
inline float __fadd_rn(float a, float b) { volatile float r = a + b; return r; }
inline float __fsub_rn(float a, float b) { volatile float r = a - b; return r; }
inline float __fmul_rn(float a, float b) { volatile float r = a * b; return r; }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __log2f(float x) { return std::log2(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline float __sinf(float x) { return std::sin(x); }
inline float __cosf(float x) { return std::cos(x); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline void sincospif(float x, float* s, float* c) {
    *s = std::sin(x * 3.14159265358979323846);
    *c = std::cos(x * 3.14159265358979323846);
}
inline int __float2int_rn(float x) { return (int)std::nearbyint(x); }
inline int __float2int_rd(float x) { return (int)std::floor(x); }
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
