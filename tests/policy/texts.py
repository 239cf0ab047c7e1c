"""Policies as text, for tests of reading them, and what is wrong with one."""

from __future__ import annotations

import pytest

from gateway.policy import PolicyError, Problem, parse_policy

GOOD = """\
version: 1
backends:
  box:
    wire: openai
    base_url: http://127.0.0.1:8000/v1
    cost: {kind: amortized, usd_per_month: 200}
    speed: {single_stream_tokens_per_second: 14}
  cloud:
    wire: bedrock
    region: us-west-2
    cost: {kind: per_token, output_usd_per_1m: 0.22}
    speed: {single_stream_tokens_per_second: 95}
aliases:
  base:
    served_by:
      - {backend: box, model: base}
      - {backend: cloud, model: meta.llama3-1-8b-instruct-v1:0, api: converse}
"""


def problems(text: str, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p.yaml", environ or {})
    return list(caught.value.problems)


def only(text: str, environ: dict[str, str] | None = None) -> Problem:
    (problem,) = problems(text, environ)
    return problem


def backend(settings: str) -> str:
    """A policy whose one backend, `b`, has these settings from line 4 on, beside its speed on line 3."""
    head = "version: 1\nbackends:\n  b: &b\n    speed: {single_stream_tokens_per_second: 1}\n"
    return head + "".join(f"    {line}\n" for line in settings.splitlines())
