"""Where an answer's words come from: the types every source speaks, and the built-in generator."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.sandbox.bedrock.errors import invalid


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TextRequest:
    """What to continue: `messages`, or a raw `prompt` when there are none. The text is always greedy: temperature 0."""

    max_tokens: int
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    """None: none. Else log probabilities of the chosen tokens with this many alternatives."""
    token_ids: bool = False
    """The log probabilities' tokens are wanted as `token_id:N`."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further body fields (`response_format`, ...) that only an upstream can honour."""
    ignore_eos: bool = False
    model: str | None = None
    """The upstream's model, where it is not the default one."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text and the number of tokens it took."""

    text: str
    tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end: `stop` (by itself or by `stop_sequence`) or `length`. `tokens` are those not told with a piece."""

    reason: Literal["stop", "length"]
    stop_sequence: str | None = None
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextStream:
    """An answer under way. `parts` yields pieces and then one Finish; `aclose` stops the work, begun or not."""

    input_tokens: int
    source: str
    parts: AsyncGenerator[Piece | Finish, None]
    release: Callable[[], None] = lambda: None

    async def aclose(self) -> None:
        # A generator that was never started does not run its `finally`: release what is behind it here.
        self.release()
        await self.parts.aclose()


class TextSource(Protocol):
    """Raises BedrockError for a request it cannot take and TextUnavailable when it is out of order."""

    async def open(self, request: TextRequest) -> TextStream: ...

    async def close(self) -> None: ...


# The generator's whole knowledge. It says what it is, so that nobody takes it for a model.
_TEXT = """
This reply is simulated text from the sandbox and not from a model . The sandbox writes words at a steady pace so that
the wire and the bill can be tested . The words come from a small chain of pairs and carry no answer . A copy of the
model wakes from the cold and serves the calls that wait for it . The bill counts the windows and the tokens of the
calls . The gateway reads the words at a steady pace and counts the tokens of the reply . A window opens with the first
call and the bill counts it whole . The calls that come while a window is open add nothing to the bill . A model at
rest goes cold and the next call waits for it . The pace of the words is set in the settings of the sandbox . The text
is the same for the same prompt so that a test can repeat it .
"""
_START = "This"
_PIECES = re.compile(r"\s*(?:\w+|[^\w\s])")
_MESSAGE_OVERHEAD_TOKENS = 4


def count_tokens(text: str) -> int:
    """Tokens as the sandbox counts them: words and punctuation marks."""
    return len(_PIECES.findall(text))


def _chain(text: str) -> dict[str, list[tuple[str, float]]]:
    """Successors of every word with their probabilities, likeliest first."""
    words = text.split()
    pairs: dict[str, Counter[str]] = defaultdict(Counter)
    for word, follower in zip(words, words[1:] + words[:1], strict=True):
        pairs[word][follower] += 1
    return {
        word: [(follower, count / followers.total()) for follower, count in followers.most_common()]
        for word, followers in pairs.items()
    }


class Generator:
    """Simulated text: a word-level Markov chain seeded by the prompt, so equal prompts get equal answers.

    One word or full stop is one token. Log probabilities are the chain's own. It ends at the end of a sentence after
    between `min_tokens` and `max_tokens` tokens, unless told to ignore its end.
    """

    def __init__(self, min_tokens: int = 24, max_tokens: int = 160, source: str = "generator") -> None:
        self.min_tokens = min_tokens
        self.max_tokens = max_tokens
        self.source = source
        self._chain = _chain(_TEXT)
        self._ids = {word: number for number, word in enumerate(sorted(self._chain))}

    async def open(self, request: TextRequest) -> TextStream:
        if request.extra:
            raise invalid(
                f"The simulated generator cannot honour {', '.join(sorted(request.extra))}. "
                "Leave it out, or give the sandbox an upstream (text.source: openai)."
            )
        return TextStream(self.count(request), self.source, self._parts(request))

    async def close(self) -> None:
        return None

    def count(self, request: TextRequest) -> int:
        """Input tokens as the generator counts them: words and punctuation marks."""
        if request.messages:
            return sum(_MESSAGE_OVERHEAD_TOKENS + count_tokens(m.content) for m in request.messages)
        return max(1, count_tokens(request.prompt))

    async def _parts(self, request: TextRequest) -> AsyncGenerator[Piece | Finish, None]:
        words, ended = self._words(request)
        cut = StopCut(request.stop)
        pending: list[TokenLogprob] = []
        for text, logprob in words:
            pending.append(logprob)
            out = cut.feed(text)
            if out:
                yield self._piece(out, pending, request)
                pending = []
            if cut.hit is not None:
                yield Finish("stop", cut.hit, len(pending))
                return
        rest = cut.flush()
        if rest:
            yield self._piece(rest, pending, request)
            pending = []
        yield Finish("stop" if ended else "length", None, len(pending))

    def _piece(self, text: str, pending: list[TokenLogprob], request: TextRequest) -> Piece:
        return Piece(text, len(pending), tuple(pending) if request.logprobs is not None else ())

    def _words(self, request: TextRequest) -> tuple[list[tuple[str, TokenLogprob]], bool]:
        """The walk along the chain, and whether it ended by itself."""
        seed = hashlib.sha256(repr((request.messages, request.prompt)).encode()).digest()
        dice = random.Random(seed)  # noqa: S311
        wanted = request.max_tokens if request.ignore_eos else dice.randint(self.min_tokens, self.max_tokens)
        words: list[tuple[str, TokenLogprob]] = []
        word, probability, alternatives = _START, 1.0, [(_START, 1.0)]
        while len(words) < request.max_tokens:
            text = word if not words else _spaced(word)
            words.append((text, self._logprob(text, probability, alternatives, request)))
            if word == "." and len(words) >= wanted and not request.ignore_eos:
                return words, True
            alternatives = self._chain[word]
            word, probability = dice.choices(alternatives, [weight for _, weight in alternatives])[0]
        return words, False

    def _logprob(
        self, text: str, probability: float, alternatives: list[tuple[str, float]], request: TextRequest
    ) -> TokenLogprob:
        def shown(token: str) -> str:
            return f"token_id:{self._ids[token.strip()]}" if request.token_ids else token

        spaced = _spaced if text[0] in " ." else str
        top = tuple((shown(spaced(word)), math.log(weight)) for word, weight in alternatives[: request.logprobs or 0])
        return TokenLogprob(shown(text), math.log(probability), top)


def _spaced(word: str) -> str:
    return word if word == "." else " " + word


class StopCut:
    """Cuts text at the first stop sequence, holding back what might become one."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.hit: str | None = None
        """The stop sequence that was met."""

    def feed(self, text: str) -> str:
        """The text that is safe to show."""
        held = self._held + text
        found = [(held.index(stop), stop) for stop in self._stops if stop in held]
        if found:
            at, self.hit = min(found)
            self._held = ""
            return held[:at]
        keep = max((self._overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of `text` that begins `stop`."""
        return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
