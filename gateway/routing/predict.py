"""When will the first token come, and how fast the rest: from the load as measured, corrected by what was observed.

The model of one machine with continuous batching:
- a step of a batch of b streams takes a + c*b seconds and gives each stream one token;
- prompts are read one after another, and while others decode a prompt has only `prompt_share_while_decoding` of the
  machine. What is left of it goes to the decoding streams: with a prompt being read for a share u of the time (as over
  the last minute), their steps take 1 / (1 - prompt_share_while_decoding * u) times as long;
- beyond the batch, a request waits until enough others have ended, each after a mean answer.

A backend whose streams do not slow each other (`prompt_share_while_decoding` is 0 in its `SpeedModel`) reads prompts
side by side, too. An imported model's speed is that of one copy: with more copies up, each has its part of the load.
"""

from __future__ import annotations

import msgspec

from gateway.routing.facts import RequestFacts
from gateway.routing.snapshot import BackendState
from gateway.routing.speed import SpeedModel

DEFAULT_OUTPUT_TOKENS = 150.0
"""Until an alias has been seen: a short answer."""
KV_CACHE_FULL = 0.95
"""From this use on, with requests in the backend's own line, the batch cannot grow: who comes now stands in that line
behind them. The line is believed to move as fast as that of a full batch; the correction learns the rest."""


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """Seconds. `latency_seconds` is to the last token of an answer of the length expected."""

    ttft_seconds: float
    seconds_per_token: float
    latency_seconds: float
    ahead: int = 0
    """Answers that have to end before this request gets a place."""
    seconds_per_ahead: float = 0.0
    """Mean time between two such ends."""
    reading_seconds: float = 0.0
    """Of the TTFT, what is left once there is a place."""


def output_tokens(facts: RequestFacts, mean: float) -> float:
    """Expected output length: of the request where that is known, else the mean; never above what it allows."""
    expected = facts.expected_output_tokens
    if expected is None:
        expected = mean
    most = facts.max_output_tokens
    return expected if most is None or expected < most else float(most)


def predict(
    speed: SpeedModel, state: BackendState, facts: RequestFacts, mean_output_tokens: float,
    own_output_tokens: float | None = None,
) -> Prediction:  # fmt: skip
    """If sent now. Never negative, and never quicker for more load. `speed` is the policy's, used until there is a
    learned one; `mean_output_tokens` is of those that are ahead; `own_output_tokens`: as `output_tokens` says, where
    the caller has it."""
    if own_output_tokens is None:
        own_output_tokens = output_tokens(facts, mean_output_tokens)
    speed = state.speed or speed
    batch = speed.batch
    foreign = state.foreign
    streams: float = state.in_flight + foreign + 1
    over: float = streams - batch
    window = state.window
    if window is not None and window.copies > 1:
        copies = window.copies
        over = streams / copies - batch
        streams = (streams - 1) / copies + 1
    waiting = state.waiting
    if waiting and waiting >= over and (state.kv_cache_usage or 0.0) >= KV_CACHE_FULL:
        over = waiting + 1
    if streams > batch:
        streams = batch
    share = speed.prompt_share_while_decoding
    rate = speed.prompt_tokens_per_second
    tokens = facts.input_tokens
    if share:
        slowed = 1.0 / (1.0 - share * state.prompt_share)
        if foreign or state.decoding:
            rate *= share
        reading = tokens / rate
        pre = (state.unread_prompt_tokens + tokens) / rate
    else:
        slowed = 1.0
        reading = pre = tokens / rate
    base, each = speed.step_base, speed.step_per_stream
    ttft_correction = state.correction.ttft
    first = speed.first_token_seconds
    ahead, between = 0, 0.0
    if over > 0:
        ahead = int(over) if over == int(over) else int(over) + 1
        between = mean_output_tokens * (base + each * batch) / batch * slowed
        waited = over * between + reading
        if waited > pre:
            pre = waited
        between *= ttft_correction
    ttft = (first + pre) * ttft_correction
    per_token = (base + each * streams) * slowed * state.correction.time_per_token
    latency = ttft + per_token * own_output_tokens
    return Prediction(ttft, per_token, latency, ahead, between, (first + reading) * ttft_correction)
