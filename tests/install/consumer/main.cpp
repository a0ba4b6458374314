// Uses the library as a stranger would: a header or all of them included, a matrix product asked of it.
#include <iostream>
#ifdef WHOLE
// What windows.h defines, among much else.
#define far
#define near
#define small char
#define hyper long
#define interface struct
#define CONST const
#define VOID void
#define IN
#define OUT
#define OPTIONAL
#define TRUE 1
#define FALSE 0
#define ERROR 0
#define DELETE 1
#define STRICT 1
#define ABSOLUTE 1
#define RELATIVE 2
#define OPAQUE 2
#define IGNORE 0
#define INFINITE 0xffffffff
#define DrawText DrawTextA
#include <skipv1/skipv1.hpp>
#else
#include <skipv1/ops/linear.hpp>
#ifdef HAVE_CBLAS
#error "a macro without our prefix"
#endif
#endif

int main() {
  const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, expected[] = {19, 22, 43, 50};
  float c[4];
  skipv1::gemm<float>(skipv1::Transpose::no, skipv1::Transpose::no, 2, 2, 2, 1, a, 2, b, 2, 0, c, 2);
  for (std::size_t i = 0; i < 4; ++i) {
    if (c[i] != expected[i]) {
      std::cerr << "element " << i << " of the product is " << c[i] << ", not " << expected[i] << '\n';
      return 1;
    }
  }
}
