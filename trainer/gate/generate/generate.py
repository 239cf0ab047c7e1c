"""The frozen questions to one generator, several at a time, and every answer into the run's log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from trainer.gate.chat import Chats, Endpoint
from trainer.gate.errors import ChatError, GivenUpError
from trainer.gate.generate.identity import Identity, expected_version
from trainer.gate.progress import Tell, silent
from trainer.gate.prompt import messages, sha256_of_messages
from trainer.gate.runlog import Answered, Asked, RunLog
from trainer.gate.schema import Answer, FrozenSet, Question
from trainer.gate.settings import GateSettings, SamplingSettings
from trainer.gate.stopping import first_of

FAILURES_IN_A_ROW = 8
"""So many requests that got no answer, one after the other: the generator is not there, and the rest is not asked."""


def generator_identity(settings: GateSettings, name: str) -> dict[str, str]:
    """What the plan registers of a generator. No key, and of the address only what is no secret: it is in the file."""
    generator = settings.generators[name]
    sampling = settings.sampling
    identity = {
        "model": generator.model,
        "base_url": generator.base_url,
        "max_tokens": str(sampling.max_tokens),
        "temperature": f"{sampling.temperature:g}",
        "seed": "none" if sampling.seed is None else str(sampling.seed),
    }
    version = expected_version(generator)
    return identity if version is None else identity | {"adapter": version}


async def generate(
    chats: Chats,
    settings: GateSettings,
    frozen: FrozenSet,
    generator: str,
    log: RunLog,
    progress: Tell = silent,
) -> list[Answer]:
    """One answer to each question, in the order of the set.

    What the log has an answer to already (the same messages, model, address and sampling) is not asked again; what
    failed is. A request that got no answer is an Answer with an `error`, also in the log.

    Raises RefusedError, IdentityError, GivenUpError, RunLogError. What was answered before is in the log then.
    """
    run = _Run(chats, settings, frozen, generator, log, progress)
    return await run.all()


class _Run:
    def __init__(
        self,
        chats: Chats,
        settings: GateSettings,
        frozen: FrozenSet,
        generator: str,
        log: RunLog,
        progress: Tell,
    ) -> None:
        of = settings.generators[generator]
        self._name = generator
        self._log = log
        self._frozen = frozen
        self._progress = progress
        self._workers = settings.concurrency
        self._sampling: SamplingSettings = settings.sampling
        self._asked = Asked(
            of.model, of.base_url, settings.sampling.max_tokens, settings.sampling.temperature, settings.sampling.seed
        )
        self._identity = Identity(generator, of)
        self._endpoint: Endpoint = chats.endpoint(f"generator {generator}", of.base_url, of.key_env, of.timeout_seconds)
        self._answers: dict[str, Answer] = {}
        self._failed_in_a_row = 0

    async def all(self) -> list[Answer]:
        prompts = {one.id: messages(self._frozen.instruction, one) for one in self._frozen.questions}
        self._take_known({id: sha256_of_messages(chat) for id, chat in prompts.items()})
        self._tell()
        waiting = iter([one for one in self._frozen.questions if one.id not in self._answers])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work(waiting, prompts))
        except BaseExceptionGroup as several:
            raise first_of(several) from None
        if self._frozen.questions and all(answer.text is None for answer in self._answers.values()):
            last = self._answers[self._frozen.questions[-1].id]
            raise GivenUpError(f"no question got an answer, the last: {last.error}")
        return [self._answers[one.id] for one in self._frozen.questions]

    def _take_known(self, prompts: dict[str, str]) -> None:
        """Earlier answers to the same requests. Their identity is checked again: the settings may have changed."""
        for line in self._log.lines:
            if not isinstance(line, Answered):
                continue
            answer = line.answer
            same = line.asked == self._asked and answer.generator == self._name
            if same and answer.text is not None and prompts.get(answer.question) == answer.prompt_sha256:
                self._identity.check(answer.model, answer.adapter)
                self._answers.setdefault(answer.question, answer)

    async def _work(self, waiting: Iterator[Question], prompts: dict[str, list[dict[str, str]]]) -> None:
        for question in waiting:
            chat = prompts[question.id]
            answer = await self._answer(question, chat)
            self._log.append(Answered(1, self._log.wall(), self._asked, chat, answer))
            self._answers[question.id] = answer
            self._tell()

    async def _answer(self, question: Question, chat: list[dict[str, str]]) -> Answer:
        sampling = self._sampling
        body: dict[str, Any] = {
            "model": self._asked.model, "messages": chat, "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature, "stream": False,
        }  # fmt: skip
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        common: dict[str, Any] = {
            "question": question.id, "generator": self._name, "seed": sampling.seed,
            "prompt_sha256": sha256_of_messages(chat),
        }  # fmt: skip
        try:
            reply = await self._endpoint.chat(body)
        except ChatError as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= FAILURES_IN_A_ROW:
                raise GivenUpError(
                    f"{self._failed_in_a_row} requests in a row got no answer, the last: {error}. What was answered is "
                    "kept: the same run goes on from there"
                ) from None
            return Answer(text=None, error=str(error), **common)
        self._failed_in_a_row = 0
        self._identity.check_reply(reply)
        return Answer(
            text=reply.text, model=reply.model, finish_reason=reply.finish_reason, prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens, latency_seconds=reply.latency_seconds, backend=reply.backend,
            adapter=reply.adapter, decision=reply.decision, **common,
        )  # fmt: skip

    def _tell(self) -> None:
        self._progress(self._name, len(self._answers), len(self._frozen.questions))
