#!/bin/sh
# Builds the exercises of the tutorials and checks one, or all of them: sh tutorials/exercises.sh 02-1
# They stand in tutorials/NAME/exercises.hpp, their solutions beside them in solutions.hpp.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/tests/setup.sh"
(cd "$root" && cmake --preset tutorials > /dev/null && cmake --build --preset tutorials --target skipv1-exercises >&2)
exec "$root/build/tutorials/tutorials/skipv1-exercises" "$@"
