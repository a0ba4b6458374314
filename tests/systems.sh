#!/bin/sh
# Compiles every header of the CPU half, trains and decodes (tests/install/consumer) with each compiler and system that is here;
# what is not is skipped with a word. sh tests/systems.sh [PART ...]; --full: in the Debians all of tests/run.sh. Root for these.
set -u
cd "$(dirname "$0")/.."
root=$PWD
work=${TMPDIR:-/tmp}/skipv1-systems
full=
[ "${1:-}" = --full ] && full=1 && shift
parts=${*:-oldest-g++ newest-g++ oldest-clang newest-clang libc++ assertions plain-loops clang-tidy microsoft mingw aarch64 armhf i386 debian-12 debian-13}
mkdir -p "$work/include"
: > "$work/summary.txt"

# say PART RESULT: a line of the summary
say() { printf '%-14s %s\n' "$1" "$2" | tee -a "$work/summary.txt"; }
# first COMMAND...: the first that is here
first() { for command; do command -v "$command" > /dev/null && echo "$command" && return; done; }
# The dependencies' headers alone, for compilers of other systems, which must not see this one's.
for folder in xsimd nlohmann stb; do
  for place in /usr/include /usr/local/include; do
    [ -d "$place/$folder" ] && ln -sfn "$place/$folder" "$work/include/$folder"
  done
done

# whole PART RUNNER COMPILER FLAGS...: compiles the consumer and runs it
whole() {
  part=$1 runner=$2 compiler=$3
  shift 3
  begin=$(date +%s)
  if ! "$compiler" -std=c++20 -O1 -Wall -Wextra -Wshadow -Werror -DWHOLE -DSKIPV1_NO_SENTENCEPIECE -I"$root" \
    -isystem "$work/include" tests/install/consumer/main.cpp -o "$work/$part.exe" "$@" > "$work/$part.log" 2>&1; then
    say "$part" "FAILED: $compiler $*, $work/$part.log"
  elif ! $runner "$work/$part.exe" >> "$work/$part.log" 2>&1; then
    say "$part" "FAILED at running: $compiler $*, $work/$part.log"
  else
    say "$part" "passed: $("$compiler" --version | head -1), $(($(date +%s) - begin)) s"
  fi
}
# What a system in a folder has besides files, as in a container: MPI's processes find each other, and a terminal, by these. They go
# at every exit.
system=
enter() {
  without=
  mount -t proc proc "$system/proc" 2> /dev/null || without="$without /proc"
  mount -t sysfs -o ro sysfs "$system/sys" 2> /dev/null || without="$without /sys"
  mount -t tmpfs -o mode=1777 tmpfs "$system/dev/shm" 2> /dev/null || without="$without /dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$system/dev/pts" 2> /dev/null || without="$without /dev/pts"
}
leave() {
  [ -n "$system" ] || return 0
  for place in dev/pts dev/shm sys proc; do
    ! mountpoint -q "$system/$place" || umount "$system/$place" 2> /dev/null || umount -l "$system/$place"
  done
}
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# debian PART SUITE: a system from nothing in a folder
debian() {
  if ! command -v debootstrap > /dev/null || [ "$(id -u)" != 0 ]; then
    say "$1" "skipped: needs debootstrap and root"
    return
  fi
  system=$work/$2 begin=$(date +%s)
  leave  # what a killed run has left
  if [ ! -f "$system/root/ready" ]; then
    rm -rf --one-file-system "$system"
    debootstrap --variant=minbase "$2" "$system" > "$work/$1.log" 2>&1 || { say "$1" "skipped: no bootstrap, $work/$1.log"; return; }
    touch "$system/root/ready"
  fi
  cp /etc/resolv.conf "$system/etc/resolv.conf"
  rm -rf "$system/root/skipv1" && mkdir "$system/root/skipv1"
  git archive HEAD | tar -x -C "$system/root/skipv1"
  enter
  command="sh tests/setup.sh && cmake -S tests/install/consumer -B build/consumer -G Ninja -DWAY=add_subdirectory \
    -DCMAKE_BUILD_TYPE=Release -DSKIPV1_FETCH=OFF && cmake --build build/consumer && build/consumer/consumer"
  [ -z "$full" ] || command="sh tests/run.sh"
  chroot "$system" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -c "cd /root/skipv1 && $command" \
    >> "$work/$1.log" 2>&1 && result=passed || result="FAILED: $work/$1.log"
  leave
  say "$1" "$result: ${full:+tests/run.sh, }$2, $(chroot "$system" g++ --version | head -1), $(($(date +%s) - begin)) s${without:+, without$without}"
}

# with PART COMPILER FLAGS...: natively, or skipped without that compiler
with() {
  part=$1 compiler=$2
  shift 2
  if [ -n "$compiler" ]; then whole "$part" "" "$compiler" "$@"; else say "$part" "skipped: no such compiler"; fi
}
blas=-DSKIPV1_PLAIN_BLAS
echo 'extern "C" void cblas_sgemm(); int main() { cblas_sgemm(); }' > "$work/blas.cpp"
c++ "$work/blas.cpp" -o "$work/blas.exe" -lopenblas 2> /dev/null && blas=-lopenblas

