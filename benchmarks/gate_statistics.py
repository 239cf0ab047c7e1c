"""The quality gate's statistics: coverage of its intervals, and how often its rule passes, fails and cannot tell.

    python -m benchmarks.gate_statistics

Nearly everything is counted, not drawn: every possible set of counts with its probability, through the very functions
that the gate uses. Only the part with erring judges is drawn, with a fixed seed. Nothing here is measured on a machine:
it gives the same figures everywhere. Writes benchmarks/results/gate_statistics.json and the tables between the marks in
docs/gate-statistics.md; on one core it takes half a minute.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gate_statistics_tables import in_tables
from benchmarks.machine import write_results
from trainer.gate.plan import Plan
from trainer.gate.statistics.paired import paired_bootstrap, score_interval
from trainer.gate.statistics.power import above_power, below_power, gain_power
from trainer.gate.statistics.proportions import (
    Interval,
    at_least,
    clopper_pearson,
    least_to_show,
    wilson,
    wilson_lower,
)
from trainer.gate.verdict.rule import Discordant, Evidence, decide

SIZES = (30, 60, 100)
BAR, ALPHA, MINIMUM_GAIN, MARGIN = 0.6, 0.05, 0.05, 0.10
DRAWS = 4_000
SEED = 20_261_123
DOC = Path(__file__).parent.parent / "docs" / "gate-statistics.md"
MARKS = ("<!-- figures: benchmarks/gate_statistics.py writes these tables -->", "<!-- end of figures -->")

SHARES = tuple(place / 100 for place in range(2, 99))
CHANGES = tuple((gain, loss) for gain in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5) for loss in (0.0, 0.02, 0.05, 0.1, 0.2))
"""True shares of questions gained and lost, for the coverage of a difference."""


class Truth(NamedTuple):
    """Two generators on an endless supply of questions. Shares of questions."""

    what: str
    control: float
    gain: float
    loss: float

    @property
    def candidate(self) -> float:
        return self.control + self.gain - self.loss


WRONG_TO_PASS = (
    Truth("no better than the control, both far below the bar", 0.40, 0.10, 0.10),
    Truth("no better than the control, both at the bar", 0.60, 0.10, 0.10),
    Truth("no better than the control, both above the bar", 0.80, 0.10, 0.10),
    Truth("much better than the control, but just at the bar", 0.20, 0.43, 0.03),
    Truth("much better than the control, but ten points below the bar", 0.20, 0.33, 0.03),
)
RIGHT_TO_PASS = (
    Truth("the lab's rates", 0.23, 0.50, 0.03),
    Truth("", 0.20, 0.58, 0.03),
    Truth("", 0.20, 0.63, 0.03),
    Truth("", 0.20, 0.72, 0.02),
    Truth("", 0.50, 0.28, 0.03),
    Truth("", 0.50, 0.38, 0.03),
)
KILLED = (
    Truth("the control is 15 points above the bar", 0.75, 0.12, 0.02),
    Truth("the control is 25 points above the bar", 0.85, 0.07, 0.02),
    Truth("nothing changes at all", 0.40, 0.0, 0.0),
)


def main() -> None:
    results: dict[str, Any] = {
        "rule": {"bar": BAR, "alpha": ALPHA, "minimum_gain": MINIMUM_GAIN, "margin": MARGIN},
        "sizes": list(SIZES),
        "changes": len(CHANGES),
        "drawn": {"times": DRAWS, "seed": SEED, "judges": [list(STRICT), list(LENIENT)]},
        "one_share": [row for size in SIZES for row in one_share(size)],
        "difference": [row for size in SIZES for row in difference(size)],
        "bars": [row for size in SIZES for row in bars(size)],
        "rule_outcomes": list(rule_outcomes()),
        "not_worse": list(not_worse()),
        "refreshes": list(refreshes()),
        "erring_judges": list(erring_judges()),
    }
    results = rounded(results)
    tables = "\n\n".join(in_tables(results))
    print(tables)
    path = write_results("gate_statistics", results)
    text = DOC.read_text()
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    DOC.write_text(f"{before}{MARKS[0]}\n\n{tables}\n\n{MARKS[1]}{after}")
    print(f"\nRaw figures in {path}; tables in {DOC}")


def rounded(value: Any) -> Any:
    """To six places, which is more than anybody reads: the same file on every machine."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value


