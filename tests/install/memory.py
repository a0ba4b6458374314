"""Runs a compiler and fails if it took more memory than it may, which does not depend on what else the machine does.

python3 memory.py MIB COMPILER ARGUMENT ..."""
import resource
import subprocess
import sys

limit, command = int(sys.argv[1]), sys.argv[2:]
subprocess.run(command, check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
print(f"{peak:.0f} MiB of {limit}")
sys.exit(peak > limit)
