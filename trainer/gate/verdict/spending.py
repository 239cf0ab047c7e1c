"""What a generator's answers took: tokens, seconds, money. By the gateway's own meters, where it answered."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, median
from typing import TypeVar

from trainer.gate.schema import Answer
from trainer.gate.verdict.schema import Spent

Number = TypeVar("Number", int, float)


def spent(answers: Iterable[Answer], questions: int, accepted: int) -> Spent:
    """A sum with an unknown part is unknown: the money is None if one answer's is."""
    came = [answer for answer in answers if answer.text is not None]
    prices = [answer.usd for answer in came]
    usd = sum(price for price in prices if price is not None) if came and None not in prices else None
    return Spent(
        answers=len(came),
        missing=questions - len(came),
        prompt_tokens_mean=fmean(prompt) if (prompt := _all(answer.prompt_tokens for answer in came)) else None,
        completion_tokens_mean=fmean(said) if (said := _all(answer.completion_tokens for answer in came)) else None,
        latency_seconds_median=median(took) if (took := _all(answer.latency_seconds for answer in came)) else None,
        usd=usd,
        usd_per_accepted=usd / accepted if usd is not None and accepted else None,
    )


def _all(values: Iterable[Number | None]) -> list[Number]:
    """Nothing, if one of them is unknown: a mean of the known ones would be of other answers."""
    values = list(values)
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else []
