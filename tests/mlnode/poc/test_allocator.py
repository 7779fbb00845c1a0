from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from pivot.mlnode.poc.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(2**20, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

by_default = faults()
assert keep_freed_memory()
faults()
sys.exit(not faults() < by_default / 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_arrays_of_a_batch_need_no_new_pages() -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0
