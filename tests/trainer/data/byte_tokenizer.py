"""A tokenizer small enough to check by hand: a token a byte, a few special tokens, and chat templates of the kinds that
models have. It has the part of transformers' interface that rendering uses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

SPECIAL = {"<s>": 256, "<|turn|>": 257, "<|end|>": 258, "</s>": 259}
TWO_BREAKS = 260
"""Two line breaks in a row are one token, as in many vocabularies: an answer can melt into its prompt."""
_PIECE = re.compile("|".join(map(re.escape, SPECIAL)) + r"|\n\n|(?s:.)")

Messages = list[dict[str, str]]


def chatml(messages: Messages, prompt: bool) -> str:
    text = "".join(f"<|turn|>{m['role']}\n{m['content']}<|end|>\n" for m in messages)
    return text + "<|turn|>assistant\n" * prompt


def stripping(messages: Messages, prompt: bool) -> str:
    return chatml([{**m, "content": m["content"].strip()} for m in messages], prompt)


def endless(messages: Messages, prompt: bool) -> str:
    return "".join(f"{m['role']}: {m['content']}\n" for m in messages) + "assistant: " * prompt


def other_end(messages: Messages, prompt: bool) -> str:
    """Ends turns with a token at which the server does not stop."""
    return chatml(messages, prompt).replace("<|end|>", "</s>")


def reasoning(messages: Messages, prompt: bool) -> str:
    """Opens the marks of reasoning in the generation prompt, and writes none into a whole conversation."""
    return chatml(messages, prompt) + "<think>\n" * prompt


def without_system(messages: Messages, prompt: bool) -> str:
    if messages[0]["role"] == "system":
        raise ValueError("System role not supported")
    return chatml(messages, prompt)


class ByteTokenizer:
    eos_token = "<|end|>"
    eos_token_id = SPECIAL["<|end|>"]
    all_special_tokens = tuple(SPECIAL)

    def __init__(self, template: Callable[[Messages, bool], str] | None = chatml, eos: str = "<|end|>") -> None:
        self.template = template
        self.chat_template = template and "<|turn|><|end|>"
        self.eos_token, self.eos_token_id = eos, SPECIAL[eos]

    def apply_chat_template(self, messages: Messages, *, tokenize: bool, add_generation_prompt: bool) -> str:
        assert not tokenize
        assert self.template is not None
        return self.template(messages, add_generation_prompt)

    def __call__(self, texts: list[str], *, add_special_tokens: bool, **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[SPECIAL["<s>"]] * add_special_tokens + self._ids(text) for text in texts]}

    def decode(self, ids: list[int]) -> str:
        names = {number: text for text, number in SPECIAL.items()} | {TWO_BREAKS: "\n\n"}
        return "".join(names.get(token, chr(token)) for token in ids)

    @staticmethod
    def _ids(text: str) -> list[int]:
        return [SPECIAL[piece] if piece in SPECIAL else _plain(piece) for piece in _PIECE.findall(text)]


def _plain(piece: str) -> int:
    return TWO_BREAKS if piece == "\n\n" else ord(piece) % 256
