"""Out of all that the tasks of a group raised: what stopped the gate."""

from __future__ import annotations

from trainer.gate.errors import GateError


def first_of(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """A mistake of the program's own comes first: it must not hide behind a server's."""
    found: list[BaseException] = []

    def gather(group: BaseExceptionGroup[BaseException]) -> None:
        for one in group.exceptions:
            if isinstance(one, BaseExceptionGroup):
                gather(one)
            else:
                found.append(one)

    gather(several)
    return next((one for one in found if not isinstance(one, GateError)), found[0])
