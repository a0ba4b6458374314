#!/bin/sh
# Builds by CMake and runs the device tests, on a machine with a GPU, nvcc, CMake and Ninja, which needs nothing else: `run_gpu.sh
# pack`, on a machine that has the dependencies (Debian 12), puts them into .carry/packages.tgz, which then travels with the working
# tree.
#   tests/cuda/run_gpu.sh                  the tests
#   tests/cuda/run_gpu.sh rates            the tests, then what the kernels reach (rates.cpp, tutorials 06 and 10, tests/benchmark/gpu.cpp)
#   tests/cuda/run_gpu.sh several          the tests, then training by all GPUs of the machine (tests/distributed/gpus.sh), on TEXT or the
#                                          pages here; by mpirun where MPI is installed, else by torchrun
#   tests/cuda/run_gpu.sh sanitize         the tests, then again under compute-sanitizer's four tools
#   tests/cuda/run_gpu.sh rates several sanitize   all of it, in this order
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
  mkdir -p "$stage/include/stb" "$stage/lib"
  cp -rL /usr/include/xtensor /usr/include/xtl /usr/include/xsimd /usr/include/catch2 /usr/include/nlohmann \
    /usr/include/CLI "$stage/include"
  cp -L /usr/include/stb/stb_image_write.h /usr/include/stb/stb_truetype.h /usr/include/stb/stb_easy_font.h "$stage/include/stb"
  lib=/usr/lib/$(uname -m)-linux-gnu
  cp -L "$lib/openblas-pthread/libopenblas.so.0" "$lib/libgfortran.so.5" "$lib/libquadmath.so.0" "$stage/lib"
  ln -s libopenblas.so.0 "$stage/lib/libopenblas.so"
  # What trains on a text needs SentencePiece.
  [ ! -f /usr/include/sentencepiece_trainer.h ] || cp -L /usr/include/sentencepiece_*.h "$stage/include"
  [ ! -f /usr/include/sentencepiece_trainer.h ] || cp -P "$lib"/libsentencepiece*.so* "$stage/lib"
  # What the library still reads from this machine's packages, the other one would lack.
  missing=$(printf '#include "%s"\n' skipv1/all.hpp skipv1/skipv1.cuh skipv1/instances/cli.cpp tests/catch.hpp |
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
# NCCL: the system's, or the one that PyTorch has brought along.
nccl=$(python3 -c 'import nvidia.nccl as n; print(list(n.__path__)[0])' 2> /dev/null || true)
options=
[ -z "$nccl" ] || options="-DNCCL_INCLUDE_DIR=$nccl/include -DNCCL_LIBRARY=$nccl/lib/libnccl.so.2"
# shellcheck disable=SC2086  # one word an option
cmake -S . -B "$build" -G Ninja $options -DCMAKE_BUILD_TYPE=Release -DSKIPV1_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="$arch" -DSKIPV1_FETCH=OFF \
  -DCMAKE_PREFIX_PATH="$packages" -DCMAKE_EXE_LINKER_FLAGS="-Wl,-rpath,$packages/lib -Wl,--allow-shlib-undefined" > "$out/configure.txt" ||
  { cat "$out/configure.txt"; exit 1; }
cmake --build "$build" --target skipv1_on_device > "$out/build.txt" || { tail -n 50 "$out/build.txt"; exit 1; }
export OMP_WAIT_POLICY=passive
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/gpu.txt"
SKIPV1_ERRORS=$out/errors.txt "$build/tests/skipv1-cuda-tests" --durations yes | tee "$out/tests.txt"
for dtype in f64 f32 bf16; do
  for cases in data/conformance .carry/conformance; do
    [ ! -d $cases ] || "$build/bin/skipv1-check" $cases/*/ --device cuda --dtype $dtype > "$out/check.txt" || { cat "$out/check.txt"; exit 1; }
    [ ! -d $cases ] || echo "$cases, $dtype: $(tail -n 1 "$out/check.txt")"
  done
done
phases=" $* "
if [ "${phases#* rates }" != "$phases" ]; then
  "$build/tests/skipv1-cuda-tests" "[rates]" | tee "$out/rates.txt"
  "$build/tutorials/06-a-pair-of-functions-cuda" | tee "$out/pair.txt"
  "$build/tutorials/10-decoding-at-bandwidth-cuda" | tee "$out/decoding.txt"
  "$build/tutorials/11-attention-step-by-step-cuda" --json "$out/ladder.json" | tee "$out/ladder.txt"
  "$build/tests/skipv1-benchmark-gpu" --json "$out/benchmark.json" | tee "$out/benchmark.txt"
  # What a world of one over NCCL costs; two processes on one GPU are refused.
  gpus=$(nvidia-smi -L | wc -l)
  "$build/tests/skipv1-benchmark-gpu-scaling" --only gpt2-16 | tee "$out/scaling.txt" || echo "no NCCL: no scaling" | tee "$out/scaling.txt"
  if command -v torchrun > /dev/null; then
    timeout 60 torchrun --no-python --nproc-per-node $((gpus + 1)) "$build/tests/skipv1-benchmark-gpu-scaling" 2>&1 |
      grep "one process per GPU" | tee -a "$out/scaling.txt" || echo "two processes on one GPU were not refused" | tee -a "$out/scaling.txt"
  fi
fi
if [ "${phases#* several }" != "$phases" ]; then
  cmake --build "$build" --target skipv1-benchmark-gpu-scaling skipv1-train skipv1-experiment >> "$out/build.txt" || { tail -n 50 "$out/build.txt"; exit 1; }
  cat docs/*.md docs/*/*.md tutorials/*/README.md > "$build/pages.txt"
  sh tests/distributed/gpus.sh "$PWD/$build" "$PWD/$build/several" "${TEXT:-$PWD/$build/pages.txt}" scaling curve kill shard 2>&1 | tee "$out/several.txt"
fi
[ "${phases#* sanitize }" != "$phases" ] || exit 0

# Each source's tests are a process of their own, eight at a time. Memory running out and a refused launch are meant.
# initcheck does not see all that cuBLASLt and TMA store (docs/performance/pairs.md): plain products and portable kernels there; synccheck does not
# know named barriers that warpgroups reach at different places: portable kernels there, too, and so no kernel of a whole token. racecheck takes minutes for whole decoders, whose kernels
# the other tests have.
sanitize() {
  tool=$1 options=$2 sources=$3
  echo "== $tool"
  for source in $sources; do basename "$source" .cpp; done | xargs -P 8 -I{} sh -c "begin=\$(date +%s)
    compute-sanitizer --tool $tool $options --error-exitcode 3 $build/tests/skipv1-cuda-tests --filenames-as-tags '[#{}]' > $build/{}.$tool 2>&1 ||
      echo '$tool {}' >> $build/failed
    echo {}: \$((\$(date +%s) - begin)) s, \$(tail -n 1 $build/{}.$tool)"
  cat "$build"/*."$tool" > "$out/$tool.txt"
}
sources=$(ls tests/cuda/*.cpp | grep -v -e nccl -e rates -e pairs)
sanitize memcheck "--report-api-errors no" "$sources"
sanitize racecheck "" "$(echo "$sources" | grep -v -e decoder -e learner -e repeated_steps)"
portable=$(echo "$sources" | grep -v -e one_kernel -e generate)
SKIPV1_PLAIN_PRODUCTS=1 SKIPV1_PORTABLE=1 sanitize initcheck "" "$portable"
SKIPV1_PORTABLE=1 sanitize synccheck "" "$portable"
[ ! -e "$build/failed" ] || { echo "failed:"; cat "$build/failed"; exit 1; }
