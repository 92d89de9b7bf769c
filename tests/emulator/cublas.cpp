// The C interface of cuBLAS and cuBLASLt for matrix products: checks the arguments as they do and hands the call to the
// emulator.
#include <cstdint>
#include <cstring>

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
    int epilogue;
    void* vector;
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
              transa != 0, transb != 0, Atype, Btype, Ctype, batchCount, to_tf32, handle->has_workspace, 1, nullptr};
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

// --- cuBLASLt: descriptions are objects, and their attributes have fixed sizes -------------------------------------

struct Operation {
    int compute, scale_type, transpose_A, transpose_B, epilogue;
    void* vector;
};

struct Layout {
    int type;
    int64_t rows, columns, leading;
};

struct Preference {
    uint64_t workspace;
    int alignment[4];
};

struct Algorithm {  // cublasLtMatmulHeuristicResult_t
    uint64_t chosen[8];
    uint64_t workspace;
    int state;
    float waves;
    int reserved[4];
};

const int DEFAULT = 1, BIAS = 4, BGRADB = 512;

int cublasLtMatmulDescCreate(Operation** operation, int compute, int scale_type) {
    *operation = new Operation{compute, scale_type, 0, 0, DEFAULT, nullptr};
    return SUCCESS;
}

int cublasLtMatmulDescDestroy(Operation* operation) {
    delete operation;
    return SUCCESS;
}

int cublasLtMatmulDescSetAttribute(Operation* operation, int attribute, const void* value, uint64_t size) {
    int* number = attribute == 3   ? &operation->transpose_A
                  : attribute == 4 ? &operation->transpose_B
                  : attribute == 7 ? &operation->epilogue
                                   : nullptr;
    if (attribute == 8 && size == sizeof(void*)) {
        memcpy(&operation->vector, value, size);
        return SUCCESS;
    }
    if (!number || size != 4) return INVALID_VALUE;
    memcpy(number, value, size);
    return SUCCESS;
}

int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    *layout = new Layout{type, int64_t(rows), int64_t(columns), leading};
    return SUCCESS;
}

int cublasLtMatrixLayoutDestroy(Layout* layout) {
    delete layout;
    return SUCCESS;
}

int cublasLtMatmulPreferenceCreate(Preference** preference) {
    *preference = new Preference{0, {256, 256, 256, 256}};
    return SUCCESS;
}

int cublasLtMatmulPreferenceDestroy(Preference* preference) {
    delete preference;
    return SUCCESS;
}

int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, uint64_t size) {
    if (attribute == 1 && size == 8) {
        memcpy(&preference->workspace, value, size);
    } else if (attribute >= 5 && attribute <= 8 && size == 4) {
        memcpy(&preference->alignment[attribute - 5], value, size);
    } else {
        return INVALID_VALUE;
    }
    return SUCCESS;
}

static bool fits(const Layout& x, int transposed, int64_t rows, int64_t columns) {
    return x.leading >= x.rows && (transposed ? x.columns == rows && x.rows == columns
                                              : x.rows == rows && x.columns == columns);
}

int cublasLtMatmulAlgoGetHeuristic(Handle* handle, Operation* operation, Layout* A, Layout* B, Layout* C, Layout* D,
                                   Preference* preference, int most, Algorithm* results, int* found) {
    if (!handle) return NOT_INITIALIZED;
    *found = 0;
    int64_t depth = operation->transpose_A ? A->rows : A->columns;
    if (!fits(*A, operation->transpose_A, D->rows, depth) || !fits(*B, operation->transpose_B, depth, D->columns) ||
        !fits(*C, 0, D->rows, D->columns) || C->type != D->type || most < 1)
        return INVALID_VALUE;
    Gemm types{};
    types.A_type = A->type, types.B_type = B->type, types.C_type = D->type;
    bool is_double = operation->compute == C_64F || operation->compute == C_64F_PEDANTIC;
    if (!supported(types, operation->compute) || operation->scale_type != (is_double ? R_64F : R_32F))
        return NOT_SUPPORTED;
    if (operation->epilogue != DEFAULT && (is_double || !operation->vector)) return NOT_SUPPORTED;
    if (operation->epilogue != DEFAULT && operation->epilogue != BIAS && operation->epilogue != BGRADB)
        return NOT_SUPPORTED;
    memset(results, 0, sizeof *results);
    for (int i = 0; i < 4; ++i) results->chosen[i] = preference->alignment[i];
    results->chosen[4] = 1;
    results->workspace = preference->workspace;
    *found = 1;
    return SUCCESS;
}

int cublasLtMatmul(Handle* handle, Operation* operation, const void* alpha, const void* A, Layout* A_layout,
                   const void* B, Layout* B_layout, const void* beta, const void* C, Layout* C_layout, void* D,
                   Layout* D_layout, const Algorithm* algorithm, void* workspace, uint64_t workspace_size,
                   void* stream) {
    if (!handle) return NOT_INITIALIZED;
    if (!algorithm || algorithm->chosen[4] != 1 || C != D) return INVALID_VALUE;
    const void* given[] = {A, B, C, D};
    for (int i = 0; i < 4; ++i)  // a GPU would stop at the misaligned address
        if ((uint64_t)given[i] % algorithm->chosen[i]) return INVALID_VALUE;
    if (algorithm->workspace > workspace_size || (uint64_t)workspace % 256) return INVALID_VALUE;
    bool is_double = operation->scale_type == R_64F;
    auto scalar = [&](const void* p) { return is_double ? *(const double*)p : *(const float*)p; };
    int depth = int(operation->transpose_A ? A_layout->rows : A_layout->columns);
    Gemm call{stream, A, B, D, scalar(alpha), scalar(beta), 0, 0, 0, int(D_layout->rows), int(D_layout->columns), depth,
              int(A_layout->leading), int(B_layout->leading), int(D_layout->leading), operation->transpose_A,
              operation->transpose_B, A_layout->type, B_layout->type, D_layout->type, 1,
              operation->compute == C_32F_TF32, workspace != nullptr, operation->epilogue, operation->vector};
    return execute ? execute(&call) : INTERNAL_ERROR;
}
}
