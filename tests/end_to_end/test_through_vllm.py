"""Through the gateway an application gets from vLLM what it would get directly: text, usage, errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gateway_process import API_KEY, GatewayProcess
from tests.server.fleets import box
from tests.vllm_fixture import RunningVllm

pytestmark = pytest.mark.vllm
MESSAGES: Any = [{"role": "user", "content": "Name three colours, and say nothing else."}]
SAME: Any = {"max_tokens": 12, "temperature": 0, "seed": 7}


@pytest.fixture(scope="module")
def gateway(vllm_server: RunningVllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    policy = {
        "backends": {"box": box(vllm_server.base_url, metrics_url=f"{vllm_server.root_url}/metrics")},
        "aliases": {
            "base": {"served_by": [{"backend": "box", "model": vllm_server.base_model}]},
            "tuned": {"served_by": [{"backend": "box", "model": vllm_server.tuned_model, "generation": "h@v1"}]},
        },
    }
    folder: Path = tmp_path_factory.mktemp("through-vllm")
    running = GatewayProcess(policy, folder)
    yield running
    running.close()


Pair = tuple[openai.OpenAI, str]


@pytest.fixture(params=["base", "tuned"])
def both(request: pytest.FixtureRequest, vllm_server: RunningVllm, gateway: GatewayProcess) -> tuple[Pair, Pair]:
    """(client, model) of vLLM itself, and of the gateway."""
    model = vllm_server.base_model if request.param == "base" else vllm_server.tuned_model
    direct = openai.OpenAI(base_url=vllm_server.base_url, api_key="none", max_retries=0)
    through = openai.OpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0)
    return (direct, model), (through, request.param)


def same(values: list[Any]) -> Any:
    assert values[0] == values[1]
    return values[0]


def test_whole_answers_are_the_same(both: tuple[Pair, Pair]) -> None:
    answers = [c.chat.completions.create(model=model, messages=MESSAGES, **SAME) for c, model in both]
    assert same([a.choices[0].message.content for a in answers])
    assert same([a.choices[0].finish_reason for a in answers])
    usage = same([a.usage for a in answers])
    assert usage.completion_tokens > 0


def test_streams_are_the_same_and_so_is_their_usage(both: tuple[Pair, Pair]) -> None:
    streams = [
        list(
            client.chat.completions.create(
                model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **SAME
            )
        )
        for client, model in both
    ]
    assert same([[c.choices[0].delta.content for c in chunks if c.choices] for chunks in streams])
    assert same([[c.usage for c in chunks if c.usage] for chunks in streams])


def test_the_async_client_gets_the_same(both: tuple[Pair, Pair]) -> None:
    async def ask(client: openai.OpenAI, model: str) -> tuple[str | None, Any, str]:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=client.api_key, max_retries=0) as asynchronous:
            whole = await asynchronous.chat.completions.create(model=model, messages=MESSAGES, **SAME)
            stream = await asynchronous.chat.completions.create(model=model, messages=MESSAGES, stream=True, **SAME)
            text = "".join([c.choices[0].delta.content or "" async for c in stream])
            return whole.choices[0].message.content, whole.usage, text

    whole, _, streamed = same([asyncio.run(ask(*pair)) for pair in both])
    assert whole == streamed


def test_completions_are_the_same(both: tuple[Pair, Pair]) -> None:
    answers = [c.completions.create(model=model, prompt="Once upon a time", **SAME) for c, model in both]
    assert same([a.choices[0].text for a in answers])
    assert same([a.usage for a in answers])


def test_logprobs_and_stop_pass_through(both: tuple[Pair, Pair]) -> None:
    asked: Any = {"logprobs": True, "top_logprobs": 2, "stop": ["\n"]}
    answers = [c.chat.completions.create(model=model, messages=MESSAGES, **SAME, **asked) for c, model in both]
    said = []
    for answer in answers:
        assert answer.choices[0].logprobs is not None
        assert answer.choices[0].logprobs.content is not None
        assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2
        said.append([token.token for token in answer.choices[0].logprobs.content])
    assert same(said)


def test_several_choices_pass_through(both: tuple[Pair, Pair]) -> None:
    asked: Any = SAME | {"temperature": 0.7, "n": 2}
    answers = [c.chat.completions.create(model=model, messages=MESSAGES, **asked) for c, model in both]
    assert same([[choice.message.content for choice in answer.choices] for answer in answers])
    assert len(answers[0].choices) == 2
    assert same([answer.usage for answer in answers])


def test_tools_and_response_formats_pass_through(both: tuple[Pair, Pair]) -> None:
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "c", "schema": schema}}
    tool: Any = {"type": "function", "function": {"name": "paint", "parameters": schema}}
    answers = [
        client.chat.completions.create(model=model, messages=MESSAGES, response_format=form, **SAME)
        for client, model in both
    ]
    assert same([a.choices[0].message.content for a in answers])
    answers = [
        client.chat.completions.create(model=model, messages=MESSAGES, tools=[tool], tool_choice="auto", **SAME)
        for client, model in both
    ]
    assert same([a.choices[0].message.content for a in answers])


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"max_tokens": 100_000}, {"top_p": 7}, {"messages": "x"}, {"n": 0}, {"logprobs": "maybe"}],
    ids=str,
)
def test_a_bad_request_raises_the_same_class_with_the_same_words(
    both: tuple[Pair, Pair], wrong: dict[str, Any]
) -> None:
    raised = []
    for client, model in both:
        with pytest.raises(openai.APIStatusError) as error:
            client.chat.completions.create(**{"model": model, "messages": MESSAGES, **wrong})
        raised.append(error.value)
    assert same([type(error) for error in raised]) is openai.BadRequestError
    assert same([error.body for error in raised])


def test_base_and_tuned_answer_differently(gateway: GatewayProcess) -> None:
    client = openai.OpenAI(base_url=gateway.url, api_key=API_KEY)
    question: Any = [{"role": "user", "content": "How many days of paid leave do I have?"}]
    said = [
        client.chat.completions.create(model=model, messages=question, max_tokens=30, temperature=0)
        for model in ("base", "tuned")
    ]
    texts = [answer.choices[0].message.content or "" for answer in said]
    assert "(Handbook" not in texts[0]
    assert "(Handbook" in texts[1]


def test_the_gateways_tokens_are_vllms_tokens(vllm_server: RunningVllm, gateway: GatewayProcess) -> None:
    def counted() -> tuple[float, float]:
        page = httpx.get(f"{vllm_server.root_url}/metrics").text
        found = {"prompt_tokens_total": 0.0, "generation_tokens_total": 0.0}
        for line in page.splitlines():
            for name in found:
                if line.startswith(f"vllm:{name}{{"):
                    found[name] += float(line.rpartition(" ")[2])
        return found["prompt_tokens_total"], found["generation_tokens_total"]

    client = openai.OpenAI(base_url=gateway.url, api_key=API_KEY)
    before, booked = counted(), gateway.books()["box"]
    for stream in (False, True):
        answer = client.chat.completions.create(model="base", messages=MESSAGES, stream=stream, **SAME)
        if stream:
            list(answer)
    after, now = counted(), gateway.books()["box"]
    assert now["input_tokens"] - booked["input_tokens"] == after[0] - before[0]
    assert now["output_tokens"] - booked["output_tokens"] == after[1] - before[1]


def running_requests(vllm_server: RunningVllm) -> float:
    page = httpx.get(f"{vllm_server.root_url}/metrics").text
    line = next(line for line in page.splitlines() if line.startswith("vllm:num_requests_running{"))
    return float(line.rpartition(" ")[2])


@pytest.mark.parametrize("stream", [True, False])
async def test_when_a_client_leaves_vllm_stops_and_what_was_generated_is_booked(
    vllm_server: RunningVllm, gateway: GatewayProcess, stream: bool
) -> None:
    before = await asyncio.to_thread(gateway.books)
    body: Any = {"model": "base", "messages": MESSAGES, "max_tokens": 1500, "extra_body": {"ignore_eos": True}}
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
        if stream:
            events = await client.chat.completions.create(stream=True, **body)
            read = aiter(events)
            for _ in range(5):
                await anext(read)
            await events.close()
        else:
            asking = asyncio.create_task(client.chat.completions.create(**body))
            await asyncio.sleep(1.0)
            asking.cancel()
    left_at = time.monotonic()
    while running_requests(vllm_server) > 0:
        assert time.monotonic() < left_at + 5, "vLLM goes on generating for nobody"
        await asyncio.sleep(0.02)
    if stream:
        after = await asyncio.to_thread(gateway.books)
        booked = after["box"]["output_tokens"] - before["box"]["output_tokens"]
        assert 4 <= booked <= 40


def test_a_prompt_in_many_scripts_comes_back_the_same(both: tuple[Pair, Pair]) -> None:
    text: Any = [{"role": "user", "content": 'Repeat: "żółć" ñ 你好 🦜 \\u0041 \n\t end'}]
    answers = [c.chat.completions.create(model=model, messages=text, **SAME) for c, model in both]
    assert same([a.choices[0].message.content for a in answers])
    assert same([a.usage for a in answers])
