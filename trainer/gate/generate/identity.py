"""Who answered: an answer of another version than the one that is gated is a mistake of the run, not an answer."""

from __future__ import annotations

import re

from trainer.gate.chat import Reply
from trainer.gate.errors import IdentityError
from trainer.gate.settings import GeneratorSettings

_VERSION = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}@v[0-9]{4,9}")


def expected_version(settings: GeneratorSettings) -> str | None:
    """The version that must answer; None: the generator is no version of an adapter."""
    if settings.adapter is not None:
        return settings.adapter
    return settings.model if _VERSION.fullmatch(settings.model) else None


class Identity:
    """What the answers of one generator say of themselves, over a whole run."""

    def __init__(self, name: str, settings: GeneratorSettings) -> None:
        self._name = name
        self._model = settings.model
        self._expected = expected_version(settings)
        self._adapter: str | None = None

    def check(self, model: str | None, adapter: str | None) -> None:
        """`model`: as the answer's body names it. `adapter`: as a gateway's header does. Raises IdentityError."""
        if self._expected is not None:
            said = [name for name in (adapter, model) if name is not None and _VERSION.fullmatch(name)]
            if adapter is not None and adapter not in said:
                said.insert(0, adapter)  # a generation by another kind of name is not this version either
            for name in said:
                if name != self._expected:
                    raise IdentityError(
                        f"{self._name}: {name} answered, and {self._expected} was asked for: an alias or a server "
                        "serves another version. Publish the right one, or name it in the settings"
                    )
            if not said and model is not None and model != self._model:
                raise IdentityError(
                    f"{self._name}: the answer says that {model!r} gave it, and {self._expected} was asked for"
                )
        if adapter is not None:
            if self._adapter is not None and adapter != self._adapter:
                raise IdentityError(
                    f"{self._name}: {self._adapter} gave the answers before, and now {adapter} does: what serves "
                    f"{self._model} was changed during the gate, or part of its requests go to a canary"
                )
            self._adapter = adapter

    def check_reply(self, reply: Reply) -> None:
        self.check(reply.model, reply.adapter)
