"""The tables of docs/gate-statistics.md, from what `benchmarks.gate_statistics` counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def in_tables(results: Mapping[str, Any]) -> Iterator[str]:
    """Markdown, one heading and table each."""
    sizes, rule = results["sizes"], results["rule"]
    yield "### How often the 95% intervals hold the truth"
    rows = []
    for size in sizes:
        of = {row["method"]: row for row in results["one_share"] + results["difference"] if row["questions"] == size}
        rows.append(
            [str(size)]
            + [
                f"{percent(of[name]['least'])}, {percent(of[name]['mean'])}"
                for name in ("Wilson", "Clopper-Pearson", "score (Tango)", "bootstrap")
            ]
        )
    yield table(
        ("questions", "Wilson: least, mean", "Clopper-Pearson", "difference: score", "difference: bootstrap"), rows
    )
    yield (
        "One share: over true shares from 2% to 98%. Difference: over "
        f"{results['changes']} pairs of true gains and losses up to 50% and 20%, nothing differing among them."
    )

    yield "### The bar"
    rows = []
    for bar in dict.fromkeys(row["bar"] for row in results["bars"]):
        of = {row["questions"]: row for row in results["bars"] if row["bar"] == bar}
        rows.append(
            [percent(bar)]
            + [
                "none" if of[size]["least"] is None else f"{of[size]['least']} ({percent(of[size]['errs'])})"
                for size in sizes
            ]
            + [f"{percent(max(row['wilson_errs'] for row in of.values()))}"]
        )
    heads = ("bar", *(f"accepted of {size} (errs)" for size in sizes), "with Wilson's bound in its place it errs up to")
    yield table(heads, rows)
    yield "In brackets: how often a generator that is just at the bar is said to reach it. The rule allows 5%."

    yield "### The whole rule"
    yield (
        f"Bar {percent(rule['bar'])}, alpha {rule['alpha']:g}, minimum gain {percent(rule['minimum_gain'])}; every "
        "answer judged, no splits. Each cell: pass / fail / undecided."
    )
    for kind, what in (
        ("wrong to pass", "A pass would be wrong"),
        ("right to pass", "A pass would be right (power)"),
        ("killed", "The kill criterion should fire"),
    ):
        yield outcomes(sizes, what, [row for row in results["rule_outcomes"] if row["kind"] == kind])

    yield "### Not worse than what serves now"
    found = [row for row in results["not_worse"] if "difference" in row]
    rows = []
    for truth in dict.fromkeys(row["difference"] for row in found):
        of = {row["questions"]: row for row in found if row["difference"] == truth}
        rows.append(
            [f"{100 * truth:+.0f} points"]
            + [f"{percent(of[size]['not_worse'])} / {percent(of[size]['worse'])}" for size in sizes]
        )
    yield table(("true difference", *(f"{size} questions" for size in sizes)), rows)
    largest = [row for row in results["not_worse"] if "largest_false" in row]
    yield (
        "Each cell: said to be not worse / said to be worse, margin 10 points; a twentieth of the questions lost, or "
        'as many as the difference is. At a true difference of just the margin, "not worse" is said at most in '
        + ", ".join(f"{percent(row['largest_false'])} of cases ({row['questions']} questions)" for row in largest)
        + "."
    )

    yield "### The same set, again and again"
    rows = []
    for times in dict.fromkeys(row["refreshes"] for row in results["refreshes"]):
        of = {row["questions"]: row for row in results["refreshes"] if row["refreshes"] == times}
        rows.append([str(times), percent(of[sizes[0]]["at_most"]), *(percent(of[size]["counted"]) for size in sizes)])
    heads = ("verdicts", "at most", *(f"{size} questions" for size in sizes))
    yield table(heads, rows)
    yield (
        "How often a candidate that is no better than the control is called better at least once (McNemar's test "
        "alone, a tenth gained and a tenth lost, answers independent from one time to the next)."
    )

    yield "### With judges that err"
    drawn = results["drawn"]
    strict, second = drawn["judges"]
    yield (
        f"Drawn {drawn['times']:,} times (seed {drawn['seed']}), simulated judges that err independently: one accepts "
        f"{percent(strict[0])} of the right answers and rejects {percent(strict[1])} of the wrong, the other "
        f"{percent(second[0])} and {percent(second[1])}. Each cell: pass / fail / undecided."
    )
    yield outcomes(sizes, "True rates", results["erring_judges"])
    some = [row for row in results["erring_judges"] if row["questions"] == sizes[1]]
    yield (
        f"At {sizes[1]} questions the judges split on "
        + ", ".join(f"{percent(row['split'])}" for row in some)
        + " of the candidate's answers, and both accepted "
        + ", ".join(f"{percent(row['accepted'])}" for row in some)
        + "."
    )


def outcomes(sizes: Sequence[int], what: str, found: Sequence[Mapping[str, Any]]) -> str:
    rows: dict[tuple[Any, ...], list[str]] = {}
    for row in found:
        name = f"{percent(row['control'])} to {percent(row['candidate'])}, {percent(row['loss'])} lost"
        name = f"{row['truth']} ({name})" if row["truth"] else name
        cells = rows.setdefault((name,), [name])
        cells.append(" / ".join(percent(row[outcome]) for outcome in ("pass", "fail", "undecided")))
    return table((what, *(f"{size} questions" for size in sizes)), list(rows.values()))


def table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    """With a decimal below 10 %, where it tells something."""
    if 0 < share < 0.0005:
        return "<0.1%"
    text = f"{100 * share:.1f}" if share < 0.0995 or share > 0.9 else f"{100 * share:.0f}"
    return text.removesuffix(".0") + "%"
