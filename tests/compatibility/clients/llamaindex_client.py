"""LlamaIndex's client for OpenAI-like servers in its usual ways. Arguments: address, key, a model, a model with
embeddings. Prints JSON."""

import asyncio
import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike


def paint(colour: str) -> str:
    """Paints something."""
    return colour


url, key, name, vectors = sys.argv[1:]
reached = {"api_base": url, "api_key": key, "max_retries": 0}
model = OpenAILike(model=name, is_chat_model=True, is_function_calling_model=True, context_window=2048, **reached)
plain = OpenAILike(model=name, is_chat_model=False, context_window=2048, **reached)
question = [ChatMessage(role="user", content="What colour is the sky?")]


async def asked_without_waiting() -> list[str]:
    stream = await model.astream_chat(question)
    streamed = "".join([chunk.delta or "" async for chunk in stream])
    return [(await model.achat(question)).message.content or "", streamed]


answer = model.chat_with_tools([FunctionTool.from_defaults(paint)], user_msg=question[0])
calls = model.get_tool_calls_from_response(answer)
said = {
    "chat": model.chat(question).message.content,
    "stream": "".join(chunk.delta or "" for chunk in model.stream_chat(question)),
    "async": asyncio.run(asked_without_waiting()),
    "complete": plain.complete("Once").text,
    "complete_stream": "".join(chunk.delta or "" for chunk in plain.stream_complete("Once")),
    "tools": [[call.tool_name, call.tool_kwargs] for call in calls],
    "embeddings": OpenAILikeEmbedding(model_name=vectors, **reached).get_text_embedding_batch(["a"]),
}
print(json.dumps(said, default=str))
