"""What routing saved: the same tokens priced where they did not go. May be below 0, and then it says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.economics.money import NanoUsd
from gateway.economics.path import Path
from gateway.statement.ledger_rows import ALL, Books
from gateway.statement.period import Period
from gateway.statement.serving import Measured


@dataclass(frozen=True, slots=True)
class Saving:
    """`served_by`: a path, or `ALL`. `nanousd`: what it cost where it went; `elsewhere_nanousd`: on `priced_as`.
    `unpriced_tokens`: served where their price is unknown; `nanousd` leaves them out, so that nothing can be saved."""

    served_by: str
    priced_as: str
    simulated: bool
    """One of the two is a stand-in."""
    same_weights: bool | None
    """Whether both serve your own weights, or both the base model's; None of all traffic, and where unknown."""
    output_tokens: int
    nanousd: NanoUsd
    elsewhere_nanousd: NanoUsd
    unpriced_tokens: int = 0

    @property
    def saved_nanousd(self) -> NanoUsd | None:
        """None: unknown, since what it cost is."""
        return None if self.unpriced_tokens else self.elsewhere_nanousd - self.nanousd

    @property
    def ratio(self) -> float | None:
        """Of what it would have cost there."""
        saved = self.saved_nanousd
        return None if saved is None or not self.elsewhere_nanousd else saved / self.elsewhere_nanousd


@dataclass(frozen=True, slots=True)
class Savings:
    """`period`: of these figures, shorter than the statement's where the ledger began later to price elsewhere."""

    period: Period
    against: tuple[Saving, ...]
    """All traffic, against each path alone."""
    pairs: tuple[Saving, ...]


def savings(books: Books, paths: Sequence[Measured], all_paths: Sequence[Path], period: Period) -> Savings | None:
    """`paths`: measured over this very period. None: this ledger prices nothing elsewhere."""
    if not books.abilities.counterfactuals:
        return None
    known = {path.name: path for path in all_paths}
    cost = {one.name: one for one in paths}
    whole = sum(one.nanousd for one in paths)
    tokens = sum(one.output_tokens for one in paths)
    unpriced = sum(one.unpriced_tokens for one in paths)
    served_for_real = {one.name for one in paths if not one.simulated and one.output_tokens > 0}
    against, pairs = [], []
    for (served_by, priced_as), elsewhere in sorted(books.elsewhere.items(), key=lambda one: _order(one[0], all_paths)):
        other = known.get(priced_as)
        if served_by == ALL:
            simulated = other is None or other.simulated or not served_for_real
            against.append(Saving(ALL, priced_as, simulated, None, tokens, whole, elsewhere, unpriced))
        elif (mine := cost.get(served_by)) is not None:
            alike = None if mine.path is None or other is None else mine.path.custom_weights == other.custom_weights
            simulated = mine.simulated or other is None or other.simulated
            pairs.append(
                Saving(
                    served_by, priced_as, simulated, alike, mine.output_tokens, mine.nanousd, elsewhere,
                    mine.unpriced_tokens,
                )
            )  # fmt: skip
    return Savings(period, tuple(against), tuple(pairs))


def _order(names: tuple[str, str], paths: Sequence[Path]) -> tuple[int, int, tuple[str, str]]:
    """As the policy has them."""
    places: Mapping[str, int] = {path.name: place for place, path in enumerate(paths)}
    return places.get(names[0], len(places)), places.get(names[1], len(places)), names
