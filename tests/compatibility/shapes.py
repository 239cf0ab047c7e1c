"""A peer that answers every operation in the shapes of vLLM 0.32, the same each time: for what a client does with them.

Model `breaks`: its streams are cut after two tokens. Model `fails`: they report an error of their own there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.backends.dialects.events import event, response
from tests.scripted_peer import Connection

WORDS = ["The", " sky", " is", " blue"]
TEXT = "".join(WORDS)
ARGUMENTS = ['{"colour"', ':"red"}']
CALL = {"id": "call_1", "type": "function", "function": {"name": "paint", "arguments": "".join(ARGUMENTS)}}
USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
RESPONSES_USAGE = {
    "input_tokens": 11, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15,
}  # fmt: skip
MESSAGES_USAGE = {"input_tokens": 3, "cache_read_input_tokens": 8, "output_tokens": 4}
"""11 tokens of prompt too: 8 of them were cached."""


def text_for(asked: dict[str, Any]) -> str:
    formatted = asked.get("response_format") or asked.get("text") or asked.get("output_config")
    return "".join(ARGUMENTS) if formatted else TEXT


def logprob(word: str) -> dict[str, Any]:
    one = {"token": word, "logprob": -0.5, "bytes": list(word.encode())}
    return {**one, "top_logprobs": [one, {**one, "token": "x", "logprob": -2.0}]}


def chat(asked: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text_for(asked)}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
    if asked.get("tools"):
        message |= {"content": None, "tool_calls": [CALL]}
        choice["finish_reason"] = "tool_calls"
    if asked.get("logprobs"):
        choice["logprobs"] = {"content": [logprob(word) for word in WORDS]}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"], "choices": [choice],
        "usage": USAGE,
    }  # fmt: skip


def chat_events(asked: dict[str, Any]) -> list[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}],
        }  # fmt: skip

    chunks = [chunk({"role": "assistant", "content": ""})]
    if asked.get("tools"):
        named = {"index": 0, **CALL, "function": {"name": "paint", "arguments": ""}}
        chunks.append(chunk({"tool_calls": [named]}))
        chunks += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in ARGUMENTS]
        chunks.append(chunk({}, "tool_calls"))
    else:
        words = WORDS if text_for(asked) == TEXT else ARGUMENTS
        told = [{"logprobs": {"content": [logprob(word)]}} if asked.get("logprobs") else {} for word in words]
        chunks += [chunk({"content": word}, **more) for word, more in zip(words, told, strict=True)]
        chunks.append(chunk({}, "stop"))
    if (asked.get("stream_options") or {}).get("include_usage"):
        chunks.append({**chunk({}), "choices": [], "usage": USAGE})
    return [b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks] + [b"data: [DONE]\n\n"]


def completion(asked: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "text": TEXT, "finish_reason": "stop", "logprobs": None}
    return {
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": asked["model"], "choices": [choice],
        "usage": USAGE,
    }  # fmt: skip


def completion_events(asked: dict[str, Any]) -> list[bytes]:
    events = []
    for word in WORDS:
        choice = {"index": 0, "text": word, "finish_reason": None, "logprobs": None}
        events.append({**completion(asked), "choices": [choice], "usage": None})
    events.append({**completion(asked), "choices": []})
    return [b"data: " + json.dumps(one).encode() + b"\n\n" for one in events] + [b"data: [DONE]\n\n"]


def embeddings(asked: dict[str, Any]) -> dict[str, Any]:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    vector: Any = [0.5, -1.0]
    if asked.get("encoding_format") == "base64":
        vector = "AAAAPwAAgL8="  # the same numbers, little-endian
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(texts))]
    usage = {"prompt_tokens": 11, "total_tokens": 11}
    return {"object": "list", "model": asked["model"], "data": data, "usage": usage}


def _output(asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("tools"):
        call = {"name": "paint", "arguments": "".join(ARGUMENTS), "call_id": "call_1"}
        return {"id": "fc_1", "type": "function_call", "status": "completed", **call}
    part = {"type": "output_text", "text": text_for(asked), "annotations": [], "logprobs": None}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def _response(asked: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    return response(
        status, created_at=1, model=asked["model"], parallel_tool_calls=True, tool_choice="auto", tools=[],
        output=[_output(asked)], **more,
    )  # fmt: skip


def responses(asked: dict[str, Any]) -> dict[str, Any]:
    return _response(asked, usage=RESPONSES_USAGE)


def responses_events(asked: dict[str, Any]) -> list[bytes]:
    item = _output(asked)
    at = {"item_id": item["id"], "output_index": 0}
    if item["type"] == "function_call":
        begun: list[tuple[str, dict[str, Any]]] = [
            ("response.output_item.added", {"output_index": 0, "item": {**item, "arguments": ""}})
        ]
        begun += [("response.function_call_arguments.delta", {**at, "delta": part}) for part in ARGUMENTS]
    else:
        part = item["content"][0]
        empty = {**part, "text": "", "logprobs": []}
        begun = [
            ("response.output_item.added", {"output_index": 0, "item": {**item, "content": []}}),
            ("response.content_part.added", {**at, "content_index": 0, "part": empty}),
        ]
        words = WORDS if part["text"] == TEXT else ARGUMENTS
        deltas = [{**at, "content_index": 0, "delta": word, "logprobs": []} for word in words]
        begun += [("response.output_text.delta", delta) for delta in deltas]
        begun.append(("response.output_text.done", {**at, "content_index": 0, "text": part["text"], "logprobs": []}))
    named = [
        ("response.created", {"response": _response(asked, "in_progress", output_=[])}),
        *begun,
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": responses(asked)}),
    ]
    named[0][1]["response"]["output"] = []
    return [event(name, **data, sequence_number=number) for number, (name, data) in enumerate(named)]


def message(asked: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "text", "text": text_for(asked)}
    if asked.get("tools"):
        content = {"type": "tool_use", "id": "call_1", "name": "paint", "input": {"colour": "red"}}
    return {
        "id": "chatcmpl-1", "type": "message", "role": "assistant", "model": asked["model"], "content": [content],
        "stop_reason": "tool_use" if asked.get("tools") else "end_turn", "stop_sequence": None, "usage": MESSAGES_USAGE,
    }  # fmt: skip


def message_events(asked: dict[str, Any]) -> list[bytes]:
    whole = message(asked)
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**MESSAGES_USAGE, "output_tokens": 0}}
    if asked.get("tools"):
        block = {**whole["content"][0], "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in ARGUMENTS]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in WORDS]
    return [
        event("message_start", message=begun),
        event("content_block_start", index=0, content_block=block),
        *[event("content_block_delta", index=0, delta=delta) for delta in deltas],
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": whole["stop_reason"]}, usage={"output_tokens": 4}),
        event("message_stop"),
    ]


WHOLE: dict[str, Any] = {
    "/v1/chat/completions": chat,
    "/v1/completions": completion,
    "/v1/embeddings": embeddings,
    "/v1/responses": responses,
    "/v1/messages": message,
    "/v1/messages/count_tokens": lambda asked: {"input_tokens": 11},
}
STREAMS: dict[str, Any] = {
    "/v1/chat/completions": chat_events,
    "/v1/completions": completion_events,
    "/v1/responses": responses_events,
    "/v1/messages": message_events,
}
FAILURES = {
    "/v1/chat/completions": b'data: {"error":{"message":"the engine died","type":"InternalServerError"}}\n\n',
    "/v1/responses": event("error", code="server_error", message="the engine died", param=None, sequence_number=5),
    "/v1/messages": event("error", error={"type": "internal_error", "message": "the engine died"}),
}


async def in_vllms_shapes(connection: Connection) -> None:
    asked = json.loads(connection.body)
    path = connection.target
    if path not in WHOLE:
        await connection.json({"detail": "Not Found"}, "404 Not Found")
        return
    if not asked.get("stream"):
        await connection.json(WHOLE[path](asked))
        return
    events = STREAMS[path](asked)
    upset = asked["model"] in ("breaks", "fails")
    if upset:
        content = [n for n, one in enumerate(events) if b"delta" in one and b'"content": ""' not in one]
        events = events[: content[2]]
    await connection.start_stream()
    await send(connection, *events)
    if upset:
        await asyncio.sleep(0.1)  # before the first byte has gone to the client, another backend would be tried
    if asked["model"] == "breaks":
        connection.writer.close()
        return
    if asked["model"] == "fails":
        await send(connection, FAILURES[path])
    await connection.end_stream()


async def send(connection: Connection, *events: bytes) -> None:
    for one in events:
        await connection.send(b"%x\r\n%b\r\n" % (len(one), one))
