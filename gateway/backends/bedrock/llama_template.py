"""Llama 3.1's chat template, for the bodies that carry a prompt in place of messages.

Each turn is `<|start_header_id|>role<|end_header_id|>`, two newlines, the trimmed text, `<|eot_id|>`; the prompt begins
with `<|begin_of_text|>` and ends with an open assistant turn. Meta's own template also puts "Cutting Knowledge Date"
and "Today Date" lines before the system text: they are NOT added here, since an adapter is tuned on plain system texts
and the same request should give the same prompt every day.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.backends.bedrock.messages import ChatMessage

SPECIAL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|finetune_right_pad_id|>",
    "<|python_tag|>",
)
_longest = max(map(len, SPECIAL_TOKENS))


def render(messages: Sequence[ChatMessage]) -> str:
    """The prompt of a conversation, up to the open turn of the assistant."""
    turns = [
        f"<|start_header_id|>{message.role}<|end_header_id|>\n\n{message.text.strip()}<|eot_id|>"
        for message in messages
    ]
    return "<|begin_of_text|>" + "".join(turns) + "<|start_header_id|>assistant<|end_header_id|>\n\n"


class SpecialTokenFilter:
    """Takes special tokens out of generated text that comes in pieces, also when one is cut in two by a piece's end."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What may be shown by now; the possible beginning of a special token is held back."""
        if self._held:
            text, self._held = self._held + text, ""
        if "<" not in text:
            return text
        for token in SPECIAL_TOKENS:
            text = text.replace(token, "")
        start = text.rfind("<", max(0, len(text) - _longest + 1))
        if start >= 0 and any(token.startswith(text[start:]) for token in SPECIAL_TOKENS):
            self._held = text[start:]
            text = text[:start]
        return text

    def end(self) -> str:
        """The rest: what was held back was no special token after all."""
        held, self._held = self._held, ""
        return held
