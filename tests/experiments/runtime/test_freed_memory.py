"""Large blocks leave the process when they are freed."""

import platform
import subprocess
import sys

import pytest

from tests import ROOT

CODE = """
import numpy as np
from experiments.runtime.freed_memory import return_large_blocks

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if {asked}:
    return_large_blocks()
np.ones(20 << 20, np.uint8)  # freed: by itself glibc takes blocks of this size from the heap now
before = resident()
blocks = [np.ones(10 << 20, np.uint8) for _ in range(10)]
filler = [np.ones(100_000, np.uint8)]  # on the heap, above them
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="wants glibc")
def test_large_blocks_are_returned():
    held = []
    for asked in (False, True):
        code = CODE.format(asked=asked)
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        held.append(int(run.stdout))
    assert held[0] > 90e6 and held[1] < 5e6
