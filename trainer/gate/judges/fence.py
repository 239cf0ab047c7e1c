"""An answer as data: between two marks that it cannot know, and without the tokens that end a turn of a chat."""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256

# Servers turn these into a model's control tokens wherever they stand in a message.
_CONTROL = re.compile(
    r"<\|[^|<>]{0,60}\|>|<\||\|>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS)\]|<</?SYS>>|</?s>|"
    r"<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|<\uff5c[^<>]{0,60}\uff5c>|</?think>",
    re.IGNORECASE,
)


def new_seed() -> str:
    """For one process. It is not kept: the log holds the prompts themselves."""
    return secrets.token_hex(16)


def fence_of(seed: str, *parts: str) -> str:
    """16 hexadecimal digits for these texts. An answer cannot hold it by intent: it is made from a seed that no
    generator sees, and from the answer."""
    message = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hmac.new(seed.encode(), message, sha256).hexdigest()[:16]


def defused(text: str) -> str:
    """The text with spaces inside whatever a server may read as a control token."""
    return _CONTROL.sub(lambda found: " ".join(found[0]), text)


def fenced(label: str, text: str, fence: str) -> str:
    """A block of the prompt. `label`: one word in capitals."""
    return f"[{label} {fence}]\n{defused(text)}\n[END OF {label} {fence}]"
