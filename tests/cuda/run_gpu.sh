#!/bin/sh
# Builds and runs the device tests on a machine with a GPU and nvcc, which needs nothing else: `run_gpu.sh pack`, on a machine that has
# the dependencies (Debian 12), puts them into .carry/packages.tgz, which then travels with the working tree.
#   tests/cuda/run_gpu.sh                the tests
#   tests/cuda/run_gpu.sh rates          the tests, then what the kernels reach (rates.cpp)
#   tests/cuda/run_gpu.sh sanitize       the tests, then again under compute-sanitizer's four tools
# ARCH picks the compute capability (default: that of the card), OUT where the logs go.
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
  cp -rL /usr/include/xflens/cxxblas "$stage/include/xflens"
  cp -L /usr/include/stb/stb_image_write.h /usr/include/stb/stb_easy_font.h "$stage/include/stb"
  lib=/usr/lib/$(uname -m)-linux-gnu
  cp -L "$lib/openblas-pthread/libopenblas.so.0" "$lib/libgfortran.so.5" "$lib/libquadmath.so.0" "$stage/lib"
  ln -s libopenblas.so.0 "$stage/lib/libopenblas.so"
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
flags="-std=c++20 -O2 -arch=${ARCH:-native} --expt-relaxed-constexpr -diag-suppress 554 -Xcompiler -fopenmp -I. -isystem $packages/include"
nvcc -std=c++20 -O1 -I. -isystem "$packages/include" -x c++ -c tests/main.cpp -o "$build/main.o" &
ls tests/cuda/*.cpp | sed 's|.*/||; s|\.cpp$||' |
  xargs -P "$(nproc)" -I{} sh -c "nvcc $flags -x cu -c tests/cuda/{}.cpp -o $build/{}.o || echo {} >> $build/failed"
wait
[ ! -e "$build/failed" ] || { echo "not compiled: $(tr "\n" " " < "$build/failed")"; exit 1; }
objects=$(ls tests/cuda/*.cpp | sed "s|.*/|$build/|; s|\.cpp$|.o|")
nvcc -arch="${ARCH:-native}" -o "$build/tests" "$build/main.o" $objects -L"$packages/lib" -lopenblas -lcublasLt -lgomp \
  -Xlinker -rpath="$packages/lib" -Xlinker --allow-shlib-undefined
export OMP_WAIT_POLICY=passive
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/gpu.txt"
"$build/tests" --durations yes | tee "$out/tests.txt"
if [ "${1:-}" = rates ]; then "$build/tests" "[rates]" | tee "$out/rates.txt"; fi
[ "${1:-}" = sanitize ] || exit 0
for tool in memcheck racecheck initcheck synccheck; do
  echo "== $tool"
  # Memory running out and a refused launch are meant; racecheck takes minutes for whole decoders, whose kernels the others have.
  compute-sanitizer --tool $tool $([ $tool != memcheck ] || echo --report-api-errors no) --error-exitcode 3 \
    "$build/tests" $([ $tool != racecheck ] || echo '~*decoder*') > "$out/$tool.txt" 2>&1 || failed="${failed:-} $tool"
  tail -5 "$out/$tool.txt"
done
[ -z "${failed:-}" ] || { echo "failed:$failed"; exit 1; }
