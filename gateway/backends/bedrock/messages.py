"""A chat request's `messages` as role and text, for the bodies that do not take OpenAI's own JSON."""

from __future__ import annotations

import msgspec

from gateway.backends.bedrock.errors import bad_request

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class ChatMessage(msgspec.Struct, frozen=True):
    """`role` is one of system, user, assistant (OpenAI's developer is a system message here)."""

    role: str
    text: str


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


_decode = msgspec.json.Decoder(list[_Message]).decode


def read(raw: msgspec.Raw | None) -> list[ChatMessage]:
    """The conversation. Raises `UpstreamError` (400) that names the part which has no text form."""
    if raw is None:
        raise bad_request("messages is required", "messages")
    try:
        messages = _decode(raw)
    except msgspec.DecodeError as error:
        raise bad_request(f"messages cannot be read: {error}", "messages") from None
    if not messages:
        raise bad_request("messages is empty: give at least one message", "messages")
    return [ChatMessage(_role(index, message.role), _text(index, message)) for index, message in enumerate(messages)]


def _role(index: int, role: str) -> str:
    if role not in _ROLES:
        raise bad_request(
            f"messages[{index}].role is {role!r}; this backend carries system, developer, user and assistant",
            f"messages[{index}].role",
        )
    return _ROLES[role]


def _text(index: int, message: _Message) -> str:
    if message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    for place, part in enumerate(message.content):
        if part.type != "text":
            raise bad_request(
                f"messages[{index}].content[{place}].type is {part.type!r}; this backend carries text only",
                f"messages[{index}].content[{place}].type",
            )
    return "".join(part.text for part in message.content)
