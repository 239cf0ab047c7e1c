"""Requests that wait at the gateway because the router says that a cheaper moment is near."""

from __future__ import annotations

import asyncio

from gateway.metering.series import Series

SHORTEST_SECONDS = 0.05
"""The router is asked again at most so often about one request."""


class Holds:
    """Who waits now: at most `most` at once. `end` lets all go, for good."""

    def __init__(self, most: int, series: Series) -> None:
        self._most = most
        self._series = series
        self._held = 0
        self._ended = asyncio.Event()

    @property
    def possible(self) -> bool:
        """One more may wait."""
        return self._held < self._most and not self._ended.is_set()

    async def wait(self, seconds: float) -> None:
        """Returns after `seconds`, or at once when all holds end. Cancelled, it ends at once too."""
        self._held += 1
        self._series.held.set(self._held)
        try:
            async with asyncio.timeout(max(SHORTEST_SECONDS, seconds)):
                await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self._held -= 1
            self._series.held.set(self._held)

    def end(self) -> None:
        """The gateway is shutting down: whoever waits is sent on."""
        self._ended.set()
