"""LangChain's OpenAI client in its usual ways. Arguments: address, key, a model, a model with embeddings. Prints
JSON."""

import asyncio
import json
import sys

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Colour(BaseModel):
    """A colour."""

    colour: str


@tool
def paint(colour: str) -> str:
    """Paints something."""
    return colour


url, key, name, vectors = sys.argv[1:]
reached = {"base_url": url, "api_key": key, "max_retries": 0}
model = ChatOpenAI(model=name, **reached)
responses = ChatOpenAI(model=name, use_responses_api=True, **reached)
question = "What colour is the sky?"
plain = list(model.stream(question))
chunks = list(model.stream(question, stream_usage=True))  # with a base_url it asks for no usage by itself
whole = model.invoke([("system", "Be brief."), ("human", question)])


async def asked_without_waiting() -> list[str]:
    streamed = "".join([chunk.content async for chunk in model.astream(question)])
    return [(await model.ainvoke(question)).content, streamed]


said = {
    "invoke": whole.content,
    "usage": whole.usage_metadata,
    "stream": "".join(chunk.content for chunk in chunks),
    "plain_stream_usage": [chunk.usage_metadata for chunk in plain if chunk.usage_metadata],
    "stream_usage": next(chunk.usage_metadata for chunk in chunks if chunk.usage_metadata),
    "async": asyncio.run(asked_without_waiting()),
    "tools": [[call["name"], call["args"]] for call in model.bind_tools([paint]).invoke(question).tool_calls],
    "structured": model.with_structured_output(Colour, method="json_schema").invoke(question).colour,
    "logprobs": [
        one["token"] for one in model.bind(logprobs=True).invoke(question).response_metadata["logprobs"]["content"]
    ],
    "responses": responses.invoke(question).text,
    "responses_stream": "".join(chunk.text for chunk in responses.stream(question)),
    "embeddings": OpenAIEmbeddings(model=vectors, check_embedding_ctx_length=False, **reached).embed_documents(["a"]),
}
print(json.dumps(said, default=str))
