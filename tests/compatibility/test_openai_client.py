"""The official `openai` client through the gateway, in each of its ways to ask."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pydantic
import pytest

from tests.compatibility.shapes import ARGUMENTS, TEXT, WORDS
from tests.gateway_process import API_KEY, GatewayProcess

ASKED: Any = [{"role": "user", "content": "What colour is the sky?"}]
SCHEMA: Any = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}
TOOL: Any = {"type": "function", "function": {"name": "paint", "parameters": SCHEMA}}
RESPONSES_TOOL: Any = {"type": "function", "name": "paint", "parameters": SCHEMA, "strict": False}


class Colour(pydantic.BaseModel):
    colour: Literal["red", "blue"]


def asynchronous(gateway: GatewayProcess) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0)


class TestChat:
    def test_a_whole_answer(self, client: openai.OpenAI) -> None:
        answer = client.chat.completions.create(model="tuned", messages=ASKED)
        assert answer.choices[0].message.content == TEXT
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 4)

    def test_the_gateways_headers_are_there_for_who_wants_them(self, client: openai.OpenAI) -> None:
        raw = client.chat.completions.with_raw_response.create(model="tuned", messages=ASKED)
        assert raw.headers["x-crossover-backend"] == "box"
        assert raw.headers["x-request-id"]
        assert raw.parse().choices[0].message.content == TEXT

    def test_a_stream_without_usage_has_a_choice_in_every_chunk(self, client: openai.OpenAI) -> None:
        chunks = list(client.chat.completions.create(model="tuned", messages=ASKED, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
        assert all(chunk.usage is None for chunk in chunks)

    def test_a_stream_with_usage_ends_with_it(self, client: openai.OpenAI) -> None:
        asked: Any = {"stream_options": {"include_usage": True}}
        chunks = list(client.chat.completions.create(model="tuned", messages=ASKED, stream=True, **asked))
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 4

    async def test_the_async_client(self, gateway: GatewayProcess) -> None:
        async with asynchronous(gateway) as client:
            whole = await client.chat.completions.create(model="tuned", messages=ASKED)
            stream = await client.chat.completions.create(model="tuned", messages=ASKED, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == whole.choices[0].message.content == TEXT

    def test_the_streaming_helper(self, client: openai.OpenAI) -> None:
        with client.chat.completions.stream(model="tuned", messages=ASKED) as stream:
            said = [event.delta for event in stream if event.type == "content.delta" and event.delta]
            assert said == WORDS
            assert stream.get_final_completion().choices[0].message.content == TEXT

    async def test_the_async_streaming_helper(self, gateway: GatewayProcess) -> None:
        async with (
            asynchronous(gateway) as client,
            client.chat.completions.stream(model="tuned", messages=ASKED) as stream,
        ):
            assert (await stream.get_final_completion()).choices[0].message.content == TEXT

    def test_tools(self, client: openai.OpenAI) -> None:
        answer = client.chat.completions.create(model="tuned", messages=ASKED, tools=[TOOL], tool_choice="auto")
        (call,) = answer.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == ("paint", "".join(ARGUMENTS))

    def test_streamed_tools(self, client: openai.OpenAI) -> None:
        strict: Any = {**TOOL, "function": {**TOOL["function"], "strict": True}}
        with client.chat.completions.stream(model="tuned", messages=ASKED, tools=[strict]) as stream:
            (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
        assert call.function.parsed_arguments == {"colour": "red"}

    def test_a_tools_answer_goes_back(self, client: openai.OpenAI, peer: Any) -> None:
        call = {"id": "call_1", "type": "function", "function": {"name": "paint", "arguments": "{}"}}
        turns: Any = [
            *ASKED, {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        ]  # fmt: skip
        assert client.chat.completions.create(model="tuned", messages=turns).choices[0].message.content == TEXT
        assert b'"tool_call_id":"call_1"' in peer.requests[-1].body

    def test_structured_outputs(self, client: openai.OpenAI) -> None:
        answer = client.chat.completions.parse(model="tuned", messages=ASKED, response_format=Colour)
        assert answer.choices[0].message.parsed == Colour(colour="red")

    def test_streamed_structured_outputs(self, client: openai.OpenAI) -> None:
        with client.chat.completions.stream(model="tuned", messages=ASKED, response_format=Colour) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == Colour(colour="red")

    @pytest.mark.parametrize("stream", [False, True])
    def test_logprobs(self, client: openai.OpenAI, stream: bool) -> None:
        asked: Any = {"model": "tuned", "messages": ASKED, "logprobs": True, "top_logprobs": 2}
        if stream:
            with client.chat.completions.stream(**asked) as events:
                choice: Any = events.get_final_completion().choices[0]
        else:
            choice = client.chat.completions.create(**asked).choices[0]
        assert [token.token for token in choice.logprobs.content] == WORDS
        assert len(choice.logprobs.content[0].top_logprobs) == 2

    def test_fields_that_only_the_backend_knows_pass(self, client: openai.OpenAI, peer: Any) -> None:
        client.chat.completions.create(model="tuned", messages=ASKED, extra_body={"guided_choice": ["red", "blue"]})
        assert b'"guided_choice":["red", "blue"]' in peer.requests[-1].body.replace(b'","', b'", "')


class TestOthers:
    def test_completions(self, client: openai.OpenAI) -> None:
        answer = client.completions.create(model="tuned", prompt="Once")
        stream = client.completions.create(model="tuned", prompt="Once", stream=True)
        assert "".join(chunk.choices[0].text for chunk in stream) == answer.choices[0].text == TEXT

    def test_embeddings_as_numbers_and_as_the_clients_own_base64(self, client: openai.OpenAI) -> None:
        packed = client.embeddings.create(model="vectors", input=["a", "b"])
        plain = client.embeddings.create(model="vectors", input="a", encoding_format="float")
        assert [one.embedding for one in packed.data] == [[0.5, -1.0], [0.5, -1.0]]
        assert plain.data[0].embedding == [0.5, -1.0]

    def test_models(self, client: openai.OpenAI) -> None:
        assert {model.id for model in client.models.list()} == {"tuned", "breaks", "fails", "vectors"}
        assert client.models.retrieve("tuned").id == "tuned"


class TestResponses:
    def test_a_whole_answer(self, client: openai.OpenAI, peer: Any) -> None:
        answer = client.responses.create(model="tuned", input="What colour is the sky?", instructions="Be brief.")
        assert answer.output_text == TEXT
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 4)
        assert peer.requests[-1].target == "/v1/responses"
        assert b"stream_options" not in peer.requests[-1].body
        assert b'"model":"up/stream"' in peer.requests[-1].body

    def test_a_stream(self, client: openai.OpenAI) -> None:
        events = list(client.responses.create(model="tuned", input="What colour is the sky?", stream=True))
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].type == "response.completed"

    def test_the_streaming_helper(self, client: openai.OpenAI) -> None:
        with client.responses.stream(model="tuned", input="What colour is the sky?") as stream:
            assert stream.get_final_response().output_text == TEXT

    async def test_the_async_client(self, gateway: GatewayProcess) -> None:
        async with asynchronous(gateway) as client:
            answer = await client.responses.create(model="tuned", input="What colour is the sky?")
            async with client.responses.stream(model="tuned", input="What colour is the sky?") as stream:
                assert (await stream.get_final_response()).output_text == answer.output_text == TEXT

    def test_structured_outputs(self, client: openai.OpenAI) -> None:
        assert client.responses.parse(model="tuned", input="x", text_format=Colour).output_parsed == Colour(
            colour="red"
        )

    @pytest.mark.parametrize("stream", [False, True])
    def test_tools(self, client: openai.OpenAI, stream: bool) -> None:
        if stream:
            with client.responses.stream(model="tuned", input="x", tools=[RESPONSES_TOOL]) as events:
                answer: Any = events.get_final_response()
        else:
            answer = client.responses.create(model="tuned", input="x", tools=[RESPONSES_TOOL])
        assert answer.output[0].type == "function_call"
        assert answer.output[0].arguments == "".join(ARGUMENTS)

    @pytest.mark.parametrize("asked", [{"previous_response_id": "resp_1"}, {"background": True}, {"conversation": "c"}])
    def test_what_needs_a_memory_is_a_bad_request(self, client: openai.OpenAI, asked: dict[str, Any]) -> None:
        with pytest.raises(openai.BadRequestError, match="the gateway keeps no answers") as refused:
            client.responses.create(model="tuned", input="x", **asked)
        assert refused.value.param in asked

    def test_no_response_can_be_fetched_cancelled_or_deleted(self, client: openai.OpenAI) -> None:
        calls: list[Any] = [client.responses.retrieve, client.responses.cancel, client.responses.delete]
        for call in calls:
            with pytest.raises(openai.NotFoundError, match="keeps no answers"):
                call("resp_1")


class TestFailures:
    def test_a_wrong_key(self, gateway: GatewayProcess) -> None:
        wrong = openai.OpenAI(base_url=gateway.url, api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            wrong.chat.completions.create(model="tuned", messages=ASKED)
        with pytest.raises(openai.AuthenticationError):
            wrong.responses.create(model="tuned", input="x")

    def test_an_unknown_model(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.responses.create(model="nobody", input="x")

    @pytest.mark.parametrize(("model", "why"), [("breaks", "could not be reached"), ("fails", "the engine died")])
    def test_a_stream_that_breaks_raises(self, client: openai.OpenAI, model: str, why: str) -> None:
        for stream in (
            client.chat.completions.create(model=model, messages=ASKED, stream=True),
            client.responses.create(model=model, input="x", stream=True),
        ):
            next(stream)
            with pytest.raises(openai.APIError, match=why):
                list(stream)
