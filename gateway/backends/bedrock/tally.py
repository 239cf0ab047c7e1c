"""Tokens of one attempt, gathered from wherever Bedrock says them, or counted while the answer passes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.backends.tokens import BytesPerToken
from gateway.backends.usage import MISSING, Usage

INPUT_HEADER = "x-amzn-bedrock-input-token-count"
OUTPUT_HEADER = "x-amzn-bedrock-output-token-count"


class TokenRates:
    """Bytes per token of prompts (as they stand in the request's JSON) and of answers, learned by one backend."""

    __slots__ = ("answers", "prompts")

    def __init__(self) -> None:
        self.prompts = BytesPerToken()
        self.answers = BytesPerToken()


class InvocationMetrics(msgspec.Struct):
    """What the last chunk of a base model's stream carries as `amazon-bedrock-invocationMetrics`."""

    inputTokenCount: int | None = None
    outputTokenCount: int | None = None


class Tally:
    """Starts with nothing known. The first exact number for a side wins: body fields come before headers."""

    __slots__ = (
        "_complete",
        "_exact_output",
        "_rates",
        "answer_bytes",
        "content_events",
        "input_tokens",
        "prompt_bytes",
        "running_output_tokens",
    )

    def __init__(self, prompt_bytes: int, rates: TokenRates) -> None:
        self.prompt_bytes = prompt_bytes
        self.answer_bytes = 0
        self.content_events = 0
        self.input_tokens: int | None = None
        self.running_output_tokens: int | None = None
        """Output tokens up to now, of a backend that counts along."""
        self._exact_output: int | None = None
        self._complete = False
        self._rates = rates

    def content(self, text: str) -> None:
        """An event brought this text."""
        if text:
            self.content_events += 1
            self.answer_bytes += len(text) if text.isascii() else len(text.encode())

    def report(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """Final counts as the backend tells them; None: it does not tell."""
        if self.input_tokens is None and input_tokens is not None and input_tokens >= 0:
            self.input_tokens = input_tokens
        if self._exact_output is None and output_tokens is not None and output_tokens >= 0:
            self._exact_output = output_tokens

    def running_usage(self, input_tokens: int | None, output_tokens: int | None, *, final: bool) -> None:
        """Counts in the middle of a stream: the output's are final only once the stream has said why it ended."""
        self.report(input_tokens, output_tokens if final else None)
        if output_tokens is not None and not final:
            self.running_output_tokens = output_tokens

    def report_headers(self, headers: Mapping[str, str]) -> None:
        """Counts from an answer's headers (undocumented, and not sent for every model)."""
        self.report(_count(headers.get(INPUT_HEADER)), _count(headers.get(OUTPUT_HEADER)))

    def finish(self) -> None:
        """The answer is whole. Exact counts teach the rates."""
        self._complete = True
        if self.input_tokens is not None and self._exact_output is not None:
            self._rates.prompts.learn(self.prompt_bytes, self.input_tokens)
            self._rates.answers.learn(self.answer_bytes, self._exact_output)

    @property
    def usage(self) -> Usage:
        if self.input_tokens is not None and self._exact_output is not None:
            return Usage(self.input_tokens, self._exact_output, "exact")
        nothing_told = self.input_tokens is None and self._exact_output is None and self.running_output_tokens is None
        if self._complete and nothing_told and not self.answer_bytes:
            return MISSING
        return Usage(self._input_estimate(), self._output_estimate(), "estimated")

    def _input_estimate(self) -> int:
        if self.input_tokens is not None:
            return self.input_tokens
        return self._rates.prompts.estimate(self.prompt_bytes)

    def _output_estimate(self) -> int:
        if self._exact_output is not None:
            return self._exact_output
        if self.running_output_tokens is not None:
            return self.running_output_tokens
        if self._complete:
            return self._rates.answers.estimate(self.answer_bytes) if self.answer_bytes else 0
        return self.content_events


def _count(header: str | None) -> int | None:
    return int(header) if header is not None and header.isascii() and header.isdigit() else None
