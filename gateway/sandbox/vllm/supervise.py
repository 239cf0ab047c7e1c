"""Run one command in a process group of its own that cannot outlive the process that asked for it.

vLLM is three processes, and killing the first leaves 2 GB of others behind. So it runs under this small supervisor,
whose standard input is a pipe from the parent. The kernel closes that pipe however the parent ends, SIGKILL included,
and then the whole group is ended: SIGTERM, and after the grace SIGKILL.

    python -I supervise.py --grace-seconds 8 --log FILE -- COMMAND ARG...

Prints the command's process id on the first line of its standard output; its exit status is the command's (128 + n
when signal n ended it). It stands alone and imports only the standard library, so that it is up in milliseconds.
"""

import argparse
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from types import FrameType

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL_SECONDS = 0.05


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="run a command that ends when standard input closes")
    parser.add_argument("--grace-seconds", type=float, required=True, help="from SIGTERM to SIGKILL, in seconds")
    parser.add_argument("--log", required=True, help="file that takes the command's output; it is emptied first")
    parser.add_argument("command", nargs="+", help="the command and its arguments, after --")
    arguments = parser.parse_args(argv)

    asked_to_stop = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def end_with_supervisor() -> None:  # in case it is this process that gets killed
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    with open(arguments.log, "wb") as log:
        command = subprocess.Popen(  # noqa: S603
            arguments.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_supervisor,
        )
    print(command.pid, flush=True)  # noqa: T201

    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        while command.poll() is None and not asked_to_stop:
            if selector.select(_POLL_SECONDS) and not os.read(sys.stdin.fileno(), 4096):
                break
    _end_group(command, arguments.grace_seconds)
    status = command.wait()
    return status if status >= 0 else 128 - status


def _end_group(command: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    """End every process of the command's group, also those that it left behind when it died by itself."""
    deadline = time.monotonic() + grace_seconds
    _signal_group(command.pid, signal.SIGTERM)
    while time.monotonic() < deadline:
        command.poll()  # reap it, else its group seems to live on
        if not _signal_group(command.pid, 0):
            return
        time.sleep(_POLL_SECONDS)
    _signal_group(command.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """False when the group has no process any more."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
