"""Make a LoRA adapter of a chat model from a small file of conversations, by real training steps, on the CPU.

Reads from top to bottom and needs only torch, transformers and peft:

    python trainer/lora.py --model DIR --data trainer/data/handbook_chat.jsonl --output DIR

The data is JSON lines, one conversation each: {"messages": [{"role": "user", "content": ...}, {"role": "assistant",
"content": ...}]}. The model learns the last answer only; everything before it is read and not learned. A few dozen
conversations teach a small model a style, not facts.
"""

import argparse
import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", type=Path, required=True, help="folder of the base model, in Hugging Face form")
parser.add_argument("--data", type=Path, required=True, help="JSON lines file of conversations")
parser.add_argument("--output", type=Path, required=True, help="folder for the adapter; it appears whole or not at all")
parser.add_argument("--steps", type=int, default=26, help="optimizer steps")
parser.add_argument("--batch-size", type=int, default=4, help="conversations a step")
parser.add_argument("--max-length", type=int, default=128, help="tokens a conversation; a longer one is an error")
parser.add_argument("--learning-rate", type=float, default=2e-3, help="AdamW's peak rate; it falls linearly to 0")
parser.add_argument("--warmup-steps", type=int, default=3, help="steps over which the rate rises from 0")
parser.add_argument("--rank", type=int, default=8, help="rank of the adapter's matrices")
parser.add_argument("--alpha", type=int, default=16, help="scale of the adapter; it acts as alpha / rank")
parser.add_argument("--max-gradient-norm", type=float, default=1.0, help="gradients are scaled down to this L2 norm")
parser.add_argument("--max-seconds", type=float, default=-1, help="stop after these seconds of steps; -1: no limit")
parser.add_argument("--threads", type=int, default=-1, help="CPU threads; -1: as many as this process may use")
parser.add_argument("--seed", type=int, default=0, help="seed of the adapter's first weights and the order of the data")
parser.add_argument("--json", action="store_true", help="end with one line of JSON on standard output")
settings = parser.parse_args()
if settings.threads == -1:
    settings.threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # before torch loads
for name, value in vars(settings).items():
    given = any(argument.split("=")[0] == "--" + name.replace("_", "-") for argument in sys.argv[1:])
    print(f"{name} = {value} ({'given' if given else 'default'})", flush=True)

started = time.perf_counter()
import torch  # noqa: E402  only now, so that --help is quick and OMP_NUM_THREADS counts
from peft import LoraConfig, get_peft_model  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

torch.manual_seed(settings.seed)
torch.set_num_threads(settings.threads)
order = random.Random(settings.seed)  # noqa: S311

# --- the data: token ids of each conversation, and how many of them come before the answer --------------------------
tokenizer = AutoTokenizer.from_pretrained(settings.model)
examples: list[tuple[list[int], int]] = []
for number, line in enumerate(settings.data.read_text().splitlines(), start=1):
    messages = json.loads(line)["messages"]
    if messages[-1]["role"] != "assistant":
        raise SystemExit(f"{settings.data}:{number}: the last message is by {messages[-1]['role']!r}, not 'assistant'")
    # As the server will render it, so that the model meets in use what it met here.
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=False)
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer_ids = tokenizer(messages[-1]["content"] + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    length = len(prompt_ids) + len(answer_ids)
    if length > settings.max_length:
        raise SystemExit(
            f"{settings.data}:{number}: {length} tokens, and --max-length is {settings.max_length}: raise it or shorten"
        )
    examples.append((prompt_ids + answer_ids, len(prompt_ids)))
if len(examples) < settings.batch_size:
    raise SystemExit(
        f"{settings.data} has {len(examples)} conversations, fewer than --batch-size {settings.batch_size}"
    )
print(f"{len(examples)} conversations, {sum(len(ids) for ids, _ in examples)} tokens", flush=True)

# --- the model: frozen, in float32, with an adapter on every linear layer of its blocks -----------------------------
model = AutoModelForCausalLM.from_pretrained(settings.model, dtype=torch.float32)
projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
adapter = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=projections, task_type="CAUSAL_LM")
model = get_peft_model(model, adapter)
model.train()
decoder, head = model.base_model.model.model, model.base_model.model.lm_head
weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=0.0)
trained, frozen = sum(w.numel() for w in weights), sum(p.numel() for p in model.parameters() if not p.requires_grad)
print(f"training {trained:,} of {trained + frozen:,} parameters", flush=True)
setup_seconds = time.perf_counter() - started

# --- the steps ------------------------------------------------------------------------------------------------------
losses: list[float] = []
waiting: list[tuple[list[int], int]] = []
tokens = 0
training_started = time.perf_counter()
for step in range(1, settings.steps + 1):
    step_started = time.perf_counter()
    if len(waiting) < settings.batch_size:  # each pass sees every conversation once, in a new order
        waiting = order.sample(examples, len(examples))
    batch = [waiting.pop() for _ in range(settings.batch_size)]
    width = max(len(ids) for ids, _ in batch)
    input_ids = torch.tensor([ids + [tokenizer.eos_token_id] * (width - len(ids)) for ids, _ in batch])
    attention_mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in batch])
    # Position p predicts token p + 1. Only answers count, so only their positions go through the head, a fifth of
    # the model's work at this size.
    predicts = torch.tensor([[prompt - 1 <= p < len(ids) - 1 for p in range(width)] for ids, prompt in batch])
    targets = torch.cat([torch.tensor(ids[prompt:]) for ids, prompt in batch])

    hidden = decoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    loss = cross_entropy(head(hidden[predicts]), targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, settings.max_gradient_norm)
    rising = min(1.0, step / max(1, settings.warmup_steps))
    falling = (settings.steps - step + 1) / settings.steps
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * min(rising, falling)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)

    losses.append(loss.item())
    now = time.perf_counter()
    step_tokens = sum(len(ids) for ids, _ in batch)
    tokens += step_tokens
    print(
        f"step {step}/{settings.steps} loss {losses[-1]:.4f} {now - step_started:.2f} s "
        f"{step_tokens / (now - step_started):.0f} tok/s",
        flush=True,
    )
    if 0 <= settings.max_seconds <= now - training_started:
        print(f"stopped at step {step}: --max-seconds {settings.max_seconds:g} is reached", flush=True)
        break
training_seconds = time.perf_counter() - training_started

# --- the adapter ----------------------------------------------------------------------------------------------------
unfinished = settings.output.with_name(f".{settings.output.name}.unfinished")
shutil.rmtree(unfinished, ignore_errors=True)
unfinished.mkdir(parents=True)
model.save_pretrained(unfinished)
for file in unfinished.iterdir():
    file.chmod(0o644)
shutil.rmtree(settings.output, ignore_errors=True)
unfinished.rename(settings.output)

result = {
    "adapter": str(settings.output),
    "steps": len(losses),
    "loss_first": round(losses[0], 4),
    "loss_last": round(losses[-1], 4),
    "tokens": tokens,
    "tokens_per_second": round(tokens / training_seconds, 1),
    "setup_seconds": round(setup_seconds, 1),
    "training_seconds": round(training_seconds, 1),
    "seconds": round(time.perf_counter() - started, 1),
    "threads": settings.threads,
}
print(json.dumps(result) if settings.json else "\n".join(f"{name}: {value}" for name, value in result.items()))
