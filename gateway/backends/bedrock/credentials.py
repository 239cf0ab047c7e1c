"""AWS credentials from every source botocore knows, without ever blocking the event loop.

botocore resolves (profile files, SSO, container, instance metadata) and refreshes with blocking calls, so both happen
in a thread: the first time before the first call, then in the background from 15 minutes before the credentials end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import botocore.credentials
import botocore.exceptions
import botocore.session

from gateway.backends.bedrock.errors import no_credentials
from gateway.policy.schema import BedrockCredentials

log = logging.getLogger(__name__)

# With less than this left a call waits for the refresh: its signature could be refused on the way.
SECONDS_LEFT_TO_SIGN = 60
# After a failed or refused attempt, how long until the source is asked again.
RETRY_SECONDS = 30.0


class CredentialKeeper:
    """Gives frozen credentials (`access_key`, `secret_key`, `token`) that are good now. Its repr shows no secret."""

    def __init__(self, backend: str, settings: BedrockCredentials, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._settings = settings
        self._clock = clock
        self._source: Any = None
        self._frozen: Any = None
        self._refresh: asyncio.Task[None] | None = None
        self._not_before = float("-inf")
        self._doubted = False

    def __repr__(self) -> str:
        return f"<CredentialKeeper of backend {self._backend!r}>"

    async def current(self) -> Any:
        """Raises `UpstreamError` when there are none."""
        source = self._source
        if source is None or self._seconds_are_few(source, SECONDS_LEFT_TO_SIGN):
            await asyncio.shield(self._start_refresh())
        elif self._clock() >= self._not_before and (self._doubted or self._seconds_are_few(source, None)):
            self._start_refresh()
        return self._frozen

    def doubt(self) -> None:
        """Bedrock refused them: ask the source again, in the background of the next call."""
        self._doubted = True

    async def aclose(self) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)

    @staticmethod
    def _seconds_are_few(source: Any, seconds: int | None) -> bool:
        """None: botocore's own advice, 15 minutes. Static credentials never end. Does no I/O."""
        needed = getattr(source, "refresh_needed", None)
        return needed is not None and bool(needed(refresh_in=seconds))

    def _start_refresh(self) -> asyncio.Task[None]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._read())
            # A background failure has been logged; this marks it as seen.
            self._refresh.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._refresh

    async def _read(self) -> None:
        self._not_before = self._clock() + RETRY_SECONDS
        source = None if self._doubted else self._source
        try:
            self._source, self._frozen = await asyncio.to_thread(_read_blocking, self._settings, source)
            self._doubted = False
        except botocore.exceptions.BotoCoreError as error:
            # The kind only: the text of a failed credential process or token call may quote what it was given.
            log.warning("backend %r: AWS credentials could not be read (%s)", self._backend, type(error).__name__)
            raise no_credentials(self._backend, f"the configured source failed ({type(error).__name__})") from None
        except _NothingFound:
            raise no_credentials(
                self._backend, "none in its settings, the environment, a profile, a container or an instance role"
            ) from None
        except Exception as error:  # a credential plugin or the network below botocore
            log.warning("backend %r: AWS credentials could not be read (%s)", self._backend, type(error).__name__)
            raise no_credentials(self._backend, f"the configured source failed ({type(error).__name__})") from None


class _NothingFound(Exception):
    pass


def _read_blocking(settings: BedrockCredentials, source: Any) -> tuple[Any, Any]:
    """The source (resolved when None) and its frozen credentials. Blocks: network, files, a subprocess."""
    if source is None:
        source = _resolve(settings)
    if source is None:
        raise _NothingFound
    return source, source.get_frozen_credentials()


def _resolve(settings: BedrockCredentials) -> Any:
    if settings.access_key_id is not None and settings.secret_access_key is not None:
        return botocore.credentials.Credentials(
            settings.access_key_id.get_secret_value(),
            settings.secret_access_key.get_secret_value(),
            settings.session_token.get_secret_value() if settings.session_token else None,
        )
    return botocore.session.Session(profile=settings.profile).get_credentials()
