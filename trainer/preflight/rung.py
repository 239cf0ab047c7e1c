"""What the ladder finds, as plain values."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["passed", "failed", "not asked"]
Answer = Literal["yes", "no", "not asked"]

RESOLVE, IMPORT, CONFIG, TINY, KERNEL, SERVABLE, EXPORTABLE, FITS = (
    "resolve", "import", "config", "tiny model", "kernel", "servable", "exportable", "fits",
)  # fmt: skip


class Wall(msgspec.Struct, frozen=True):
    """Why a rung failed. `packages`: those at fault, with versions. `line`: the first line that means something.
    `mend`: what to type, or to change."""

    name: str
    packages: tuple[str, ...]
    what: str
    line: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what} {self.line} Mend: {self.mend}"


class Rung(msgspec.Struct, frozen=True):
    """One step of the ladder. `said`: one line. `notes`: what is worth knowing and stops nothing."""

    name: str
    status: Status
    said: str
    seconds: float = 0.0
    walls: tuple[Wall, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.status == "passed"


class Verdict(msgspec.Struct, frozen=True):
    """`name`: servable, trainable or exportable. `why`: the wall and its mend, or why nothing was asked."""

    name: str
    answer: Answer
    why: str


class Report(msgspec.Struct, frozen=True):
    """A whole climb. `asked`: what it was about. `required`: the verdicts that must be yes. `cached`: nothing was run,
    an earlier climb was the same."""

    asked: dict[str, str]
    rungs: tuple[Rung, ...]
    verdicts: tuple[Verdict, ...]
    seconds: float
    required: tuple[str, ...] = ("trainable",)
    cached: bool = False

    def verdict(self, name: str) -> Verdict:
        return next(verdict for verdict in self.verdicts if verdict.name == name)

    def rung(self, name: str) -> Rung | None:
        return next((rung for rung in self.rungs if rung.name == name), None)

    @property
    def walls(self) -> tuple[Wall, ...]:
        return tuple(wall for rung in self.rungs for wall in rung.walls)

    @property
    def good(self) -> bool:
        """What is required holds, and what was to be added can be added."""
        asked = all(self.verdict(name).answer == "yes" for name in self.required)
        resolved = self.rung(RESOLVE)
        return asked and (resolved is None or resolved.status != "failed")
