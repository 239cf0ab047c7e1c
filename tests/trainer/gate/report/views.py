"""A report's values with hostile text in every place that a model, a judge or a corpus can write to."""

from __future__ import annotations

from tests.trainer.gate.rooms import question, right, rooms, wrong
from trainer.gate.plan import register
from trainer.gate.report.contents import view
from trainer.gate.report.view import View
from trainer.gate.schema import Answer, Judgement
from trainer.gate.verdict import verdict

HOSTILE = (
    '<script>window.injected = true</script><img src=x onerror="window.injected = true"> '
    "[click](javascript:alert(1)) | `code` **bold** ~~gone~~ https://evil.example/x \u202etext\u0000 &lt;b&gt;"
)
GENERATORS = ("control", "candidate", "cloud")


def hostile_view(questions: int = 12) -> View:
    """Three generators: the first has a third right, the second nearly all, the third nothing."""
    frozen = rooms(questions)
    plan = register(
        frozen, gate="rooms", generators={name: {"model": f"{name}<b>"} for name in GENERATORS},
        judges={"strict": {"kind": "rules", "rule": "facts"}, "second": {"kind": "rules", "rule": "grounding"}},
        sampling={"temperature": 0}, control="control", candidate="candidate", live=None, bar=0.6, alpha=0.05,
        minimum_gain=0.05, margin=0.1,
    )  # fmt: skip
    answers = {name: [_answer(name, number) for number in range(1, questions + 1)] for name in GENERATORS}
    judgements = [
        Judgement(one.question, one.generator, judge, _outcome(one, judge), f"{judge} says {HOSTILE}")
        for given in answers.values()
        for one in given
        for judge in ("strict", "second")
    ]
    return view(
        plan, verdict(plan, frozen.questions, answers, judgements), frozen, answers, judgements,
        made_at="2026-11-23T12:00:00Z", version="rooms@v0001",
        notes={"control": "base model + retrieval", "candidate": "the same, tuned"},
        simulated={"cloud": "answered by bedrock-base, which the gateway's policy calls simulated"},
    )  # fmt: skip


def _answer(name: str, number: int) -> Answer:
    good = {"control": number % 3 == 0, "candidate": number % 11 != 0, "cloud": False}[name]
    text: str | None = right(number) if good else wrong(number)
    if name == "cloud":
        text = HOSTILE if number % 2 else None
    return Answer(
        question(number).id, name, text, model=HOSTILE, completion_tokens=14, latency_seconds=1.25,
        usd=0.00001 * (3 if name == "cloud" else 1), error=None if text else "HTTP 500 <i>",
    )  # fmt: skip


def _outcome(one: Answer, judge: str) -> str:
    if one.text is None:
        return "unjudged"
    number = int(one.question[1:])
    if one.text != right(number):
        return "reject"
    return "reject" if judge == "second" and number == 7 else "accept"
