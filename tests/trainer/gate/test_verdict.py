"""The verdict: pass, fail or undecided, and what is missing never helps."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from trainer.gate.plan import Plan
from trainer.gate.schema import Answer, Judgement, Question
from trainer.gate.verdict import Calibration, Verdict, verdict
from trainer.gate.verdict.words import FIRED

JUDGES = ("strict", "second")
SAID = {
    "a": ("accept", "accept"),
    "r": ("reject", "reject"),
    "s": ("reject", "accept"),
    "t": ("accept", "reject"),
    "u": ("accept", "unjudged"),
    "v": ("unjudged", "unjudged"),
}
"""One letter an answer. Also: `-` no answer came, `.` no record of one, `j` an answer that no judge was asked about."""


def plan_of(questions: int, *names: str, **changes: object) -> Plan:
    fields = {
        "gate": "handbook", "set_name": "handbook", "set_sha256": "5" * 64, "questions": questions,
        "generators": {name: {} for name in names or ("base", "tuned")},
        "judges": {judge: {} for judge in JUDGES}, "control": "base", "candidate": "tuned", "bar": 0.6,
    }  # fmt: skip
    return Plan(**(fields | changes))  # type: ignore[arg-type]


def asked(count: int, unanswerable: int = 0) -> list[Question]:
    return [
        Question(
            f"q{place:03}", f"What is rule {place}?", (), labels={"department": "hr" if place % 2 else "it"},
            reference=None if place < unanswerable else "This.",
        )
        for place in range(count)
    ]  # fmt: skip


def recorded(letters: dict[str, str], usd: float | None = 0.001) -> tuple[dict[str, list[Answer]], list[Judgement]]:
    answers: dict[str, list[Answer]] = {name: [] for name in letters}
    judgements = []
    for name, row in letters.items():
        for place, letter in enumerate(row):
            question = f"q{place:03}"
            if letter == "-":
                answers[name].append(Answer(question, name, None, error="503: no backend"))
            elif letter != ".":
                answers[name].append(
                    Answer(
                        question,
                        name,
                        "This [rule-01].",
                        prompt_tokens=200,
                        completion_tokens=8,
                        latency_seconds=0.5,
                        usd=usd,
                    )
                )
            for judge, outcome in zip(JUDGES, SAID.get(letter, ()), strict=False):
                judgements.append(Judgement(question, name, judge, outcome, "because"))
    return answers, judgements


def judged(plan: Plan, calibration: Calibration | None = None, unanswerable: int = 0, **letters: str) -> Verdict:
    answers, judgements = recorded(letters)
    return verdict(plan, asked(plan.questions, unanswerable), answers, judgements, calibration)


def conditions(found: Verdict) -> dict[str, str]:
    return {one.name: one.met for one in found.conditions}


def test_a_clear_gain_over_the_bar_passes():
    found = judged(plan_of(60), base="a" * 12 + "r" * 48, tuned="a" * 54 + "r" * 6)
    assert found.outcome == "pass"
    assert conditions(found) == {"control below the bar": "yes", "bar": "yes", "gain": "yes"}
    assert (found.comparison.gains, found.comparison.losses, found.questions_needed) == (42, 0, 0)
    assert found.comparison.difference == pytest.approx(0.7)
    assert found.generators["tuned"].low == found.generators["tuned"].high == 0.9
    assert not found.kill_criterion.fired
    assert "54 of 60" in found.why


def test_the_kill_criterion_fires_where_the_control_clears_the_bar_however_good_the_candidate_is():
    found = judged(plan_of(60), base="a" * 46 + "r" * 14, tuned="a" * 60)
    assert found.outcome == "fail"
    assert found.kill_criterion.cause == "control reaches the bar"
    assert FIRED == "Base + RAG already clears the bar: fine-tuning earns nothing here."
    assert found.why.startswith(FIRED)
    assert found.kill_criterion.control_lower >= 0.6


def test_the_kill_criterion_fires_where_the_gain_is_shown_to_be_too_small():
    found = judged(plan_of(100), base="a" * 50 + "r" * 50, tuned="a" * 50 + "r" * 50)
    assert found.outcome == "fail"
    assert found.kill_criterion.cause == "gain too small"
    assert found.kill_criterion.gain_upper < 0.05


def test_a_worse_candidate_is_refused():
    found = judged(plan_of(60), base="a" * 30 + "r" * 30, tuned="a" * 10 + "r" * 50)
    assert found.outcome == "fail"
    assert conditions(found) == {"control below the bar": "yes", "bar": "no", "gain": "no"}


def test_a_candidate_that_cannot_reach_the_bar_fails_even_with_a_gain():
    found = judged(plan_of(60), base="r" * 60, tuned="a" * 20 + "r" * 40)
    assert found.outcome == "fail"
    assert conditions(found) == {"control below the bar": "yes", "bar": "no", "gain": "yes"}
    assert not found.kill_criterion.fired
    assert "bar" in found.why


def test_the_labs_figures_are_undecided_at_its_thirty_questions():
    # Seed lab: 30 questions, base + RAG 23 % (7), Bedrock's base 47 % (14), tuned 70 % (21).
    plan = plan_of(30, "base", "bedrock", "tuned")
    found = judged(
        plan, base="a" * 7 + "r" * 23, bedrock="a" * 14 + "r" * 16, tuned="a" * 6 + "r" + "a" * 15 + "r" * 8
    )  # fmt: skip
    assert [found.generators[name].accepted for name in plan.generators] == [7, 14, 21]
    assert (found.comparison.gains, found.comparison.losses) == (15, 1)
    assert found.comparison.p == pytest.approx(2 * 17 / 2**16)
    assert conditions(found) == {
        "control below the bar": "yes",
        "bar": "open",
        "gain": "yes",
    }  # the gain is beyond doubt, the level is not
    assert found.outcome == "undecided"
    assert found.generators["tuned"].low_interval.low == pytest.approx(0.521, abs=5e-4)
    assert found.questions_needed == 119
    assert found.least_accepted == 23
    easier = judged(plan_of(30, bar=0.5), base="a" * 7 + "r" * 23, tuned="a" * 6 + "r" + "a" * 15 + "r" * 8)
    assert easier.outcome == "pass"


def test_splits_are_read_alike_for_both_and_both_ways():
    # 20 gains if a split is a reject; if it is an accept, the control has them too.
    found = judged(plan_of(60), base="s" * 20 + "a" * 20 + "r" * 20, tuned="a" * 50 + "r" * 10)
    strict, lenient = found.comparison.against
    assert (strict.splits, strict.gains, strict.losses) == ("rejected", 30, 0)
    assert (lenient.splits, lenient.gains, lenient.losses) == ("accepted", 10, 0)
    assert found.outcome == "pass"  # ten gains without a loss are significant too
    found = judged(plan_of(60), base="s" * 25 + "a" * 20 + "r" * 15, tuned="a" * 50 + "r" * 10)
    assert found.outcome == "undecided"
    assert conditions(found)["gain"] == "open"


def test_a_split_counts_below_as_a_reject_and_above_as_an_accept():
    found = judged(plan_of(10), base="r" * 10, tuned="aaaaasturr")
    rate = found.generators["tuned"]
    assert (rate.n, rate.accepted, rate.split, rate.rejected, rate.unjudged) == (10, 5, 2, 2, 1)
    assert (rate.low, rate.high) == (0.5, 0.8)
    assert [(one.question, one.standing) for one in found.open] == [
        ("q005", "split"), ("q006", "split"), ("q007", "unjudged"),
    ]  # fmt: skip
    assert found.open[0].reason == "strict: reject, because; second: accept, because"


@pytest.mark.parametrize(
    "missing", ["-", ".", "j", "v", "u"], ids=["no answer", "no record", "not asked", "both", "one"]
)
def test_a_control_that_is_missing_gives_no_pass(missing):
    found = judged(plan_of(60), base=missing * 60, tuned="a" * 60)
    assert found.outcome == "undecided"
    assert found.generators["base"].unjudged == 60
    assert found.questions_needed is None
    assert "unjudged" in found.questions_needed_why


def test_a_control_that_would_clear_the_bar_does_not_by_losing_judgements():
    rows = {"tuned": "a" * 60}
    assert judged(plan_of(60), base="a" * 46 + "r" * 14, **rows).kill_criterion.fired
    found = judged(plan_of(60), base="u" * 10 + "a" * 36 + "r" * 14, **rows)
    assert found.outcome == "undecided"
    assert conditions(found) == {"control below the bar": "open", "bar": "yes", "gain": "yes"}


def test_a_significant_gain_that_is_too_small_does_not_pass():
    found = judged(plan_of(400, bar=0.7), base="a" * 270 + "r" * 130, tuned="a" * 287 + "r" * 113)
    assert found.comparison.p < 0.001
    assert found.comparison.difference < 0.05
    assert conditions(found)["gain"] == "open"


def test_a_generator_without_any_record_is_all_unjudged():
    found = judged(plan_of(60), tuned="a" * 60)
    assert found.outcome == "undecided"
    assert found.comparison.pairs == 0
    assert found.spent["base"].missing == 60


def test_a_candidate_that_is_missing_neither_passes_nor_fails():
    found = judged(plan_of(60), base="a" * 12 + "r" * 48, tuned="-" * 60)
    assert found.outcome == "undecided"
    assert (found.generators["tuned"].low, found.generators["tuned"].high) == (0.0, 1.0)


def test_a_judge_that_is_silent_leaves_everything_undecided_and_is_named():
    answers, judgements = recorded({"base": "r" * 60, "tuned": "a" * 60})
    found = verdict(plan_of(60), asked(60), answers, [one for one in judgements if one.judge == "strict"])
    assert found.outcome == "undecided"
    assert any("judge second gave no verdict" in note for note in found.notes)
    assert found.agreement.n == 0


def test_nothing_at_all_is_undecided():
    found = verdict(plan_of(60), asked(60), {}, [])
    assert found.outcome == "undecided"
    assert found.agreement.n == found.agreement.unjudged == 0


def test_judgements_of_an_answer_that_never_came_count_for_nothing():
    answers, judgements = recorded({"base": "-" * 60, "tuned": "a" * 60})
    judgements += [
        Judgement(f"q{place:03}", "base", judge, "reject", "empty") for place in range(60) for judge in JUDGES
    ]
    found = verdict(plan_of(60), asked(60), answers, judgements)
    assert found.generators["base"].unjudged == 60
    assert found.outcome == "undecided"


def test_an_empty_answer_is_an_answer_and_is_judged():
    answers, judgements = recorded({"base": "r" * 60, "tuned": "a" * 60})
    answers["base"] = [msgspec.structs.replace(one, text="") for one in answers["base"]]
    found = verdict(plan_of(60), asked(60), answers, judgements)
    assert found.generators["base"].rejected == 60
    assert found.outcome == "pass"


def test_a_few_missing_answers_do_not_stop_a_clear_pass():
    found = judged(plan_of(60), base="-" * 3 + "a" * 12 + "r" * 45, tuned="a" * 55 + "-" * 3 + "r" * 2)
    assert found.outcome == "pass"
    assert found.comparison.missing == 6
    assert any("3 of 60 answers of tuned are unjudged" in note for note in found.notes)


@settings(max_examples=80, deadline=None)
@given(some.data(), some.integers(6, 30), some.booleans())
def test_taking_anything_away_never_makes_a_pass(data, count, with_live):
    letters = some.sampled_from("aaarrs")
    names = ("base", "tuned", "live") if with_live else ("base", "tuned")
    plan = plan_of(count, *names, bar=0.3, alpha=0.2, margin=0.3, live="live" if with_live else None)
    rows = {name: "".join(data.draw(some.lists(letters, min_size=count, max_size=count))) for name in names}
    before = judged(plan, **rows)
    less = {
        name: "".join(data.draw(some.sampled_from((letter, letter, "-", "u", "."))) for letter in row)
        for name, row in rows.items()
    }
    after = judged(plan, **less)
    if before.outcome != "pass":
        assert after.outcome != "pass"
    if before.outcome != "fail":
        assert after.outcome != "fail"


@settings(max_examples=60, deadline=None)
@given(some.data(), some.integers(1, 40))
def test_every_figure_hangs_together(data, count):
    row = some.lists(some.sampled_from("arstuvj-."), min_size=count, max_size=count).map("".join)
    found = judged(plan_of(count), base=data.draw(row), tuned=data.draw(row), unanswerable=count // 3)
    for rate in found.generators.values():
        assert rate.accepted + rate.split + rate.rejected + rate.unjudged == rate.n == count
        assert rate.low_interval.low <= rate.low <= rate.high <= rate.high_interval.high
    parts = [found.answerable, found.unanswerable] if count >= 3 else [found.answerable]
    for name, rate in found.generators.items():
        assert sum(part[name].accepted for part in parts) == rate.accepted
        assert sum(values[name].n for values in found.by_label["department"].values()) == count
    assert (found.questions_needed == 0) == (found.outcome != "undecided")
    assert found.why.endswith((".", ")"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Verdict) == found


def test_a_refresh_as_good_as_what_serves_now_passes():
    plan = plan_of(60, "base", "live", "tuned", live="live")
    found = judged(plan, base="a" * 12 + "r" * 48, live="a" * 52 + "r" * 8, tuned="r" + "a" * 52 + "r" * 7)
    assert found.noninferiority is not None
    assert found.noninferiority.answer == "not worse"
    assert found.outcome == "pass"


def test_a_refresh_that_may_be_worse_is_undecided_and_one_that_is_worse_fails():
    plan = plan_of(60, "base", "live", "tuned", live="live")
    rows = {"base": "a" * 3 + "r" * 57, "live": "a" * 54 + "r" * 6}
    found = judged(plan, **rows, tuned="a" * 48 + "r" * 12)
    assert found.outcome == "undecided"
    assert conditions(found)["not worse than live"] == "open"
    plan = plan_of(200, "base", "live", "tuned", live="live", bar=0.5)
    found = judged(plan, base="r" * 200, live="a" * 200, tuned="a" * 150 + "r" * 50)
    assert found.outcome == "fail"
    assert conditions(found) == {
        "control below the bar": "yes",
        "bar": "yes",
        "gain": "yes",
        "not worse than live": "no",
    }


def test_cost_is_by_accepted_answer_and_unknown_where_one_price_is():
    found = judged(plan_of(60), base="a" * 12 + "r" * 48, tuned="a" * 48 + "r" * 12)
    assert found.cost_per_accepted == pytest.approx({"base": 0.06 / 12, "tuned": 0.06 / 48})
    answers, judgements = recorded({"base": "r" * 60, "tuned": "a" * 60})
    answers["tuned"][7] = msgspec.structs.replace(answers["tuned"][7], usd=None)
    found = verdict(plan_of(60), asked(60), answers, judgements)
    assert found.cost_per_accepted == {"base": None, "tuned": None}
    assert found.spent["base"].usd == pytest.approx(0.06)


def test_means_are_of_all_answers_or_not_given():
    answers, judgements = recorded({"base": "r" * 60, "tuned": "a" * 50 + "-" * 10})
    answers["base"][3] = msgspec.structs.replace(answers["base"][3], completion_tokens=None)
    found = verdict(plan_of(60), asked(60), answers, judgements)
    assert (found.spent["base"].prompt_tokens_mean, found.spent["base"].completion_tokens_mean) == (200, None)
    tuned = found.spent["tuned"]
    assert (tuned.answers, tuned.missing, tuned.completion_tokens_mean, tuned.latency_seconds_median) == (
        50,
        10,
        8,
        0.5,
    )


def test_a_calibration_that_lowers_the_rate_below_the_bar_holds_the_pass_back():
    rows = {"base": "a" * 6 + "r" * 54, "tuned": "a" * 46 + "r" * 14}
    plan = plan_of(60, calibration_sha256="c" * 64)
    good = judged(plan, Calibration(20, 20, 20, 20), **rows)
    assert good.outcome == "pass"
    assert good.corrected is not None
    assert good.corrected["tuned"].estimate == pytest.approx(46 / 60)
    generous = judged(plan, Calibration(20, 20, 20, 8), **rows)
    assert generous.outcome == "undecided"
    assert conditions(generous)["calibration"] == "open"
    assert "mend the judges" in generous.questions_needed_why
    none = judged(plan, Calibration(20, 20, 0, 0), **rows)
    assert none.outcome == "undecided"


def test_a_calibration_that_was_not_registered_or_is_missing_is_refused():
    rows = {"base": "r" * 60, "tuned": "a" * 60}
    with pytest.raises(ValueError, match="no labelled answers, and counts of some were given"):
        judged(plan_of(60), Calibration(20, 20, 20, 20), **rows)
    with pytest.raises(ValueError, match="labelled answers without counts"):
        judged(plan_of(60, calibration_sha256="c" * 64), **rows)


def test_rates_are_there_by_label_and_for_questions_without_an_answer():
    found = judged(plan_of(20), base="r" * 20, tuned="r" * 5 + "a" * 15, unanswerable=5)
    assert found.unanswerable["tuned"].accepted == 0
    assert found.answerable["tuned"].low == 1.0
    assert sorted(found.by_label["department"]) == ["hr", "it"]
    assert not any("makes answers up" in note for note in found.notes)


def test_a_set_in_use_for_long_is_warned_about():
    found = judged(plan_of(60, earlier_verdicts=19), base="r" * 60, tuned="a" * 60)
    assert any("39.7%" in note for note in found.notes)


def test_questions_that_rest_on_one_passage_are_counted():
    questions = [
        msgspec.structs.replace(one, sources=(f"page-{min(place, 57)}",)) for place, one in enumerate(asked(60))
    ]
    answers, judgements = recorded({"base": "r" * 60, "tuned": "a" * 60})
    found = verdict(plan_of(60), questions, answers, judgements)
    assert any(note.startswith("3 questions rest on a passage") for note in found.notes)


def test_what_does_not_belong_or_is_there_twice_is_refused_all_at_once():
    answers, judgements = recorded({"base": "r" * 6, "tuned": "a" * 6})
    answers["tuned"].append(answers["tuned"][0])
    answers["stranger"] = [Answer("q000", "stranger", "Hello.")]
    answers["base"].append(Answer("q999", "base", "Hello."))
    judgements += [judgements[0], Judgement("q001", "base", "third", "accept", "")]
    with pytest.raises(ValueError) as raised:
        verdict(plan_of(7), asked(6), answers, judgements)
    for words in (
        "the plan has 7 questions, and 6 were given",
        "answer of 'tuned' to 'q000' is there twice",
        "'stranger', which is none of the plan's generators",
        "answer of 'base' to 'q999' is to no question of the set",
        "judgement of 'strict' on 'base' and 'q000' is there twice",
        "'third' on 'base' and 'q001' is from none of the plan's judges",
    ):
        assert words in str(raised.value)


def test_a_verdict_names_its_plan():
    plan = plan_of(60)
    found = judged(plan, base="r" * 60, tuned="a" * 60)
    assert (found.plan_sha256, found.set_sha256) == (plan.sha256(), plan.set_sha256)


def test_splits_that_hide_which_side_of_the_bar_it_is_need_a_person_and_not_more_questions():
    found = judged(plan_of(60), base="r" * 60, tuned="a" * 33 + "s" * 12 + "r" * 15)
    assert found.outcome == "undecided"
    assert found.questions_needed is None
    assert "let a person settle them" in found.questions_needed_why


def test_more_questions_are_counted_for_what_is_open():
    found = judged(plan_of(30), base="a" * 15 + "r" * 15, tuned="a" * 21 + "r" * 9)
    assert found.outcome == "undecided"
    assert found.questions_needed is not None
    assert 50 < found.questions_needed < 300
    lower = judged(plan_of(30), base="a" * 15 + "r" * 15, tuned="a" * 15 + "r" * 15)
    assert lower.outcome == "undecided"
    assert "too small to be worth having" in lower.questions_needed_why or "below the bar" in lower.questions_needed_why
