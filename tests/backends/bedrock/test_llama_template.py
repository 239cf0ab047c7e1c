"""The prompt of a conversation is Llama 3.1's, and special tokens never reach the client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.bedrock.llama_template import SPECIAL_TOKENS, SpecialTokenFilter, render
from gateway.backends.bedrock.messages import ChatMessage


def test_each_turn_is_framed_and_the_assistant_s_turn_is_left_open() -> None:
    conversation = [
        ChatMessage("system", " Be brief. "),
        ChatMessage("user", "Hi\n"),
        ChatMessage("assistant", "Hello."),
        ChatMessage("user", "Bye"),
    ]
    assert render(conversation) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_no_system_turn_and_no_date_is_added() -> None:
    assert render([ChatMessage("user", "Hi")]) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def filtered(pieces: list[str]) -> str:
    sieve = SpecialTokenFilter()
    return "".join([*(sieve.feed(piece) for piece in pieces), sieve.end()])


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_a_special_token_is_taken_out_wherever_it_is_cut(token: str) -> None:
    for cut in range(len(token) + 1):
        assert filtered(["so " + token[:cut], token[cut:] + "it goes"]) == "so it goes"


@given(st.lists(st.text(alphabet="<|ab_> ", max_size=8), max_size=8))
def test_text_without_special_tokens_passes_unchanged(pieces: list[str]) -> None:
    assert filtered(pieces) == "".join(pieces)
