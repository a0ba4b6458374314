#!/bin/sh
# Installs the Debian packages that are missing: what the programs need, and with --tests what the tests need too.
set -eu
packages="g++ cmake ninja-build libxsimd-dev libopenblas-dev libstb-dev fonts-dejavu-core
  nlohmann-json3-dev libcli11-dev libsentencepiece-dev bible-kjv"
if [ "${1:-}" = --tests ]; then
  packages="$packages catch2 libxtensor-dev libopenmpi-dev openmpi-bin clang libomp-dev libclang-rt-dev python3-torch"
fi

if ! command -v dpkg-query > /dev/null; then
  command -v c++ > /dev/null && command -v cmake > /dev/null && command -v ninja > /dev/null && exit 0
  echo "setup: not Debian: first install a C++20 compiler, CMake 3.25, Ninja and OpenBLAS" >&2
  exit 2
fi
missing=
for package in $packages; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "setup: first type: sudo apt-get install --no-install-recommends$missing" >&2
  exit 2
fi
echo "setup: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086  # one word a package
apt-get -qq install --no-install-recommends $missing > /dev/null
