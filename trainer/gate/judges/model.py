"""A judge that is a model behind an OpenAI-compatible address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from trainer.gate.chat import Chats
from trainer.gate.checks.refusal import only_refuses, sentences
from trainer.gate.errors import ChatError
from trainer.gate.judges.fence import fence_of, new_seed
from trainer.gate.judges.judge import judged, without_text
from trainer.gate.judges.judge_prompt import judge_messages, prompt_sha256, response_format
from trainer.gate.judges.verdict_line import read_verdict
from trainer.gate.prompt import sha256_of_messages
from trainer.gate.runlog import Asked
from trainer.gate.schema import Answer, Judgement, Question
from trainer.gate.settings import JudgeSettings

MOST_JUDGED_CHARACTERS = 20_000
"""A longer answer is not judged: cut, it would be another answer."""


@dataclass(frozen=True, slots=True)
class ModelOpinion:
    judgement: Judgement
    asked: Asked | None = None
    messages: list[dict[str, str]] = field(default_factory=list)


class ModelJudge:
    """Asks at temperature 0. Empty answers, and nothing but a refusal where there is an answer, are rejected unasked.

    seed: of the fences; a new one for each process.
    """

    def __init__(
        self, name: str, settings: JudgeSettings, chats: Chats, new_fence_seed: Callable[[], str] = new_seed
    ) -> None:
        if settings.model is None or settings.base_url is None:
            raise ValueError(f"judge {name}: kind model needs model and base_url")
        self.name = name
        self._form = settings.response_format
        self._fence_seed = new_fence_seed()
        self._asked = Asked(
            settings.model, settings.base_url, settings.max_tokens, 0.0, settings.seed, settings.response_format
        )
        self._endpoint = chats.endpoint(f"judge {name}", settings.base_url, settings.key_env, settings.timeout_seconds)
        self.identity = {
            "kind": "model",
            "what": "a language model",
            "model": settings.model,
            "base_url": settings.base_url,
            "prompt_sha256": prompt_sha256(self._form),
            "max_tokens": str(settings.max_tokens),
            "temperature": "0",
            "seed": "none" if settings.seed is None else str(settings.seed),
            "response_format": self._form,
        }

    async def judge(self, question: Question, answer: Answer) -> Judgement:
        return (await self.opinion(question, answer)).judgement

    async def opinion(self, question: Question, answer: Answer, *, shortcuts: bool = True) -> ModelOpinion:
        text = answer.text
        if text is None:
            none = without_text(self.name, question, answer)
            assert none is not None
            return ModelOpinion(none)
        if shortcuts and (told := self._without_asking(question, answer, text)) is not None:
            return ModelOpinion(told)
        fence = fence_of(self._fence_seed, question.id, answer.generator, text)
        messages = judge_messages(question, text, fence, self._form)
        return ModelOpinion(await self._asking(question, answer, messages), self._asked, messages)

    def _without_asking(self, question: Question, answer: Answer, text: str) -> Judgement | None:
        if not sentences(text):
            return judged(self.name, question, answer, "reject", "The answer is empty (told without asking the model).")
        if question.answerable and only_refuses(text):
            reason = "It refuses, and there is an answer (told without asking the model)."
            return judged(self.name, question, answer, "reject", reason)
        if len(text) > MOST_JUDGED_CHARACTERS:
            reason = f"The answer has {len(text)} characters; a judge is shown {MOST_JUDGED_CHARACTERS} at most."
            return judged(self.name, question, answer, "unjudged", reason)
        return None

    async def _asking(self, question: Question, answer: Answer, messages: list[dict[str, str]]) -> Judgement:
        asked = self._asked
        body: dict[str, Any] = {
            "model": asked.model, "messages": messages, "max_tokens": asked.max_tokens, "temperature": 0,
            "stream": False,
        }  # fmt: skip
        if asked.seed is not None:
            body["seed"] = asked.seed
        if (form := response_format(self._form)) is not None:
            body["response_format"] = form
        prompt = sha256_of_messages(messages)
        try:
            reply = await self._endpoint.chat(body)
        except ChatError as error:
            unjudged = judged(self.name, question, answer, "unjudged", f"The judge could not be asked: {error}")
            return msgspec.structs.replace(unjudged, prompt_sha256=prompt)
        outcome, reason = read_verdict(reply.text, reply.finish_reason)
        return Judgement(
            question.id, answer.generator, self.name, outcome, reason, raw=reply.text, model=reply.model,
            prompt_sha256=prompt, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens,
        )  # fmt: skip
