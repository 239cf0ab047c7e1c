"""The policy's `replay` section: what is assumed of recorded traffic."""

from __future__ import annotations

import pytest

from gateway.policy import PolicyError, parse_policy

REST = """
version: 1
backends:
  box: {wire: openai, base_url: "http://127.0.0.1:1/v1", speed: {single_stream_tokens_per_second: 10}}
aliases:
  tuned: {served_by: [{backend: box, model: m}]}
"""


def test_left_out_it_says_what_it_assumes() -> None:
    replay = parse_policy(REST).replay
    assert (replay.tuned_alias, replay.base_alias) == ("tuned", "base")
    assert (replay.tuned_share, replay.interactive_share) == (0.6, 0.8)
    assert replay.relaxed_ceiling.ttft_seconds == 300
    assert replay.relaxed_ceiling.seconds_per_output_token == 1.0


def test_a_share_above_one_is_an_error_with_its_line() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(REST + "replay: {tuned_share: 60}\n", "mine.yaml")
    assert "mine.yaml:7" in str(caught.value)
    assert "replay.tuned_share" in str(caught.value)
