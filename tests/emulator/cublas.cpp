// The C interface of cuBLAS for matrix products: checks the arguments as cuBLAS does and hands the call to the emulator.
#include <cstdint>

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, INTERNAL_ERROR = 14, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum Compute { C_32F = 68, C_32F_PEDANTIC = 69, C_64F = 70, C_64F_PEDANTIC = 71, C_32F_TF32 = 77 };

struct Handle {
    void* stream;
    bool has_workspace;
    int math_mode;
};

struct Gemm {  // as in cublas.py
    void* stream;
    const void *A, *B;
    void* C;
    double alpha, beta;
    int64_t stride_A, stride_B, stride_C;
    int m, n, k, lda, ldb, ldc, transpose_A, transpose_B, A_type, B_type, C_type, batch, round_to_tf32, has_workspace;
};

static int (*execute)(const Gemm*);

static bool supported(const Gemm& g, int compute) {
    if (compute == C_64F || compute == C_64F_PEDANTIC)
        return g.A_type == R_64F && g.B_type == R_64F && g.C_type == R_64F;
    if (compute != C_32F && compute != C_32F_PEDANTIC && compute != C_32F_TF32) return false;
    if (g.A_type != g.B_type) return false;
    if (g.A_type == R_32F) return g.C_type == R_32F;
    if (compute == C_32F_TF32) return false;
    return (g.A_type == R_16F || g.A_type == R_16BF) && (g.C_type == R_32F || g.C_type == g.A_type);
}

extern "C" {

void set_executor(int (*function)(const Gemm*)) { execute = function; }

int cublasCreate_v2(Handle** handle) {
    if (!handle) return INVALID_VALUE;
    *handle = new Handle{};
    return SUCCESS;
}

int cublasDestroy_v2(Handle* handle) {
    if (!handle) return NOT_INITIALIZED;
    delete handle;
    return SUCCESS;
}

int cublasSetStream_v2(Handle* handle, void* stream) {
    if (!handle) return NOT_INITIALIZED;
    handle->stream = stream;
    handle->has_workspace = false;  // as documented: back to the default workspace
    return SUCCESS;
}

int cublasGetStream_v2(Handle* handle, void** stream) {
    if (!handle) return NOT_INITIALIZED;
    *stream = handle->stream;
    return SUCCESS;
}

int cublasSetWorkspace_v2(Handle* handle, void* workspace, uint64_t size) {
    if (!handle) return NOT_INITIALIZED;
    if ((uint64_t)workspace % 256) return INVALID_VALUE;
    handle->has_workspace = workspace && size;
    return SUCCESS;
}

int cublasSetMathMode(Handle* handle, int mode) {
    if (!handle) return NOT_INITIALIZED;
    handle->math_mode = mode;
    return SUCCESS;
}

int cublasGetVersion_v2(Handle*, int* version) {
    *version = 120800;
    return SUCCESS;
}

const char* cublasGetStatusString(int status) {
    switch (status) {
        case SUCCESS: return "CUBLAS_STATUS_SUCCESS";
        case NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
        case INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
        case 13: return "CUBLAS_STATUS_EXECUTION_FAILED";
        case INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
        case NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    }
    return "<unknown>";
}

int cublasGemmStridedBatchedEx(Handle* handle, int transa, int transb, int m, int n, int k, const void* alpha,
                               const void* A, int Atype, int lda, long long strideA, const void* B, int Btype, int ldb,
                               long long strideB, const void* beta, void* C, int Ctype, int ldc, long long strideC,
                               int batchCount, int computeType, int algo) {
    if (!handle) return NOT_INITIALIZED;
    auto least = [](int rows) { return rows > 1 ? rows : 1; };
    if (m < 0 || n < 0 || k < 0 || batchCount < 0 || transa < 0 || transa > 2 || transb < 0 || transb > 2 ||
        lda < least(transa ? k : m) || ldb < least(transb ? n : k) || ldc < least(m) || !alpha || !beta)
        return INVALID_VALUE;
    bool is_double = computeType == C_64F || computeType == C_64F_PEDANTIC;
    auto scalar = [&](const void* p) { return is_double ? *(const double*)p : *(const float*)p; };
    bool to_tf32 = computeType == C_32F_TF32 || (computeType == C_32F && handle->math_mode == 3 && Atype == R_32F);
    Gemm call{handle->stream, A, B, C, scalar(alpha), scalar(beta), strideA, strideB, strideC, m, n, k, lda, ldb, ldc,
              transa != 0, transb != 0, Atype, Btype, Ctype, batchCount, to_tf32, handle->has_workspace};
    if (!supported(call, computeType)) return NOT_SUPPORTED;
    if (m == 0 || n == 0 || batchCount == 0) return SUCCESS;
    return execute ? execute(&call) : INTERNAL_ERROR;
}

int cublasGemmEx(Handle* handle, int transa, int transb, int m, int n, int k, const void* alpha, const void* A,
                 int Atype, int lda, const void* B, int Btype, int ldb, const void* beta, void* C, int Ctype, int ldc,
                 int computeType, int algo) {
    return cublasGemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0, beta,
                                      C, Ctype, ldc, 0, 1, computeType, algo);
}
}
