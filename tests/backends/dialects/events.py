"""Streams as vLLM 0.32 writes them, shortened."""

from __future__ import annotations

import json
from typing import Any


def event(name: str, **data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data}, separators=(',', ':'))}\n\n".encode()


def response(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": status, "usage": None, **more}


RESPONSES_USAGE = {"input_tokens": 32, "input_tokens_details": {"cached_tokens": 16}, "output_tokens": 3}
RESPONSES = [
    event("response.created", response=response("in_progress"), sequence_number=0),
    event("response.in_progress", response=response("in_progress"), sequence_number=1),
    event("response.output_item.added", output_index=0, sequence_number=2),
    event("response.content_part.added", output_index=0, sequence_number=3),
    event("response.output_text.delta", delta="I", sequence_number=4),
    event("response.output_text.delta", delta="'m", sequence_number=5),
    event("response.output_text.delta", delta=" glad", sequence_number=6),
    event("response.output_text.done", text="I'm glad", sequence_number=7),
    event("response.completed", response=response("completed", usage=RESPONSES_USAGE), sequence_number=8),
]
MESSAGES_START = event("message_start", message={"id": "m", "usage": {"input_tokens": 32, "output_tokens": 0}})
MESSAGES = [
    MESSAGES_START,
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "S"}),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "r"}),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "."}),
    event("content_block_stop", index=0),
    event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"input_tokens": 32, "output_tokens": 3}),
    event("message_stop"),
]
