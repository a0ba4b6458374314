#!/bin/sh
# sh docs/site/build.sh [FOLDER]: builds the site into build/site, or FOLDER; open its index.html. The tools come from PyPI into
# build/site-tools, once, unless python3 has them. A playground in build/playground becomes a page of the site.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$here/../../build/site-tools
for python in "${SKIPV1_PYTHON:-python3}" "$tools/bin/python"; do
  if "$python" -c "import latex2mathml, markdown_it, mdit_py_plugins, pygments" 2> /dev/null; then
    exec "$python" "$here/build.py" "$@"
  fi
done
python3 -m venv "$tools"
"$tools/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
exec "$tools/bin/python" "$here/build.py" "$@"