for part in $parts; do
  case $part in
    oldest-g++) with "$part" "$(first g++-11 g++-12 g++-13 g++)" -fopenmp $blas ;;
    newest-g++) with "$part" "$(first g++-16 g++-15 g++-14 g++-13 g++-12 g++)" -fopenmp $blas ;;
    oldest-clang | newest-clang)
      compiler=$(first clang++-14 clang++-15 clang++-16 clang++-17 clang++)
      [ $part = oldest-clang ] || compiler=$(first clang++-21 clang++-20 clang++-19 clang++-18 clang++)
      with "$part" "$compiler" -Wno-deprecated-declarations $blas ;;
    libc++)
      compiler=$(first clang++-21 clang++-20 clang++-19 clang++-18 clang++)
      printf '#include <cerrno>\n#include <vector>\n' > "$work/vector.cpp"
      if "${compiler:-false}" -stdlib=libc++ -fsyntax-only "$work/vector.cpp" 2> /dev/null; then
        with "$part" "$compiler" -stdlib=libc++ $blas
      else
        say "$part" "skipped: no libc++"
      fi ;;
    assertions) with "$part" "$(first g++ c++)" -fopenmp -D_GLIBCXX_ASSERTIONS -DSKIPV1_CHECK_INDICES $blas ;;
    plain-loops) with "$part" "$(first g++ c++)" -DSKIPV1_PLAIN_BLAS -DSKIPV1_NO_XSIMD ;;
    clang-tidy)
      if [ -n "$(first clang-tidy)" ]; then
        if clang-tidy --quiet tests/install/consumer/main.cpp skipv1/instances/decoder_float.cpp -- -std=c++20 -DWHOLE \
          -DSKIPV1_NO_SENTENCEPIECE -I"$root" -isystem "$work/include" > "$work/$part.log" 2>&1; then
          say "$part" "passed: all.hpp and the decoder"
        else
          say "$part" "FAILED: $work/$part.log"
        fi
      else
        say "$part" "skipped: no clang-tidy"
      fi ;;
    microsoft)  # reads the headers as far as clang knows MSVC's rules: templates parsed when they are used, for Windows' target
      compiler=$(first clang++-21 clang++-20 clang++-19 clang++-18 clang++)
      printf '#include <cerrno>\n#include <vector>\n' > "$work/vector.cpp"
      if "${compiler:-false}" --target=x86_64-w64-windows-gnu -fsyntax-only "$work/vector.cpp" 2> /dev/null; then
        if "$compiler" --target=x86_64-w64-windows-gnu -std=c++20 -fsyntax-only -fms-extensions -fdelayed-template-parsing -Wmicrosoft \
          -Wall -Wextra -Wshadow -Werror -Wno-deprecated-declarations -Wno-delayed-template-parsing-in-cxx20 -DWHOLE -DSKIPV1_PLAIN_BLAS -DSKIPV1_NO_XSIMD \
          -DSKIPV1_NO_SENTENCEPIECE -I"$root" -isystem "$work/include" tests/install/consumer/main.cpp > "$work/$part.log" 2>&1; then
          say "$part" "passed: $("$compiler" --version | head -1)"
        else
          say "$part" "FAILED: $work/$part.log"
        fi
      else
        say "$part" "skipped: needs mingw-w64's headers, and a clang that finds them: 19 does, Debian's 14 does not"
      fi ;;
    mingw)
      compiler=$(first x86_64-w64-mingw32-g++-posix x86_64-w64-mingw32-g++)
      if [ -n "$compiler" ] && [ -n "$(first wine wine64)" ]; then
        WINEDEBUG=-all whole "$part" "$(first wine wine64)" "$compiler" -static -DSKIPV1_PLAIN_BLAS
      else
        say "$part" "skipped: needs mingw-w64 and wine"
      fi ;;
    aarch64)
      if [ -n "$(first aarch64-linux-gnu-g++)" ] && [ -n "$(first qemu-aarch64 qemu-aarch64-static)" ]; then
        whole "$part" "$(first qemu-aarch64 qemu-aarch64-static) -L /usr/aarch64-linux-gnu" aarch64-linux-gnu-g++ -DSKIPV1_PLAIN_BLAS
      else
        say "$part" "skipped: needs g++-aarch64-linux-gnu and qemu-user"
      fi ;;
    armhf)
      if [ -n "$(first arm-linux-gnueabihf-g++)" ] && [ -n "$(first qemu-arm qemu-arm-static)" ]; then
        whole "$part" "$(first qemu-arm qemu-arm-static) -L /usr/arm-linux-gnueabihf" arm-linux-gnueabihf-g++ -DSKIPV1_PLAIN_BLAS -Wno-psabi
      else
        say "$part" "skipped: needs g++-arm-linux-gnueabihf and qemu-user"
      fi ;;
    i386)
      printf '#include <cerrno>\n#include <vector>\n' > "$work/vector.cpp"
      compiler=$(first g++ c++)
      if "${compiler:-false}" -m32 -fsyntax-only "$work/vector.cpp" 2> /dev/null; then
        whole "$part" "" "$compiler" -m32 -DSKIPV1_PLAIN_BLAS
      else
        say "$part" "skipped: needs g++-multilib"
      fi ;;
    debian-12) debian "$part" bookworm ;;
    debian-13) debian "$part" trixie ;;
    *) say "$part" "FAILED: no such part; they are named in this script" ;;
  esac
done
echo "--" && cat "$work/summary.txt"
! grep -q FAILED "$work/summary.txt"
