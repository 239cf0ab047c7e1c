"""CloudWatch's count of an imported model's copies, once a minute and off every request's path: it corrects what is
believed of them. Only where the policy says `copies_from_cloudwatch`."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from gateway.server.core import Core

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0


class Counted(Protocol):
    @property
    def copies(self) -> int: ...

    @property
    def since(self) -> float: ...


class Counter(Protocol):
    def count(self) -> Counted | None: ...


async def correct_copies(core: Core, backend: str, counter: Counter) -> None:
    """One look. Nothing is asked, and nothing paid for the asking, while no copy is believed up."""
    window = core.meter.window_view(backend, core.clock())
    if window is None or not window.copies:
        _found(core, backend, 0)  # what was counted last is old
        return
    counted = await asyncio.to_thread(counter.count)
    if counted is None:
        return
    elsewhere = core.meter.window_copies_counted(backend, counted.copies, counted.since)
    _found(core, backend, elsewhere)


def _found(core: Core, backend: str, elsewhere: int) -> None:
    core.copies_elsewhere[backend] = elsewhere
    core.series.copies_elsewhere.labels(backend).set(elsewhere)


async def watch_copies(core: Core, backend: str, counter: Counter) -> None:
    """For ever. A failure is said once, until another comes or it works again."""
    said = ""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await correct_copies(core, backend, counter)
            said = ""
        except Exception as error:
            if str(error) != said:
                said = str(error)
                log.warning("%s", said or type(error).__name__)


def copy_observers(core: Core) -> list[asyncio.Task[None]]:
    """Starts one for each backend that asks for it, on the running loop."""
    tasks = []
    for name, settings in core.settings.items():
        if settings.copies_from_cloudwatch:
            from gateway.backends.bedrock.copies import CopyCounter  # botocore: only where a policy asks for it

            aliases = core.policy.aliases.values()
            models = sorted({target.model for alias in aliases for target in alias.served_by if target.backend == name})
            counter = CopyCounter(name, settings, models)
            tasks.append(asyncio.create_task(watch_copies(core, name, counter), name=f"copies of {name}"))
    return tasks
