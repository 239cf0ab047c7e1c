"""vLLM's processes wait for each other asleep: what yield_fix.py is for."""

import subprocess

import pytest

from gateway.sandbox.vllm.prepare import Prepared

pytestmark = pytest.mark.vllm

# Runs inside the vLLM environment. A reader that was busy a moment ago waits for the next message.
READER_WAITS = """
import os, resource
import zmq
import vllm.distributed.utils as utils
from vllm.distributed.device_communicators import shm_broadcast
import crossover_vllm_yield_fix

reader = shm_broadcast.SpinCondition(True, zmq.Context(), "inproc://nobody-writes")
yields = []
os.sched_yield = lambda: yields.append(1)

def slept(turns):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    for _ in range(turns):
        reader.record_read()
        reader.wait()
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before

shipped = slept(50)
assert len(yields) == 50, f"vLLM itself yielded {len(yields)} times in 50 turns: it waits in another way now"
crossover_vllm_yield_fix.register()
crossover_vllm_yield_fix.register()
mended = slept(50)
assert len(yields) == 50, f"{len(yields) - 50} more yields with the plugin"
assert mended >= 50 > shipped, (shipped, mended)
"""


def test_a_reader_that_was_busy_a_moment_ago_sleeps_in_every_turn(vllm_prepared: Prepared) -> None:
    """When the first assertion fails, vLLM has changed and the plugin can go."""
    finished = subprocess.run(
        [str(vllm_prepared.python), "-c", READER_WAITS], capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.returncode == 0, finished.stderr
