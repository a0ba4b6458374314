// Matrix products on the device: cuBLASLt's, and a plain kernel that stands in for it in the emulator.
#pragma once

#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "skipv1/device/memory.cuh"
#include "skipv1/ops/gelu.cuh"

#if defined(__CUDACC__)
#include <cublasLt.h>
#endif

namespace skipv1::inline SKIPV1_FLAVOUR {

/// `C (m, n) = op(A) (m, k) op(B) (k, n)`, all contiguous and row-major as stored. `add`: plus the matrix `from (m, n)`; `bias`:
/// plus `bias (n)` in each row. `gelu`: `before (m, n)` becomes that C, and C its GELU (gelu.hpp). `slope`: C is multiplied by
/// GELU's derivative at `slope_at (m, n)`.
struct Product {
  std::size_t m, n, k;
  bool transpose_a = false, transpose_b = false, add = false, bias = false, gelu = false, slope = false;
  /// Whether GELU is part of it.
  bool has_gelu() const { return gelu || slope; }
  friend bool operator==(const Product&, const Product&) = default;
  friend auto operator<=>(const Product&, const Product&) = default;
};

/// The operands of a product; `from` is c unless given.
template <class T>
struct ProductOf {
  T* c;
  const T *a, *b, *from = nullptr, *bias = nullptr;
  T* before = nullptr;
  const T* slope_at = nullptr;
};

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one output.
template <class T>
SKIPV1_KERNEL product_kernel(ProductOf<T> x, Product p) {
  using S = Sum<T>;
  const std::size_t at = global_thread();
  if (at >= p.m * p.n) return;
  const std::size_t i = at / p.n, j = at % p.n;
  S sum = p.add ? static_cast<S>(x.from[at]) : S(0);
  if (p.bias) sum += static_cast<S>(x.bias[j]);
  for (std::size_t l = 0; l < p.k; ++l) {
    sum += static_cast<S>(p.transpose_a ? x.a[l * p.m + i] : x.a[i * p.k + l]) *
           static_cast<S>(p.transpose_b ? x.b[j * p.k + l] : x.b[l * p.n + j]);
  }
  if (p.gelu) {
    x.before[at] = static_cast<T>(sum);
    sum = Gelu()(sum);
  }
  if (p.slope) sum = GeluBackward()(sum, static_cast<S>(x.slope_at[at]));
  x.c[at] = static_cast<T>(sum);
}

#if defined(__CUDACC__)
/// Whether the environment has SKIPV1_PLAIN_PRODUCTS: no cuBLASLt then. For compute-sanitizer's initcheck, which does not see
/// what its bfloat16 kernels store (docs/performance/pairs.md).
inline bool plain_products() {
  static const bool plain = std::getenv("SKIPV1_PLAIN_PRODUCTS") != nullptr;
  return plain;
}
/// Whether the environment has SKIPV1_TUNE_PRODUCTS: of cuBLASLt's first candidates the fastest is taken, by a measurement at a
/// product's first use. Which one that is, and so the last bits of results, may differ from run to run.
inline bool tunes_products() {
  static const bool tunes = std::getenv("SKIPV1_TUNE_PRODUCTS") != nullptr;
  return tunes;
}
inline void check_cublas(cublasStatus_t status, const char* call) {
  require(status == CUBLAS_STATUS_SUCCESS, call, ": ", cublasLtGetStatusString(status));
}

/// A cuBLASLt object and its destruction.
template <class Object, cublasStatus_t (*destroy)(Object)>
struct Destroy {
  using pointer = Object;
  void operator()(Object object) const { destroy(object); }
};
template <class Object, cublasStatus_t (*destroy)(Object)>
using Owned = std::unique_ptr<Object, Destroy<Object, destroy>>;

template <class T>
constexpr cudaDataType_t cuda_type = std::is_same_v<T, double>  ? CUDA_R_64F
                                     : std::is_same_v<T, float> ? CUDA_R_32F
                                                                : CUDA_R_16BF;

/// cuBLASLt for products of type T: its handle, its workspace, and the algorithm of each product met so far.
template <class T>
class CublasLt {
 public:
  static CublasLt& here() {
    static thread_local CublasLt lt;
    return lt;
  }
  /// Whether cuBLASLt has an algorithm for `p`; of `x` only the addresses count, unless products are tuned.
  bool supports(const Product& p, const ProductOf<T>& x) { return plan(p, x).found; }
  /// Row-major C = op(A) op(B) is column-major C^T = op(B)^T op(A)^T: the same memory, with A and B exchanged. Returns false
  /// where cuBLASLt has no algorithm (some odd widths of bfloat16).
  bool run(const Product& p, const ProductOf<T>& x) {
    const Plan& plan = this->plan(p, x);
    if (!plan.found) return false;
    multiply(plan, p, x, plan.algorithm);
    return true;
  }

