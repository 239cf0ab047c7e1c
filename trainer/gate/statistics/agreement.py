"""How far two judges agree, beyond what chance gives.

Cohen's kappa falls to nothing where nearly all answers are of one kind, however well the judges agree (Feinstein and
Cicchetti 1990, J. Clin. Epidemiol. 43, 543-549). Gwet's AC1 does not. The agreement on accepts and on rejects apart
says which of the two kinds is the trouble.

Sources: Cohen 1960 (Educ. Psychol. Meas. 20, 37-46); Gwet 2008 (Br. J. Math. Stat. Psychol. 61, 29-48); Cicchetti and
Feinstein 1990 (J. Clin. Epidemiol. 43, 551-558) for the agreement by class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from trainer.gate.schema import Outcome


class Agreement(msgspec.Struct, frozen=True):
    """Of answers that both judged. A figure is None where it is not defined (nothing judged, or one class only)."""

    n: int
    """Answers that both judges judged."""
    unjudged: int
    """Answers that one of them, or both, could not judge: in no other figure here."""
    unjudged_by_first: int
    unjudged_by_second: int
    both_accept: int
    only_first_accepts: int
    only_second_accepts: int
    both_reject: int
    raw: float | None
    kappa: float | None
    ac1: float | None
    per_class: dict[str, float | None]
    """accept, reject: of the judgements of that class, the share that the other judge shares."""


def agreement(first: Sequence[Outcome], second: Sequence[Outcome]) -> Agreement:
    """`first[i]` and `second[i]` are of the same answer. Raises ValueError for sequences of different lengths."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} judgements: two judges must have been given the same answers")
    table = Counter(zip(first, second, strict=True))
    both, neither = table["accept", "accept"], table["reject", "reject"]
    only_first, only_second = table["accept", "reject"], table["reject", "accept"]
    judged = both + neither + only_first + only_second
    raw = kappa = ac1 = None
    if judged:
        raw = (both + neither) / judged
        first_accepts, second_accepts = (both + only_first) / judged, (both + only_second) / judged
        by_chance = first_accepts * second_accepts + (1 - first_accepts) * (1 - second_accepts)
        if only_first or only_second or (both and neither):  # else both judges know one class only: 0 / 0
            kappa = _beyond(raw, by_chance)
        accepts = (first_accepts + second_accepts) / 2
        ac1 = _beyond(raw, 2 * accepts * (1 - accepts))
    return Agreement(
        n=judged,
        unjudged=len(first) - judged,
        unjudged_by_first=sum(outcome == "unjudged" for outcome in first),
        unjudged_by_second=sum(outcome == "unjudged" for outcome in second),
        both_accept=both,
        only_first_accepts=only_first,
        only_second_accepts=only_second,
        both_reject=neither,
        raw=raw,
        kappa=kappa,
        ac1=ac1,
        per_class={
            "accept": _shared(both, only_first + only_second),
            "reject": _shared(neither, only_first + only_second),
        },
    )


def _beyond(raw: float, by_chance: float) -> float:
    return (raw - by_chance) / (1 - by_chance)


def _shared(agreed: int, differing: int) -> float | None:
    return 2 * agreed / (2 * agreed + differing) if agreed or differing else None
