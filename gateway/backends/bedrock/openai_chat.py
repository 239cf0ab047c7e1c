"""The OpenAIChatCompletion body of an imported model: `messages` as they are, answered by OpenAI's own JSON.

The fields: those the user guide names (`messages`, `max_tokens`, `temperature`, `top_p`, `response_format`,
`logprobs`, `structured_outputs`) and the other sampling fields of the vLLM request class that Bedrock names in its own
errors. Tools work on GPT-OSS imports only and images on vision models only: neither is carried.
"""

from __future__ import annotations

import msgspec

from gateway.backends.bedrock import fields
from gateway.backends.bedrock.answer import Answer
from gateway.backends.bedrock.errors import bad_request
from gateway.backends.bedrock.passthrough import PassThrough
from gateway.backends.bedrock.tally import Tally
from gateway.backends.contract import Operation, UpstreamRequest

_COPIED = (
    "messages", "temperature", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty", "logit_bias",
    "logprobs", "top_logprobs", "response_format", "structured_outputs",
)  # fmt: skip
_CARRIED = frozenset({*_COPIED, "max_tokens", "max_completion_tokens"})


class OpenAIChat:
    path = "invoke"
    stream_path = "invoke-with-response-stream"

    def carries(self, operation: Operation) -> frozenset[str] | None:
        return _CARRIED if operation == "chat" else None

    def encode(self, request: UpstreamRequest) -> bytes:
        body = fields.copy(request, _COPIED)
        if "messages" not in body:
            raise bad_request("messages is required", "messages")
        limit = fields.max_tokens(request)
        if limit is not None:
            body["max_tokens"] = limit
        return msgspec.json.encode(body)

    def translator(self, answer: Answer, tally: Tally) -> PassThrough:
        return PassThrough(answer, tally)
