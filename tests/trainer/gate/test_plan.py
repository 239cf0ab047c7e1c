"""What is registered before the first answer."""

from __future__ import annotations

import msgspec
import pytest

from trainer.gate.plan import Plan, register
from trainer.gate.prompt import sha256_of_set
from trainer.gate.schema import FrozenSet, Question


def frozen(*questions: str) -> FrozenSet:
    asked = tuple(Question(f"q{place}", words, ()) for place, words in enumerate(questions))
    return FrozenSet(1, "handbook", "Answer from the passages.", {}, asked)


def registered(a_set: FrozenSet, **changes: object) -> Plan:
    settings = {
        "gate": "handbook",
        "generators": {"base": {"model": "base"}, "tuned": {"model": "handbook@v0001"}, "old": {"model": "old"}},
        "judges": {"strict": {"rule": "facts"}, "second": {"rule": "grounding"}},
        "sampling": {"max_tokens": 96, "temperature": 0, "seed": 1},
        "control": "base",
        "candidate": "tuned",
        "live": None,
        "bar": 0.6,
        "alpha": 0.05,
        "minimum_gain": 0.05,
        "margin": 0.1,
    }
    return register(a_set, **(settings | changes))  # type: ignore[arg-type]


SET = frozen(*(f"What is rule {place}?" for place in range(60)))


def test_a_plan_holds_the_hash_of_its_set_and_its_tests_in_words():
    plan = registered(SET)
    assert (plan.set_sha256, plan.questions, plan.least_accepted) == (sha256_of_set(SET), 60, 43)
    text = "\n".join(plan.tests)
    assert "43 of 60" in text
    assert "McNemar" in text
    assert "Kill criterion" in text
    assert "Not worse" not in text
    assert "Not worse: tuned" in "\n".join(registered(SET, live="old").tests)


def test_any_change_changes_the_plans_hash_and_reading_it_back_does_not():
    plan = registered(SET)
    others = [
        registered(SET, bar=0.61),
        registered(SET, alpha=0.04),
        registered(SET, live="old"),
        registered(SET, judges={"strict": {"rule": "facts"}, "second": {"rule": "facts", "prompt": "2"}}),
        registered(SET, earlier_verdicts=1),
        registered(frozen(*(f"What is rule {place}?" for place in range(1, 61)))),
    ]
    assert len({plan.sha256(), *(other.sha256() for other in others)}) == len(others) + 1
    again = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
    assert again == plan
    assert again.sha256() == plan.sha256()


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ValueError) as raised:
        registered(SET, bar=1.0, alpha=0.5, margin=0.0, control="nobody", judges={"only": {"rule": "facts"}})
    for words in ("the bar is 1", "alpha is 0.5", "margin is 0", "control is 'nobody'", "1 judges (only)"):
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"candidate": "base"}, "control and candidate are both 'base'"),
        ({"live": "tuned"}, "live and candidate are both 'tuned'"),
        ({"live": "gone"}, "live is 'gone'"),
        ({"minimum_gain": -0.1}, "minimum_gain is -0.1"),
        ({"judges": {"a": {"rule": "facts"}, "b": {"rule": "facts"}}}, "a and b are the same judge twice"),
        ({"earlier_verdicts": -1}, "earlier_verdicts is -1"),
    ],
)
def test_a_plan_that_cannot_be_judged_is_refused(changes, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        registered(SET, **changes)


def test_what_serves_now_may_be_the_control():
    assert registered(SET, live="base").live == "base"


def test_a_set_that_asks_something_twice_is_refused():
    with pytest.raises(ValueError, match="q0, q1 ask the same words"):
        registered(frozen("What is  the rule?", "what is the RULE?"))
    twice = msgspec.structs.replace(SET, questions=(SET.questions[0], SET.questions[0]))
    with pytest.raises(ValueError, match="'q0' is used 2 times"):
        registered(twice)


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="0 questions"):
        registered(frozen())


def test_a_set_too_small_for_its_bar_says_so_in_the_plan():
    plan = registered(frozen("One?", "Two?", "Three?", "Four?", "Five?"))
    assert plan.least_accepted is None
    assert "5 questions are too few" in plan.tests[1]
