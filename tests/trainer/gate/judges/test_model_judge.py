"""A model judge is asked once for each answer, fenced; what it does not plainly say is unjudged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.scripted_peer import Connection, Peer, scripted_peer
from tests.trainer.gate.peers import block, fair_judge, model
from tests.trainer.gate.sets import LEAVE, PARKING, QUESTIONS, RIGHT, answer
from trainer.gate.chat import Chats
from trainer.gate.errors import GivenUpError, RefusedError
from trainer.gate.judges import judge_answers
from trainer.gate.judges.model import ModelJudge
from trainer.gate.judges.rule import RuleJudge
from trainer.gate.prompt import sha256_of_messages
from trainer.gate.runlog import Judged, RunLog, read_log
from trainer.gate.schema import Answer, Judgement, Question
from trainer.gate.settings import JudgeSettings


def judge(chats: Chats, peer: Peer, **changed: Any) -> ModelJudge:
    data = {"kind": "model", "model": "big", "base_url": peer.url, "key_env": None} | changed
    return ModelJudge("second", JudgeSettings.model_validate(data), chats)


def chats() -> Chats:
    return Chats(4, longest_wait_seconds=0.02, environ={"XO_JUDGE_KEY": "sk-judge"})


async def judged(peer: Peer, text: str | None, question: Question = LEAVE, **changed: Any) -> Judgement:
    async with chats() as some:
        return await judge(some, peer, **changed).judge(question, answer(question, text))


async def test_the_judge_sees_question_passages_reference_and_answer_and_its_words_are_kept() -> None:
    async with scripted_peer(model(fair_judge)) as peer:
        accepted = await judged(peer, RIGHT["q-leave"])
        rejected = await judged(peer, "Full-time staff get 30 days. [leave-01]")
        first, second = (json.loads(request.body) for request in peer.requests)
    assert (accepted.outcome, rejected.outcome) == ("accept", "reject")
    assert accepted.reason == "The answer is what the reference says."
    assert accepted.raw is not None
    assert accepted.raw.endswith("VERDICT: accept")
    assert accepted.prompt_sha256 == sha256_of_messages(first["messages"])
    assert (accepted.prompt_tokens, accepted.model) == (50, "big")
    assert block(first["messages"], "QUESTION") == LEAVE.question
    assert block(first["messages"], "REFERENCE") == LEAVE.reference
    assert all(passage.text in block(first["messages"], "PASSAGES") for passage in LEAVE.passages)
    assert (first["temperature"], first.get("seed")) == (0, None)
    assert "response_format" not in first
    marks = [body["messages"][1]["content"].partition("\n")[0] for body in (first, second)]
    assert marks[0] != marks[1]


async def test_where_there_is_no_answer_the_judge_is_told_so() -> None:
    async with scripted_peer(model(fair_judge)) as peer:
        assert (await judged(peer, "The handbook does not say.", PARKING)).outcome == "accept"
        assert (await judged(peer, "20 euros. [offices-01]", PARKING)).outcome == "reject"
        assert len(peer.requests) == 2


async def test_a_schema_is_asked_for_where_the_settings_say_so() -> None:
    says = model(lambda messages: '{"reason": "It does.", "verdict": "accept"}')
    async with scripted_peer(says) as peer:
        assert (await judged(peer, "x", response_format="json_schema")).outcome == "accept"
        body = json.loads(peer.requests[0].body)
    assert list(body["response_format"]["json_schema"]["schema"]["properties"]) == ["reason", "verdict"]


async def test_what_is_no_plain_verdict_is_unjudged_and_its_words_are_kept() -> None:
    async with scripted_peer(model(lambda messages: "Hm. It could be accepted.")) as peer:
        judgement = await judged(peer, "x")
        assert (judgement.outcome, judgement.raw) == ("unjudged", "Hm. It could be accepted.")
        peer.script = model(fair_judge, finish="length")
        assert (await judged(peer, "x")).outcome == "unjudged"


async def test_a_judge_that_cannot_be_asked_leaves_the_answer_unjudged_after_one_more_try() -> None:
    async def cut(connection: Connection) -> None:
        connection.writer.close()

    async with scripted_peer(cut) as peer:
        judgement = await judged(peer, "x", key_env="XO_JUDGE_KEY")
        assert len({request.body for request in peer.requests}) == 1
        assert len(peer.requests) == 2
    assert judgement.outcome == "unjudged"
    assert "could not be asked" in judgement.reason
    assert "sk-judge" not in msgspec.json.encode(judgement).decode()


async def test_what_needs_no_judge_is_told_without_asking_unless_it_is_a_canary() -> None:
    async with scripted_peer(model(fair_judge)) as peer:
        assert (await judged(peer, "")).outcome == "reject"
        assert (await judged(peer, "The handbook does not say.")).outcome == "reject"
        assert (await judged(peer, None)).outcome == "unjudged"
        assert (await judged(peer, "x" * 20_001)).outcome == "unjudged"
        assert not peer.requests
        async with chats() as some:
            opinion = await judge(some, peer).opinion(LEAVE, answer(LEAVE, ""), shortcuts=False)
        assert opinion.judgement.outcome == "reject"
        assert len(peer.requests) == 1


async def test_the_identity_names_model_address_and_prompt_and_no_key() -> None:
    async with scripted_peer() as peer, chats() as some:
        identity = judge(some, peer, key_env="XO_JUDGE_KEY").identity
        other = judge(some, peer, response_format="json_schema").identity
    assert (identity["kind"], identity["model"]) == ("model", "big")
    assert identity["base_url"] == peer.url, "another path of the same host may be another judge"
    assert identity["prompt_sha256"] != other["prompt_sha256"]
    assert "sk-judge" not in str(identity)


async def test_both_judges_judge_everything_and_nothing_twice(tmp_path: Path) -> None:
    given = [answer(question, RIGHT[question.id]) for question in QUESTIONS]
    given += [answer(question, RIGHT["q-meals"], "control") for question in QUESTIONS[2:]]

    async def run(peer: Peer, answers: list[Answer]) -> list[Judgement]:
        async with chats() as some:
            with RunLog(tmp_path / "log.jsonl") as log:
                return await judge_answers([RuleJudge("strict", "facts"), judge(some, peer)], QUESTIONS, answers, log)

    async with scripted_peer(model(fair_judge)) as peer:
        found = await run(peer, given)
        assert [one.judge for one in found] == ["strict"] * 10 + ["second"] * 10
        assert [one.outcome for one in found] == (["accept"] * 6 + ["reject"] * 4) * 2
        assert len(peer.requests) == 10
        assert await run(peer, given) == found
        assert len(peer.requests) == 10
        await run(peer, [answer(LEAVE, "another text")])
        assert len(peer.requests) == 11
    lines = [line for line in read_log(tmp_path / "log.jsonl") if isinstance(line, Judged)]
    asked = [line for line in lines if line.asked is not None]
    assert all(line.judgement.prompt_sha256 == sha256_of_messages(line.messages) for line in asked)


async def test_what_was_not_judged_and_what_another_judge_judged_is_asked_again(tmp_path: Path) -> None:
    async def run(peer: Peer, **changed: Any) -> list[Judgement]:
        async with chats() as some:
            with RunLog(tmp_path / "log.jsonl") as log:
                given = [answer(LEAVE, RIGHT["q-leave"])]
                return await judge_answers([judge(some, peer, **changed)], QUESTIONS, given, log)

    async with scripted_peer(model(lambda messages: "Perhaps.")) as peer:
        assert [one.outcome for one in await run(peer)] == ["unjudged"]
        peer.script = model(fair_judge)
        assert [one.outcome for one in await run(peer)] == ["accept"]
        peer.script = model(lambda messages: "No.\nVERDICT: reject")
        assert [one.outcome for one in await run(peer)] == ["accept"]
        assert [one.outcome for one in await run(peer, model="another")] == ["reject"]
        assert len(peer.requests) == 3


async def test_a_judge_that_is_gone_is_not_asked_everything(tmp_path: Path) -> None:
    given = [answer(LEAVE, f"text {number}", f"g{number}") for number in range(40)]
    async with scripted_peer(lambda connection: connection.json({}, "500 Broken")) as peer, chats() as some:
        with RunLog(tmp_path / "log.jsonl") as log, pytest.raises(GivenUpError, match="8 answers in a row"):
            await judge_answers([judge(some, peer)], QUESTIONS, given, log, at_once=2)
        assert len(peer.requests) <= 10
        peer.script = lambda connection: connection.json({}, "401 No")
        with RunLog(tmp_path / "log.jsonl") as log, pytest.raises(RefusedError):
            await judge_answers([RuleJudge("strict", "facts"), judge(some, peer)], QUESTIONS, given, log)
