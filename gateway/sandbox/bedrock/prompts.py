"""Chat prompts written out as text, read back into messages.

InvokeModel's Meta body carries one string. When that string is a Llama 3 or ChatML chat, an upstream with another
template can only answer it well as messages.
"""

from __future__ import annotations

import re

from gateway.sandbox.bedrock.text import Message

_LLAMA3 = re.compile(
    r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\s*(.*?)(?:<\|eot_id\|>|<\|eom_id\|>|\Z)", re.DOTALL
)
_CHATML = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)


def messages_of(prompt: str) -> tuple[Message, ...]:
    """The messages of a Llama 3 or ChatML prompt, less the empty opening of the answer; none when it is plain text."""
    for form in (_LLAMA3, _CHATML):
        turns = [Message(role, content.strip()) for role, content in form.findall(prompt)]
        if turns and turns[-1].role == "assistant" and not turns[-1].content:
            turns.pop()
        if turns:
            return tuple(turns)
    return ()
