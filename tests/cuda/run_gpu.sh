#!/bin/sh
# Builds and runs the device tests on a machine with a GPU and nvcc, which needs nothing else: `run_gpu.sh pack`, on a machine that has
# the dependencies (Debian 12), puts them into .carry/packages.tgz, which then travels with the working tree.
#   tests/cuda/run_gpu.sh                the tests
#   tests/cuda/run_gpu.sh rates          the tests, then what the kernels reach (rates.cpp, tutorials 06 and 10, tests/benchmark/gpu.cpp)
#   tests/cuda/run_gpu.sh sanitize       the tests, then again under compute-sanitizer's four tools
# The tests write the largest error of each function to errors.txt, for docs/performance/pairs.md.
# ARCH picks the compute capability, as 80 or 90a (default: that of the card), OUT where the logs go.
set -eu
cd "$(dirname "$0")/../.."
build=build/gpu
mkdir -p "$build" .carry
rm -f "$build/failed"

if [ "${1:-}" = pack ]; then
  stage=$build/pack
  rm -rf "$stage"
  mkdir -p "$stage/include/xflens" "$stage/include/stb" "$stage/lib"
  cp -rL /usr/include/xtensor /usr/include/xtl /usr/include/xsimd /usr/include/xtensor-blas /usr/include/catch2 /usr/include/nlohmann \
    /usr/include/CLI "$stage/include"
  cp -rL /usr/include/xflens/cxxblas /usr/include/xflens/cxxlapack "$stage/include/xflens"
  cp -L /usr/include/stb/stb_image_write.h /usr/include/stb/stb_easy_font.h "$stage/include/stb"
  lib=/usr/lib/$(uname -m)-linux-gnu
  cp -L "$lib/openblas-pthread/libopenblas.so.0" "$lib/libgfortran.so.5" "$lib/libquadmath.so.0" "$stage/lib"
  ln -s libopenblas.so.0 "$stage/lib/libopenblas.so"
  # What the library still reads from this machine's packages, the other one would lack.
  missing=$(printf '#include "%s"\n' skipv1/skipv1.hpp skipv1/skipv1.cuh skipv1/io/cli.hpp tests/catch.hpp |
    c++ -std=c++20 -fopenmp -DSKIPV1_NO_SENTENCEPIECE -I. -isystem "$stage/include" -M -x c++ - | tr ' ' '\n' |
    grep '^/usr/include/[^/]*/' | grep -v -E '^/usr/include/(c\+\+|[a-z0-9_]*-linux-gnu|linux|asm-generic)/' || true)
  [ -z "$missing" ] || { echo "run_gpu.sh pack leaves out:"; echo "$missing"; exit 1; }
  tar -C "$stage" -czf .carry/packages.tgz include lib
  ls -l .carry/packages.tgz
  exit
fi

packages=$PWD/$build/packages
if [ -f .carry/packages.tgz ]; then
  mkdir -p "$packages"
  tar -C "$packages" -xzf .carry/packages.tgz