 private:
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;
  using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
  struct Plan {
    Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> product;
    Layout a, b, c;
    cublasLtMatmulAlgo_t algorithm;
    bool found = false;
  };

  void multiply(const Plan& plan, const Product& p, const ProductOf<T>& x, const cublasLtMatmulAlgo_t& algorithm) {
    set_pointers(plan, p, x);
    const Sum<T> one(1), beta = p.add ? one : Sum<T>(0);
    check_cublas(cublasLtMatmul(handle_.get(), plan.product.get(), &one, x.b, plan.b.get(), x.a, plan.a.get(), &beta, x.from,
                                plan.c.get(), x.c, plan.c.get(), &algorithm, workspace_.get(), workspace_bytes, current_stream()),
                 "cublasLtMatmul");
  }

  CublasLt() : workspace_(allocate_device(workspace_bytes)) {
    cublasLtHandle_t handle = nullptr;
    check_cublas(cublasLtCreate(&handle), "cublasLtCreate");
    handle_.reset(handle);
  }
  template <class Value>
  static void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t what, const Value& value) {
    check_cublas(cublasLtMatmulDescSetAttribute(product, what, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
  }
  /// The column-major layout of a row-major matrix (rows, width).
  static Layout layout(std::size_t rows, std::size_t width) {
    cublasLtMatrixLayout_t made = nullptr;
    check_cublas(cublasLtMatrixLayoutCreate(&made, cuda_type<T>, width, rows, static_cast<std::int64_t>(width)),
                 "cublasLtMatrixLayoutCreate");
    return Layout(made);
  }
  /// GELU only in bfloat16: the error of cuBLASLt's tanh is not documented. Its auxiliary matrix needs a width that is a multiple
  /// of 8.
  static bool possible(const Product& p, bool aligned) {
    return !p.has_gelu() || (std::is_same_v<T, bfloat16> && aligned && p.n % 8 == 0);
  }
  static cublasLtEpilogue_t epilogue(const Product& p) {
    if (p.gelu) return p.bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    if (p.slope) return CUBLASLT_EPILOGUE_DGELU;
    return p.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
  }
  static void set_pointers(const Plan& plan, const Product& p, const ProductOf<T>& x) {
    if (p.bias) set(plan.product.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, x.bias);
    if (p.gelu) set(plan.product.get(), CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, x.before);
    if (p.slope) set(plan.product.get(), CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, x.slope_at);
  }
  const Plan& plan(const Product& p, const ProductOf<T>& x) {
    const auto low = [](const void* at) { return reinterpret_cast<std::uintptr_t>(at) % 16; };
    const bool aligned = low(x.c) + low(x.a) + low(x.b) + low(x.from) + low(x.bias) + low(x.before) + low(x.slope_at) == 0;
    const auto found = plans_.find({p, aligned});
    if (found != plans_.end()) return found->second;
    Plan plan;
    if (!possible(p, aligned)) return plans_.emplace(std::pair(p, aligned), std::move(plan)).first->second;
    cublasLtMatmulDesc_t product = nullptr;
    constexpr cublasComputeType_t compute = std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
    check_cublas(cublasLtMatmulDescCreate(&product, compute, cuda_type<Sum<T>>), "cublasLtMatmulDescCreate");
    plan.product.reset(product);
    const cublasOperation_t first = p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, second = p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(product, CUBLASLT_MATMUL_DESC_TRANSA, first);
    set(product, CUBLASLT_MATMUL_DESC_TRANSB, second);
    set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue(p));
    if (p.bias) set(product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, cuda_type<T>);
    if (p.gelu || p.slope) set(product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, static_cast<std::int64_t>(p.n));
    set_pointers(plan, p, x);  // the choice depends on their alignment
    plan.a = p.transpose_a ? layout(p.k, p.m) : layout(p.m, p.k);
    plan.b = p.transpose_b ? layout(p.n, p.k) : layout(p.k, p.n);
    plan.c = layout(p.m, p.n);
    choose(plan, p, x, aligned);
    return plans_.emplace(std::pair(p, aligned), std::move(plan)).first->second;
  }
  void choose(Plan& plan, const Product& p, const ProductOf<T>& x, bool aligned) {
    cublasLtMatmulPreference_t preference = nullptr;
    check_cublas(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    const Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> owner(preference);
    constexpr std::size_t bytes = workspace_bytes;
    const std::uint32_t alignment = aligned ? 16 : alignof(T);
    check_cublas(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes),
                 "cublasLtMatmulPreferenceSetAttribute");
    for (const auto what : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      check_cublas(cublasLtMatmulPreferenceSetAttribute(preference, what, &alignment, sizeof alignment),
                   "cublasLtMatmulPreferenceSetAttribute");
    }
    cublasLtMatmulHeuristicResult_t candidates[8];
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_.get(), plan.product.get(), plan.b.get(), plan.a.get(), plan.c.get(), plan.c.get(),
                                       preference, tunes_products() && sizeof(T) < 8 ? 8 : 1, candidates, &found);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_INVALID_VALUE && p.has_gelu())) return;
    check_cublas(status, "cublasLtMatmulAlgoGetHeuristic");
    plan.found = found > 0;
    if (plan.found) plan.algorithm = candidates[found > 1 ? fastest(plan, p, x, candidates, found) : 0].algo;
  }
  /// The index of the candidate with the least time, the best of five runs each. The runs write to memory of their own.
  int fastest(const Plan& plan, const Product& p, ProductOf<T> x, const cublasLtMatmulHeuristicResult_t* candidates, int count) {
    const DeviceMemory c = allocate_device(p.m * p.n * sizeof(T)), before = allocate_device(p.gelu ? p.m * p.n * sizeof(T) : 0);
    x.c = static_cast<T*>(c.get()), x.before = static_cast<T*>(before.get());
    cudaEvent_t begin, end;
    check_cuda(cudaEventCreate(&begin), "cudaEventCreate");
    check_cuda(cudaEventCreate(&end), "cudaEventCreate");
    int best = 0;
    float shortest = std::numeric_limits<float>::infinity();
    for (int i = 0; i < count; ++i) {
      for (int repeat = 0; repeat < 6; ++repeat) {
        check_cuda(cudaEventRecord(begin, current_stream()), "cudaEventRecord");
        multiply(plan, p, x, candidates[i].algo);
        check_cuda(cudaEventRecord(end, current_stream()), "cudaEventRecord");
        check_cuda(cudaEventSynchronize(end), "waiting for a product");
        float ms = 0;
        check_cuda(cudaEventElapsedTime(&ms, begin, end), "cudaEventElapsedTime");
        if (repeat > 0 && ms < shortest) shortest = ms, best = i;
      }
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return best;
  }

  Owned<cublasLtHandle_t, cublasLtDestroy> handle_;
  DeviceMemory workspace_;
  std::map<std::pair<Product, bool>, Plan> plans_;  ///< by product, and whether all addresses are multiples of 16
};
#endif

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// The product `p` in device memory: by cuBLASLt where it can, by the plain kernel elsewhere and in the emulator. cuBLASLt adds
/// no bias in double. Returns false, with nothing done, where `p` has a GELU that cuBLASLt cannot make.
template <class T>
bool matrix_product(const Product& p, ProductOf<T> x) {
  if (!x.from) x.from = x.c;
#if defined(__CUDACC__)
  const bool library = p.m * p.n * p.k > 0 && !detail::plain_products();
  if (library && detail::CublasLt<T>::here().run(p, x)) return true;
  if (library && p.has_gelu()) return false;
#endif
  launch(one_thread_each("matrix_product", p.m * p.n), detail::product_kernel<T>, x, p);
  return true;
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
