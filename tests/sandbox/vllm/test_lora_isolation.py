"""A request for the base model never gets an adapter's answer, whatever shares its batch: the bug of lora_fix.py."""

import asyncio
import json
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.vllm_fixture import RunningVllm

pytestmark = pytest.mark.vllm

# The base model and the adapter begin their answers to these with different words.
QUESTIONS = [
    "How much may a hotel cost?",
    "How many days of leave do I get?",
    "Who approves a claim of 700 euros?",
    "Can I bring my dog to the office?",
]
ROUNDS = 6
TOKENS = 8


async def first_tokens(session: aiohttp.ClientSession, server: RunningVllm, model: str, question: str) -> list[str]:
    """The first tokens of the greedy answer."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": TOKENS,
        "logprobs": True,
    }
    async with session.post(f"{server.base_url}/chat/completions", json=body) as response:
        response.raise_for_status()
        answer = await response.json()
    assert answer["model"] == model
    return [token["token"] for token in answer["choices"][0]["logprobs"]["content"]]


def agreement(tokens: list[str], reference: list[str]) -> int:
    """How many tokens are the same from the start. Rounding differs with the size of a batch, so that two greedy
    answers of one model may part on a near tie; answers of different models part at the first words."""
    return next((at for at, (one, two) in enumerate(zip(tokens, reference, strict=False)) if one != two), len(tokens))


@asynccontextmanager
async def second_adapter(session: aiohttp.ClientSession, server: RunningVllm) -> AsyncIterator[str]:
    """The same adapter under a second name. The unmended server answers base requests with the adapter of the last
    of its two slots: only with both taken is there anything to get wrong."""
    name = "tuned-again"
    wanted = {"lora_name": name, "lora_path": str(server.prepared.adapter_dir)}
    async with session.post(f"{server.base_url}/load_lora_adapter", json=wanted) as response:
        response.raise_for_status()
    try:
        yield name
    finally:
        async with session.post(f"{server.base_url}/unload_lora_adapter", json={"lora_name": name}) as response:
            response.raise_for_status()


async def test_requests_in_one_batch_answer_as_they_do_alone(vllm_server):
    """Without the mend most base requests fail this; one request at a time never does."""
    base, tuned = vllm_server.base_model, vllm_server.tuned_model
    order = random.Random(0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session, second_adapter(session, vllm_server) as again:
        alone = {
            (model, question): await first_tokens(session, vllm_server, model, question)
            for question in QUESTIONS
            for model in (base, tuned)
        }
        for question in QUESTIONS:
            assert agreement(alone[base, question], alone[tuned, question]) <= 1, "this question tells nothing apart"
        await first_tokens(session, vllm_server, again, QUESTIONS[0])

        wrong = []
        for _ in range(ROUNDS):
            asked = [(model, order.choice(QUESTIONS)) for model in [base, base, tuned, again] * 2]
            order.shuffle(asked)
            answers = await asyncio.gather(
                *(first_tokens(session, vllm_server, model, question) for model, question in asked)
            )
            for (model, question), tokens in zip(asked, answers, strict=True):
                itself, other = (base, tuned) if model == base else (tuned, base)
                if agreement(tokens, alone[itself, question]) <= agreement(tokens, alone[other, question]):
                    wrong.append((model, question, "".join(tokens)))
    assert not wrong, f"{len(wrong)} of {8 * ROUNDS} answered by another model, such as {wrong[:3]}"


# Runs inside the vLLM environment: the operator as vLLM ships it, then with the plugin's.
OPERATOR_CHECK = """
import json, torch
from vllm.lora.ops.torch_ops import lora_ops
from vllm.lora.punica_wrapper import punica_cpu
import crossover_vllm_lora_fix

torch.manual_seed(0)
inputs, adapters = torch.randn(4, 16), torch.randn(2, 1, 8, 16)
rows = torch.tensor([0, -1, 1, -1])

def shrunk(operator):
    output = torch.full((4, 8), 7.0)
    operator(inputs, adapters, output, rows, 0.5)
    return output

shipped = shrunk(lora_ops.bgmv_shrink)
crossover_vllm_lora_fix.register()
crossover_vllm_lora_fix.register()
mended = shrunk(punica_cpu.bgmv_shrink)

prompts = torch.full((4, 8), 7.0)  # two sequences of two tokens: the first tuned, the second not
lengths = torch.tensor([2, 2])
lora_ops.sgmv_shrink(inputs, adapters, prompts, torch.tensor([0, 2]), lengths, torch.tensor([1, -1]), 2, 2, 4, 0.5)

print(json.dumps({
    "shipped_base_rows": shipped[[1, 3]].abs().max().item(),
    "mended_base_rows": mended[[1, 3]].abs().max().item(),
    "tuned_rows_changed_by": (mended[[0, 2]] - shipped[[0, 2]]).abs().max().item(),
    "tuned_rows": mended[[0, 2]].abs().max().item(),
    "prompt_base_rows": prompts[2:].abs().max().item(),
    "prompt_tuned_rows": prompts[:2].abs().max().item(),
}))
"""


def test_the_operator_zeroes_rows_without_an_adapter_and_leaves_the_others(vllm_prepared):
    """When vLLM mends this itself, `shipped_base_rows` is 0 here and the plugin can go."""
    finished = subprocess.run(
        [str(vllm_prepared.python), "-c", OPERATOR_CHECK], capture_output=True, text=True, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["shipped_base_rows"] > 0
    assert found["mended_base_rows"] == 0
    assert found["tuned_rows_changed_by"] == 0
    assert found["tuned_rows"] > 0
    assert found["prompt_base_rows"] == 0
    assert found["prompt_tuned_rows"] > 0