fi
out=${OUT:-$build}
arch=${ARCH:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)}
[ "$arch" != 90 ] || arch=90a
flags="-std=c++20 -O2 -DSKIPV1_INSTANCES -gencode arch=compute_$arch,code=sm_$arch --expt-relaxed-constexpr -diag-suppress 554 -Xcompiler -fopenmp -I. -isystem $packages/include"
nvcc -std=c++20 -O1 -I. -isystem "$packages/include" -x c++ -c tests/main.cpp -o "$build/main.o" &
# Sources with kernels go through nvcc's device compiler, the checker's others through the host's alone.
host="nvcc -std=c++20 -O2 -DSKIPV1_INSTANCES -Xcompiler -fopenmp -I. -isystem $packages/include -x c++"
pair=tutorials/06-a-pair-of-functions/main.cpp
decoding=tutorials/10-decoding-at-bandwidth/main.cpp
kernels="$(ls tests/cuda/*.cpp) tests/benchmark/gpu.cpp skipv1/conformance/device.cpp $(ls skipv1/instances/decoder_device_*.cpp)"
others="skipv1/programs/check.cpp $(ls skipv1/conformance/*.cpp | grep -v device.cpp) skipv1/instances/decoder_float.cpp skipv1/instances/decoder_double.cpp"
objects() { for source in "$@"; do echo "$build/$(echo "${source%.cpp}" | tr / -).o"; done; }  # two folders have a decoder_double.cpp
{
  for source in $pair $decoding $kernels; do echo "nvcc $flags -x cu -c $source -o $(objects "$source")"; done
  for source in $others; do echo "$host -c $source -o $(objects "$source")"; done
} | xargs -P "$(nproc)" -I{} sh -c "{} || echo {} >> $build/failed"
wait
[ ! -e "$build/failed" ] || { echo "not compiled:"; cat "$build/failed"; exit 1; }
link() {
  program=$1
  shift
  nvcc -gencode "arch=compute_$arch,code=sm_$arch" -o "$build/$program" "$@" -L"$packages/lib" -lopenblas -lcublasLt -lgomp -Xlinker -rpath="$packages/lib" \
    -Xlinker --allow-shlib-undefined
}
decoders=$(objects skipv1/instances/decoder_*.cpp)
link tests "$build/main.o" $(objects tests/cuda/*.cpp) $decoders
link 06-a-pair-of-functions $(objects $pair)
link 10-decoding-at-bandwidth $(objects $decoding)
link skipv1-benchmark-gpu $(objects tests/benchmark/gpu.cpp) $decoders
link skipv1-check $(objects skipv1/programs/check.cpp skipv1/conformance/*.cpp) $decoders
export OMP_WAIT_POLICY=passive
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/gpu.txt"
SKIPV1_ERRORS=$out/errors.txt "$build/tests" --durations yes | tee "$out/tests.txt"
for dtype in f64 f32 bf16; do
  for cases in data/conformance .carry/conformance; do
    [ ! -d $cases ] || "$build/skipv1-check" $cases/*/ --device cuda --dtype $dtype > "$out/check.txt" || { cat "$out/check.txt"; exit 1; }
    [ ! -d $cases ] || echo "$cases, $dtype: $(tail -n 1 "$out/check.txt")"
  done
done
if [ "${1:-}" = rates ]; then
  "$build/tests" "[rates]" | tee "$out/rates.txt"
  "$build/06-a-pair-of-functions" | tee "$out/pair.txt"
  "$build/10-decoding-at-bandwidth" | tee "$out/decoding.txt"
  "$build/skipv1-benchmark-gpu" --json "$out/benchmark.json" | tee "$out/benchmark.txt"
fi
[ "${1:-}" = sanitize ] || exit 0

# Each source's tests are a process of their own, eight at a time. Memory running out and a refused launch are meant.
# initcheck does not see all that cuBLASLt and TMA store (docs/performance/pairs.md): plain products and portable kernels there; synccheck does not
# know named barriers that warpgroups reach at different places: portable kernels there, too. racecheck takes minutes for whole decoders, whose kernels
# the other tests have.
sanitize() {
  tool=$1 options=$2 sources=$3
  echo "== $tool"
  for source in $sources; do basename "$source" .cpp; done | xargs -P 8 -I{} sh -c "begin=\$(date +%s)
    compute-sanitizer --tool $tool $options --error-exitcode 3 $build/tests --filenames-as-tags '[#{}]' > $build/{}.$tool 2>&1 ||
      echo '$tool {}' >> $build/failed
    echo {}: \$((\$(date +%s) - begin)) s, \$(tail -n 1 $build/{}.$tool)"
  cat "$build"/*."$tool" > "$out/$tool.txt"
}
sources=$(ls tests/cuda/*.cpp | grep -v -e rates -e pairs)
sanitize memcheck "--report-api-errors no" "$sources"
sanitize racecheck "" "$(echo "$sources" | grep -v -e decoder -e learner -e repeated_steps)"
SKIPV1_PLAIN_PRODUCTS=1 SKIPV1_PORTABLE=1 sanitize initcheck "" "$sources"
SKIPV1_PORTABLE=1 sanitize synccheck "" "$sources"
[ ! -e "$build/failed" ] || { echo "failed:"; cat "$build/failed"; exit 1; }
