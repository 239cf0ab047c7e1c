"""The frozen questions reach a generator once each, as frozen; what it said is logged and not asked again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.scripted_peer import Connection, Script, scripted_peer
from tests.trainer.gate.peers import knows_the_answers, model, settings
from tests.trainer.gate.sets import FROZEN, LEAVE, QUESTIONS, RIGHT
from trainer.gate.chat import Chats
from trainer.gate.errors import GivenUpError, IdentityError, RefusedError
from trainer.gate.generate import generate, generator_identity
from trainer.gate.progress import silent
from trainer.gate.prompt import messages, sha256_of_messages
from trainer.gate.runlog import Answered, RunLog, read_log
from trainer.gate.schema import Answer, FrozenSet

SAMPLING = {"max_tokens": 40, "temperature": 0.3, "seed": 11}


async def run(
    url: str,
    folder: Path,
    generator: str = "candidate",
    frozen: FrozenSet = FROZEN,
    progress: Any = silent,
    **changed: Any,
) -> list[Answer]:
    of = settings(url, sampling=SAMPLING, **changed)
    async with Chats(of.concurrency, retries=of.retries, longest_wait_seconds=of.longest_wait_seconds) as chats:
        with RunLog(folder / f"{generator}.jsonl") as log:
            return await generate(chats, of, frozen, generator, log, progress)


async def test_every_question_is_asked_once_with_the_same_prompt_and_sampling(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    async with scripted_peer(model(knows_the_answers)) as peer:
        answers = await run(peer.url, tmp_path, progress=lambda *seen: told.append(seen))
        bodies = [json.loads(request.body) for request in peer.requests]
    assert [(one.question, one.text) for one in answers] == list(RIGHT.items())
    assert sorted(body["messages"][1]["content"] for body in bodies) == sorted(
        messages(FROZEN.instruction, question)[1]["content"] for question in QUESTIONS
    )
    for body in bodies:
        assert {name: body[name] for name in SAMPLING} == SAMPLING
        assert (body["model"], body["stream"]) == ("handbook@v0001", False)
    leave = answers[0]
    assert leave.prompt_sha256 == sha256_of_messages(messages(FROZEN.instruction, LEAVE))
    assert (leave.seed, leave.prompt_tokens, leave.completion_tokens) == (11, 50, 11)
    assert told[0] == ("candidate", 0, 6)
    assert told[-1] == ("candidate", 6, 6)
    (line,) = [one for one in read_log(tmp_path / "candidate.jsonl") if one.answer == leave]  # type: ignore[union-attr]
    assert isinstance(line, Answered)
    assert line.messages == messages(FROZEN.instruction, LEAVE)


async def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    async def until_four(connection: Connection) -> None:
        await model(knows_the_answers)(connection) if len(peer.requests) <= 4 else await connection.json({}, "403 No")

    async with scripted_peer(until_four) as peer:
        with pytest.raises(RefusedError):
            await run(peer.url, tmp_path, concurrency=1)
        peer.script = model(knows_the_answers)
        answers = await run(peer.url, tmp_path)
        assert len(peer.requests) == 5 + 2
        assert await run(peer.url, tmp_path) == answers
        assert len(peer.requests) == 7
    assert [one.text for one in answers] == list(RIGHT.values())


async def test_another_prompt_model_or_sampling_is_asked_anew(tmp_path: Path) -> None:
    changed = msgspec.structs.replace(FROZEN, instruction="Say it shortly.")
    async with scripted_peer(model(knows_the_answers)) as peer:
        await run(peer.url, tmp_path)
        await run(peer.url, tmp_path, frozen=changed)
        assert len(peer.requests) == 12
        other = settings(peer.url, sampling={**SAMPLING, "seed": 12})
        async with Chats(4) as chats:
            with RunLog(tmp_path / "candidate.jsonl") as log:
                await generate(chats, other, FROZEN, "candidate", log)
        assert len(peer.requests) == 18


async def test_a_question_without_an_answer_is_an_error_of_its_own_and_is_asked_again(tmp_path: Path) -> None:
    async def but_one(connection: Connection) -> None:
        if LEAVE.question in connection.body.decode():
            await connection.json({"error": {"message": "the prompt is too long"}}, "400 Bad Request")
        else:
            await model(knows_the_answers)(connection)

    async with scripted_peer(but_one) as peer:
        answers = await run(peer.url, tmp_path)
        assert answers[0].text is None
        assert "the prompt is too long" in str(answers[0].error)
        assert all(one.error is None for one in answers[1:])
        peer.script = model(knows_the_answers)
        assert (await run(peer.url, tmp_path))[0].text == RIGHT["q-leave"]
        assert len(peer.requests) == 7


async def test_a_generator_that_is_not_there_is_not_asked_everything(tmp_path: Path) -> None:
    many = msgspec.structs.replace(
        FROZEN, questions=tuple(msgspec.structs.replace(LEAVE, id=f"q{number}") for number in range(40))
    )
    broken: Script = lambda connection: connection.json({}, "500 Broken")  # noqa: E731
    async with scripted_peer(broken) as peer:
        with pytest.raises(GivenUpError, match=r"8 requests in a row got no answer, the last: .*HTTP 500"):
            await run(peer.url, tmp_path, frozen=many, concurrency=2)
        assert len(peer.requests) <= 10
        with pytest.raises(GivenUpError, match="no question got an answer"):
            await run(peer.url, tmp_path)


@pytest.mark.parametrize(
    ("said", "header"),
    [
        ("handbook@v0002", ""),
        ("base", ""),
        ("handbook", "x-crossover-adapter: handbook@v0002\r\n"),
        ("handbook@v0001", "x-crossover-adapter: handbook@v0002\r\n"),
        ("handbook@v0001", "x-crossover-adapter: someone-else\r\n"),
    ],
)
async def test_another_version_than_the_gated_one_stops_the_run(tmp_path: Path, said: str, header: str) -> None:
    async with scripted_peer(model(knows_the_answers, header, said)) as peer:
        with pytest.raises(IdentityError, match=r"handbook@v0001 was asked for"):
            await run(peer.url, tmp_path)
    assert not read_log(tmp_path / "candidate.jsonl")


async def test_an_alias_may_answer_for_the_version_that_the_settings_name(tmp_path: Path) -> None:
    named = {"model": "staff", "adapter": "handbook@v0001"}
    header = "x-crossover-adapter: handbook@v0001\r\n"
    async with scripted_peer(model(knows_the_answers, header, "staff")) as peer:
        generators = {"control": {"model": "base", "base_url": peer.url}, "candidate": {**named, "base_url": peer.url}}
        answers = await run(peer.url, tmp_path, generators=generators)
    assert {one.adapter for one in answers} == {"handbook@v0001"}
    assert generator_identity(settings(peer.url, generators=generators), "candidate")["adapter"] == "handbook@v0001"


async def test_an_alias_that_is_changed_in_the_middle_stops_the_run(tmp_path: Path) -> None:
    async def changes(connection: Connection) -> None:
        version = "a" if len(peer.requests) < 4 else "b"
        await model(knows_the_answers, f"x-crossover-adapter: {version}\r\n")(connection)

    async with scripted_peer(changes) as peer:
        with pytest.raises(IdentityError, match="was changed during the gate"):
            await run(peer.url, tmp_path, generator="control", concurrency=1)
