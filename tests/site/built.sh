#!/bin/sh
# Builds the site into a folder and checks it: sh built.sh TREE FOLDER. With 77, for CTest a skipped test, where the site's tools
# are missing: nothing is installed here.
set -eu
tree=$1 work=$2
for python in "${SKIPV1_PYTHON:-python3}" "$tree/build/site-tools/bin/python" none; do
  if [ "$python" = none ]; then
    echo "skipped: no Python with latex2mathml, markdown-it-py, mdit-py-plugins and Pygments (docs/site/build.sh installs them)"
    exit 77
  fi
  if "$python" -c "import latex2mathml, markdown_it, mdit_py_plugins, pygments" 2> /dev/null; then
    break
  fi
done
rm -rf "$work"
mkdir -p "$work"
"$python" "$tree/docs/site/build.py" "$work/site"
"$python" "$tree/tests/site/built.py" "$work/site"
"$python" "$tree/tests/site/reference.py" "$tree"
"$python" "$tree/tests/site/browser.py" "$work/site"