def one_share(size: int) -> Iterator[dict[str, Any]]:
    """Coverage of the 95 % intervals of one share, over true shares from 2 % to 98 %."""
    methods: Mapping[str, Callable[[int, int], Interval]] = {"Wilson": wilson, "Clopper-Pearson": clopper_pearson}
    for name, method in methods.items():
        intervals = [method(count, size) for count in range(size + 1)]
        covered = [
            sum(
                binomial(count, size, share)
                for count, interval in enumerate(intervals)
                if interval.low <= share <= interval.high
            )
            for share in SHARES
        ]
        widths = [
            sum(
                binomial(count, size, share) * (interval.high - interval.low)
                for count, interval in enumerate(intervals)
            )
            for share in SHARES
        ]
        yield {"questions": size, "method": name, "least": min(covered), "mean": mean(covered), "width": mean(widths)}


def difference(size: int) -> Iterator[dict[str, Any]]:
    """Coverage of the 95 % intervals of a paired difference, over `CHANGES`."""
    score, bootstrap = {}, {}
    for gains in range(size + 1):
        for losses in range(min(gains, size - gains) + 1):
            pairs = [(0, 1)] * gains + [(1, 0)] * losses + [(1, 1)] * (size - gains - losses)
            for table, one in (
                (score, score_interval(gains, losses, size)),
                (bootstrap, paired_bootstrap(pairs)),
            ):
                table[gains, losses] = one
                table[losses, gains] = Interval(-one.high, -one.low)
    for name, table in (("score (Tango)", score), ("bootstrap", bootstrap)):
        covered = []
        for gain, loss in CHANGES:
            covered.append(
                sum(
                    trinomial(gains, losses, size, gain, loss)
                    for (gains, losses), interval in table.items()
                    if interval.low - 1e-9 <= gain - loss <= interval.high + 1e-9
                )
            )
        worst = CHANGES[covered.index(min(covered))]
        yield {"questions": size, "method": name, "least": min(covered), "least_at": worst, "mean": mean(covered)}


def bars(size: int) -> Iterator[dict[str, Any]]:
    """How often one that is just at the bar is said to reach it: the exact test, and Wilson's bound in its place."""
    for bar in (0.5, 0.6, 0.7, 0.8, 0.9):
        exact = least_to_show(bar, size, ALPHA)
        by_wilson = next(count for count in range(size + 1) if wilson_lower(count, size, ALPHA) >= bar)
        yield {
            "questions": size,
            "bar": bar,
            "least": exact,
            "errs": 0.0 if exact is None else at_least(exact, size, bar),
            "wilson_least": by_wilson,
            "wilson_errs": at_least(by_wilson, size, bar),
        }


def rule_outcomes(sizes: Sequence[int] = SIZES) -> Iterator[dict[str, Any]]:
    """The whole rule, every answer judged and no split: all ways that the questions can fall, with their chances."""
    for size in sizes:
        plan = a_plan(size)
        truths = [(kind, one) for kind in KINDS for one in KINDS[kind]]
        powers = [of_cells(truth, size) for _, truth in truths]
        sums = [dict.fromkeys(("pass", "fail", "undecided", "killed"), 0.0) for _ in truths]
        for gains in range(size + 1):
            for losses in range(size + 1 - gains):
                readings = (Discordant(gains, losses),)
                for both in range(size + 1 - gains - losses):
                    rest = size - both - gains - losses
                    ways = math.comb(size, gains) * math.comb(size - gains, losses) * math.comb(both + rest, both)
                    decision = decide(
                        plan,
                        Evidence(size, both + gains, both + gains, *[both + losses] * 2, readings, readings),
                    )
                    for power, tally in zip(powers, sums, strict=True):
                        chance = ways * power[0][both] * power[1][gains] * power[2][losses] * power[3][rest]
                        tally[decision.outcome] += chance
                        tally["killed"] += chance if decision.kill is not None else 0.0
        for (kind, truth), tally in zip(truths, sums, strict=True):
            yield {"questions": size, "kind": kind, **described(truth), **tally}


def not_worse() -> Iterator[dict[str, Any]]:
    """The routine question, by the true difference from what serves now."""
    for size in SIZES:
        for truth in (0.05, 0.0, -0.05, -0.10, -0.15, -0.20):
            gain, loss = (0.05 + truth, 0.05) if truth > -0.05 else (0.0, -truth)
            yield {
                "questions": size,
                "difference": truth,
                "not_worse": above_power(gain, loss, size, -MARGIN, ALPHA),
                "worse": below_power(gain, loss, size, -MARGIN, ALPHA),
            }
    for size in SIZES:
        worst, at = max(
            (above_power(loss - MARGIN, loss, size, -MARGIN, ALPHA), loss)
            for loss in (0.10, 0.11, 0.12, 0.15, 0.20, 0.25, 0.30, 0.40)
        )
        yield {"questions": size, "largest_false": worst, "at_loss": at}


