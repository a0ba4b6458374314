"""What this tree takes to compile: the default preset's build from nothing, and a trainer of ten lines, in seconds of the CPU, user and
system, which depend little on the number of cores; and how much longer training takes without a build type.

    python3 tests/benchmark/compile.py [build] [trainer] [type]     # some of these, or all
    python3 tests/benchmark/compile.py trainer                      # half a minute; build takes ten

docs/performance/compile.txt is what it printed for trainer and type. Other work on the same cores makes the seconds more. CXX: the
compiler.
"""
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CXX = os.environ.get("CXX", "g++")
# A cache of compiled objects would be what is measured; threads that wait for each other take time of the CPU, too.
ENVIRONMENT = {name: x for name, x in os.environ.items() if name != "CMAKE_CXX_COMPILER_LAUNCHER"} | {"OMP_NUM_THREADS": "1"}


def run(*command):
    """Seconds of the CPU that a command and its children take, and what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(x) for x in command], env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def measure_build(work):
    configure, _ = run("cmake", "-S", ROOT, "--preset", "default", "-B", work / "default")
    build, _ = run("cmake", "--build", work / "default")
    print(f"default preset: {build:.0f} s of CPU, without its configuration of {configure:.0f} s and its tests")


def measure_trainer(work):
    source = ROOT / "tests/install/consumer/trainer.cpp"
    for name, macros in (("skipv1.hpp alone", []), ("skipv1::compiled", ["-DSKIPV1_INSTANCES"])):
        command = [CXX, "-std=c++20", "-O2", "-DSKIPV1_PLAIN_BLAS", *macros, "-I", ROOT, "-c", source, "-o", work / "trainer.o"]
        seconds, mebibytes = 1e9, 0
        for _ in range(3):  # memory of one compiler alone: this process's children differ in it
            probe = [sys.executable, "-c", "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
                     "r = resource.getrusage(resource.RUSAGE_CHILDREN); print(r.ru_utime + r.ru_stime, r.ru_maxrss / 1024)"]
            took, peak = map(float, run(*probe, *command)[1].split())
            seconds, mebibytes = min(seconds, took), max(mebibytes, peak)
        print(f"trainer.cpp, {name}, -O2: {seconds:.1f} s, {mebibytes:.0f} MiB")


def measure_type(work):
    """Ten training steps with products by the library's own loops, which CMake takes where there is no BLAS."""
    took = {}
    for name, flags in (("Release", ["-O3", "-DNDEBUG"]), ("None", [])):
        program = work / f"build_type_{name}"
        run(CXX, "-std=c++20", *flags, "-fopenmp", "-DSKIPV1_PLAIN_BLAS", "-I", ROOT, ROOT / "tests/benchmark/build_type.cpp", "-o", program)
        took[name] = min(run(program)[0] for _ in range(5))
    print(f"ten training steps: {took['Release']:.2f} s with Release, {took['None']:.1f} s without a build type, "
          f"{took['None'] / took['Release']:.0f} times as long")


PARTS = {"build": measure_build, "trainer": measure_trainer, "type": measure_type}
if {"-h", "--help"} & set(sys.argv[1:]):
    sys.exit(print(__doc__, end=""))
unknown = [part for part in sys.argv[1:] if part not in PARTS]
if unknown:
    sys.exit(f"compile.py: {unknown[0]}: must be one of {', '.join(PARTS)}")
print(subprocess.run([CXX, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0], flush=True)
with tempfile.TemporaryDirectory() as folder:
    for part in sys.argv[1:] or PARTS:
        PARTS[part](pathlib.Path(folder))
        sys.stdout.flush()
