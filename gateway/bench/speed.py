"""How fast is a server? One stream, many together, prompts, the first token; a policy's `speed` from that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from gateway.bench.streams import BenchError, Target, Timed, prompt_of, together

TINY_TRIES = 5
PROMPT_TRIES = 3
SHORT_PROMPT_TOKENS = 16
LEAST_GAIN = 1.03
"""A higher level counts as more capacity only if all together are so much quicker."""

Say = Callable[[str], None]
"""Told what is measured next."""


@dataclass(frozen=True, slots=True)
class Level:
    """So many streams at once. `streams`: as many decoded at the same time, on the mean; `peak_streams`: at most."""

    concurrency: int
    streams: float
    peak_streams: int
    output_tokens: int
    seconds_per_token: float
    tokens_per_second: float
    """Of all together, while any of them decoded."""
    ttft_seconds: float
    """Median."""
    cut: int
    """Streams that were ended by --seconds."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was measured, lowest concurrency first."""

    levels: tuple[Level, ...]
    first_token_seconds: float
    prompt_tokens_per_second: float | None
    """None: a long prompt took no longer than a tiny one."""
    prompt_tokens: int
    """Of the long prompt, by the server's count."""
    ignores_eos: bool


async def measure(
    target: Target, concurrency: Sequence[int], *, output_tokens: int, prompt_tokens: int, seconds: float,
    say: Say | None = None,
) -> Measured:  # fmt: skip
    """Levels one after another, lowest first, 1 always among them; for at most `seconds` each. Raises `BenchError`."""
    say = say or _quiet
    say("warm-up")
    await target.warm_up()
    say("the first token of a tiny prompt")
    tiny = [await target.stream(f"Hi {number}", 2) for number in range(TINY_TRIES)]
    first = median(timed.ttft_seconds for timed in tiny)
    say(f"a prompt of {prompt_tokens} tokens")
    long = [await target.stream(prompt_of(prompt_tokens), 2) for _ in range(PROMPT_TRIES)]
    levels = []
    for streams in sorted({1, *concurrency}):
        say(f"{streams} at once")
        levels.append(await level(target, streams, output_tokens, seconds))
    read = median(timed.prompt_tokens or prompt_tokens for timed in long)
    more = read - median(timed.prompt_tokens or 1 for timed in tiny)
    longer = median(timed.ttft_seconds for timed in long) - first
    rate = more / longer if longer > 0.002 and more > 0 else None
    return Measured(tuple(levels), first, rate, round(read), target.ignores_eos)


def _quiet(words: str) -> None:
    del words


async def level(target: Target, streams: int, output_tokens: int, seconds: float) -> Level:
    """Raises `BenchError`."""
    prompts = [prompt_of(SHORT_PROMPT_TOKENS) for _ in range(streams)]
    try:
        timed = await together(target, prompts, output_tokens, seconds)
    except* BenchError as errors:
        failure: BaseException = errors
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        raise BenchError(f"with {streams} at once: {failure}") from None
    return summed(streams, timed)


def summed(concurrency: int, timed: Sequence[Timed]) -> Level:
    """One level's streams as its figures."""
    began, ended = min(t.first for t in timed), max(t.last for t in timed)
    span = ended - began
    steps = [t.seconds_per_token for t in timed if t.seconds_per_token is not None]
    if not steps or span <= 0:
        raise BenchError(
            f"with {concurrency} at once no answer had two tokens at different times: too short to be measured; raise "
            "--output-tokens"
        )
    tokens = sum(t.tokens for t in timed)
    return Level(
        concurrency,
        max(1.0, sum(t.last - t.first for t in timed) / span),
        _peak(timed),
        tokens,
        median(steps),
        (tokens - len(timed)) / span,
        median(t.ttft_seconds for t in timed),
        sum(t.cut for t in timed),
    )


def _peak(timed: Sequence[Timed]) -> int:
    """Most streams between their first and last token at the same time."""
    events = sorted([(t.first, 1) for t in timed] + [(t.last, -1) for t in timed])
    peak = now = 0
    for _, change in events:
        now += change
        peak = max(peak, now)
    return max(1, peak)


@dataclass(frozen=True, slots=True)
class Curve:
    """A step of b streams takes base + each*b seconds."""

    base: float
    each: float

    def step(self, streams: float) -> float:
        return self.base + self.each * streams

    def knee(self, ceiling_seconds: float) -> float:
        """Streams at which a token takes so long; below 1: even one is too slow; inf: it never does."""
        if self.each > 0:
            return (ceiling_seconds - self.base) / self.each
        return float("inf") if self.base <= ceiling_seconds else 0.0


def curve(levels: Sequence[Level]) -> Curve:
    """Least squares of relative errors; neither part below 0."""
    w = [1.0 / level.seconds_per_token**2 for level in levels]
    x = [level.streams for level in levels]
    y = [level.seconds_per_token for level in levels]
    total = sum(w)
    mean_x = sum(a * b for a, b in zip(w, x, strict=True)) / total
    mean_y = sum(a * b for a, b in zip(w, y, strict=True)) / total
    spread = sum(a * (b - mean_x) ** 2 for a, b in zip(w, x, strict=True))
    if spread < 1e-9 * total:
        return Curve(mean_y, 0.0)
    each = sum(a * (b - mean_x) * (c - mean_y) for a, b, c in zip(w, x, y, strict=True)) / spread
    each = min(max(0.0, each), mean_y / mean_x)
    return Curve(mean_y - each * mean_x, each)


@dataclass(frozen=True, slots=True)
class Speed:
    """A policy's `speed:` block. Its fields have the policy's names."""

    single_stream_tokens_per_second: float
    max_tokens_per_second: float
    at_concurrency: int
    prompt_tokens_per_second: float | None
    first_token_seconds: float

    def yaml(self) -> str:
        lines = ["speed:", f"  single_stream_tokens_per_second: {self.single_stream_tokens_per_second:.4g}"]
        lines += [f"  max_tokens_per_second: {self.max_tokens_per_second:.4g}"]
        lines += [f"  at_concurrency: {self.at_concurrency}"]
        if self.prompt_tokens_per_second is not None:
            lines += [f"  prompt_tokens_per_second: {self.prompt_tokens_per_second:.4g}"]
        lines += [f"  first_token_seconds: {self.first_token_seconds:.3g}"]
        return "\n".join(lines) + "\n"


def speed(measured: Measured) -> Speed:
    """`at_concurrency` is the lowest level from which on more streams bring nothing, or as many as decoded at once."""
    fitted = curve(measured.levels)
    full = measured.levels[0]
    for level in measured.levels[1:]:
        if level.tokens_per_second > LEAST_GAIN * full.tokens_per_second:
            full = level
    batch = min(full.concurrency, full.peak_streams)
    single = 1.0 / measured.levels[0].seconds_per_token
    most = single if batch == 1 else batch / fitted.step(batch)
    return Speed(
        single,
        min(max(single, most), single * batch),
        batch,
        measured.prompt_tokens_per_second,
        measured.first_token_seconds,
    )