def refreshes() -> Iterator[dict[str, Any]]:
    """A candidate no better than the control, tested again and again with fresh answers: "better" at least once."""
    for size in SIZES:
        once = gain_power(0.1, 0.1, size, ALPHA)
        for times in (1, 5, 10, 20):
            yield {
                "questions": size,
                "refreshes": times,
                "at_most": 1 - (1 - ALPHA / 2) ** times,
                "counted": 1 - (1 - once) ** times,
            }


class Judge(NamedTuple):
    accepts_right: float
    rejects_wrong: float


STRICT, LENIENT = Judge(0.90, 0.98), Judge(0.98, 0.90)
JUDGED = (
    Truth("no better than the control, both far below the bar", 0.40, 0.10, 0.10),
    Truth("much better than the control, but just at the bar", 0.20, 0.43, 0.03),
    Truth("the lab's rates", 0.23, 0.50, 0.03),
    Truth("", 0.20, 0.63, 0.03),
    Truth("", 0.20, 0.72, 0.02),
)


def erring_judges() -> Iterator[dict[str, Any]]:
    """The same with two judges that err independently of each other, so that there are splits: drawn."""
    for size in SIZES:
        plan = a_plan(size)
        for truth in JUDGED:
            chance = random.Random(f"{SEED} {size} {truth}")
            tally = dict.fromkeys(("pass", "fail", "undecided"), 0)
            splits = accepted = 0
            for _ in range(DRAWS):
                evidence = judged(chance, size, truth)
                tally[decide(plan, evidence).outcome] += 1
                splits += evidence.possible - evidence.accepted
                accepted += evidence.accepted
            shares = {name: count / DRAWS for name, count in tally.items()}
            yield {
                "questions": size,
                **described(truth),
                **shares,
                "split": splits / DRAWS / size,
                "accepted": accepted / DRAWS / size,
            }


def judged(chance: random.Random, size: int, truth: Truth) -> Evidence:
    both = truth.control - truth.loss
    kinds = chance.choices(
        ((True, True), (False, True), (True, False), (False, False)),
        (both, truth.gain, truth.loss, 1 - both - truth.gain - truth.loss),
        k=size,
    )
    marks = [tuple(accepts(chance, right) for right in pair) for pair in kinds]  # 0, 1 or 2 accepts of each answer
    candidate = [after for _, after in marks]
    readings = tuple(
        Discordant(
            sum(after >= needed > before for before, after in marks),
            sum(before >= needed > after for before, after in marks),
        )
        for needed in (2, 1)  # splits as rejects, splits as accepts
    )
    return Evidence(
        questions=size,
        accepted=sum(mark == 2 for mark in candidate),
        possible=sum(mark >= 1 for mark in candidate),
        control_accepted=sum(before == 2 for before, _ in marks),
        control_possible=sum(before >= 1 for before, _ in marks),
        against=readings,
        favour=readings,
    )


def accepts(chance: random.Random, right: bool) -> int:
    return sum(
        chance.random() < (judge.accepts_right if right else 1 - judge.rejects_wrong) for judge in (STRICT, LENIENT)
    )


KINDS = {"wrong to pass": WRONG_TO_PASS, "right to pass": RIGHT_TO_PASS, "killed": KILLED}


def described(truth: Truth) -> dict[str, Any]:
    return {"truth": truth.what, "control": truth.control, "candidate": round(truth.candidate, 4), "loss": truth.loss}


def a_plan(size: int) -> Plan:
    return Plan(
        gate="simulation", set_name="simulated", set_sha256="0" * 64, questions=size,
        generators={"control": {}, "candidate": {}}, judges={"strict": {}, "second": {}}, control="control",
        candidate="candidate", bar=BAR, alpha=ALPHA, minimum_gain=MINIMUM_GAIN, margin=MARGIN,
    )  # fmt: skip


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def binomial(count: int, size: int, share: float) -> float:
    return math.comb(size, count) * share**count * (1 - share) ** (size - count)


def trinomial(gains: int, losses: int, size: int, gain: float, loss: float) -> float:
    ways = math.comb(size, gains) * math.comb(size - gains, losses)
    return ways * gain**gains * loss**losses * max(0.0, 1 - gain - loss) ** (size - gains - losses)


def of_cells(truth: Truth, size: int) -> list[list[float]]:
    """Powers of the four shares of questions: good from both, gained, lost, good from neither."""
    together = truth.control - truth.loss
    neither = max(0.0, 1 - together - truth.gain - truth.loss)
    return [[share**count for count in range(size + 1)] for share in (together, truth.gain, truth.loss, neither)]


if __name__ == "__main__":
    main()
