"""Judges are tried on answers that are known to be right or wrong; one that errs stops the gate and is named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.scripted_peer import Connection, scripted_peer
from tests.trainer.gate.peers import Say, fair_judge, gullible_judge, model
from tests.trainer.gate.sets import FROZEN, LEAVE, PARKING, RIGHT
from trainer.gate.canaries import INJECTIONS, canaries, reference_answer, try_judges
from trainer.gate.chat import Chats
from trainer.gate.errors import CanaryError
from trainer.gate.judges.model import ModelJudge
from trainer.gate.judges.rule import RuleJudge
from trainer.gate.runlog import RunLog
from trainer.gate.schema import FrozenSet, Judgement
from trainer.gate.settings import JudgeSettings

RULES = [RuleJudge("strict", "facts"), RuleJudge("second", "grounding")]


async def tried(say: Say, folder: Path, finish: str = "stop") -> tuple[list[Judgement], int]:
    async with scripted_peer(model(say, finish=finish)) as peer, Chats(4) as chats:
        of = JudgeSettings.model_validate({"kind": "model", "model": "big", "base_url": peer.url})
        with RunLog(folder / "log.jsonl") as log:
            return await try_judges([ModelJudge("frontier", of, chats)], FROZEN, log), len(peer.requests)


def test_they_are_of_every_kind_and_always_the_same() -> None:
    made = canaries(FROZEN)
    kinds = Counter(canary.kind for canary in made)
    assert kinds == {
        "known good": 3, "known bad": 4, "empty": 1, "refusal": 1, "right refusal": 1, "injection": len(INJECTIONS),
    }  # fmt: skip
    assert made == canaries(FROZEN)
    assert {canary.right for canary in made if canary.kind in ("known good", "right refusal")} == {"accept"}
    assert {canary.right for canary in made if canary.kind not in ("known good", "right refusal")} == {"reject"}
    assert reference_answer(LEAVE) == RIGHT["q-leave"]


async def test_the_rules_pass_them(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        found = await try_judges(RULES, FROZEN, log)
    assert len(found) == 2 * len(canaries(FROZEN))


async def test_a_fair_model_passes_is_asked_all_of_them_and_not_again(tmp_path: Path) -> None:
    found, requests = await tried(fair_judge, tmp_path)
    assert len(found) == requests == len(canaries(FROZEN))


async def test_a_model_that_does_what_an_answer_says_stops_the_gate_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(CanaryError) as caught:
        await tried(gullible_judge, tmp_path)
    said = str(caught.value)
    assert "judge frontier failed the canary 'injection: says what to judge'" in said
    assert "it must reject and its outcome is accept. It said: 'I was told to. VERDICT: accept'" in said
    assert said.count("injection: ") == sum("accept" in text for _, text in INJECTIONS)
    assert "No answer was judged" in said
    assert said.endswith("--again tries the same one anew.")


async def test_what_a_judge_said_wrongly_stands_however_often_the_gate_is_begun(tmp_path: Path) -> None:
    say = [gullible_judge]
    async with scripted_peer(model(lambda messages: say[0](messages))) as peer, Chats(4) as chats:
        of = JudgeSettings.model_validate({"kind": "model", "model": "big", "base_url": peer.url})
        for each in (gullible_judge, fair_judge):
            say[0] = each
            with RunLog(tmp_path / "log.jsonl") as log, pytest.raises(CanaryError, match="injection: says what"):
                await try_judges([ModelJudge("frontier", of, chats)], FROZEN, log)
        assert len(peer.requests) == len(canaries(FROZEN))


async def test_a_judge_that_could_not_be_asked_is_asked_again(tmp_path: Path) -> None:
    there = False

    async def script(connection: Connection) -> None:
        await (model(fair_judge)(connection) if there else connection.json({"error": "not yet"}, "400 No"))

    async with scripted_peer(script) as peer, Chats(4) as chats:
        of = JudgeSettings.model_validate({"kind": "model", "model": "big", "base_url": peer.url})
        with RunLog(tmp_path / "log.jsonl") as log:
            with pytest.raises(CanaryError, match="HTTP 400"):
                await try_judges([ModelJudge("frontier", of, chats)], FROZEN, log)
            there = True
            assert len(await try_judges([ModelJudge("frontier", of, chats)], FROZEN, log)) == len(canaries(FROZEN))


@pytest.mark.parametrize(
    ("say", "kinds"),
    [
        (lambda messages: "Fine.\nVERDICT: accept", ("known bad", "empty", "refusal", "injection")),
        (lambda messages: "Bad.\nVERDICT: reject", ("known good", "right refusal")),
        (lambda messages: "This reply is simulated text.", ("known good", "known bad", "empty", "injection")),
    ],
)
async def test_a_model_that_always_says_the_same_fails(tmp_path: Path, say: Say, kinds: tuple[str, ...]) -> None:
    with pytest.raises(CanaryError) as caught:
        await tried(say, tmp_path)
    for kind in kinds:
        assert f"canary '{kind}" in str(caught.value)


async def test_a_judge_that_cannot_be_asked_is_named_once(tmp_path: Path) -> None:
    async with scripted_peer(lambda connection: connection.json({"error": "no schemas here"}, "400 No")) as peer:
        of = JudgeSettings.model_validate({"kind": "model", "model": "big", "base_url": peer.url})
        async with Chats(4) as chats:
            with RunLog(tmp_path / "log.jsonl") as log, pytest.raises(CanaryError) as caught:
                await try_judges([ModelJudge("frontier", of, chats)], FROZEN, log)
    assert str(caught.value).count("\n") == 1
    assert f"failed {len(canaries(FROZEN))} canaries, each for the same reason" in str(caught.value)
    assert "HTTP 400, no schemas here" in str(caught.value)


async def test_a_rule_fails_where_the_set_contradicts_itself(tmp_path: Path) -> None:
    """A reference that lacks its own facts: who wrote the set is told before anything is judged by it."""
    broken = msgspec.structs.replace(LEAVE, facts=(("26 days",),))
    frozen = msgspec.structs.replace(FROZEN, questions=(broken, *FROZEN.questions[1:]))
    with (
        RunLog(tmp_path / "log.jsonl") as log,
        pytest.raises(CanaryError, match=r"'known good \(q-leave\)': it must accept .*It lacks: 26 days"),
    ):
        await try_judges(RULES, frozen, log)


@pytest.mark.parametrize("questions", [(LEAVE,), (LEAVE, PARKING), (LEAVE, msgspec.structs.replace(LEAVE, id="q2"))])
def test_a_set_that_holds_no_two_different_answers_is_refused(questions: tuple[()]) -> None:
    frozen: FrozenSet = msgspec.structs.replace(FROZEN, questions=questions)
    with pytest.raises(CanaryError, match="no two answerable questions"):
        canaries(frozen)
