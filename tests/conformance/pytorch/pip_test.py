"""docs/pytorch installs with pip, and what is installed checks a case by itself.

    python tests/conformance/pytorch/pip_test.py [--whole]     # exit status 77 where pip or scikit-build-core is missing

It compiles for a minute without optimisation, as the default build has these sources with it; with --whole for two, as a user's
pip does.
"""
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

missing = [name for name in ("pip", "scikit_build_core", "numpy") if not importlib.util.find_spec(name)]
if missing:
    print("skipped: missing: " + ", ".join(missing))
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROBE = """
import skipv1_conformance as package
case = package.cases("llama_skipv1_half")[0]
assert package.program().startswith(package.__path__[0]) and str(case.folder).startswith(package.__path__[0])
assert package.check(case, logits=case.logits).holds
assert not package.check(case, logits=case.logits + 1e-3, raises=False).holds
"""
with tempfile.TemporaryDirectory() as work:
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--target", work, ROOT / "docs/pytorch"]
    if "--whole" not in sys.argv:
        command += ["-C", "cmake.build-type=Debug", "-C", "cmake.define.CMAKE_CXX_FLAGS_DEBUG=-O0"]
    subprocess.run(command, check=True)
    environment = {name: x for name, x in os.environ.items() if name != "SKIPV1_CHECK"} | {"PYTHONPATH": work}
    subprocess.run([sys.executable, "-c", PROBE], check=True, cwd=work, env=environment)
print("installed and holds")
