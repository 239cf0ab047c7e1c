"""A vLLM plugin: its processes wait for each other asleep.

While requests are under way vLLM's engine and its worker watch the memory they share in a loop around `sched_yield`,
which keeps two cores at 100 %. On a machine of few cores that is everybody's loss, and on Linux 6.18 a process started
beside such a loop was seen to get half a second of a core in two and a half minutes, ready to run all the while.
A sleep of a tenth of a millisecond in each turn of the loop leaves the cores free.

Copied beside vLLM and announced like `lora_fix.py`: it runs there, so it imports nothing of this project.
"""

import time

TURN_SECONDS = 1e-4


def register() -> None:
    """Put a short sleep where shared memory is waited for. Calling it again changes nothing."""
    from vllm.distributed.device_communicators import shm_broadcast

    shm_broadcast.sched_yield = rest


def rest() -> None:
    """One turn of the loop."""
    time.sleep(TURN_SECONDS)
