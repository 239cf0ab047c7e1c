"""What stops a publication: at which step, and what is as it was."""

from __future__ import annotations

from typing import Literal

Step = Literal["settings", "registry", "model server", "warm-up", "gateway"]


class PublishError(Exception):
    """The message says what was done, where traffic is, and what to do. `status`: the exit status, 2 for what was asked
    wrongly, 1 for what failed."""

    def __init__(self, step: Step, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.step = step
        self.status = status


class UnreachableError(Exception):
    """No answer came. `sent`: the request may have been read and acted upon all the same."""

    def __init__(self, url: str, why: str, *, sent: bool) -> None:
        super().__init__(f"{url} does not answer ({why})")
        self.sent = sent
