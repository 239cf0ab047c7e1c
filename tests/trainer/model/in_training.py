"""Models on the CPU in the training environment, for test_engines.py: `python in_training.py FOLDER`. Prints JSON."""

import contextlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

import trainer.bench.__main__ as bench
from trainer.model.batch import to_device
from trainer.model.errors import ModelError
from trainer.model.lean.model import LeanModel
from trainer.model.open import engine_of, open_model
from trainer.model.plain import PlainModel
from trainer.model.shape import ModelShape
from trainer.settings.schema import BaseSettings, LoraSettings, TrainSettings

VOCABULARY = 300
CPU = torch.device("cpu")
SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "intermediate_size": 96, "vocab_size": VOCABULARY, "tie_word_embeddings": True,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
FAMILIES = {
    "llama": LlamaConfig(**SMALL),
    "llama 3 scaling, untied": LlamaConfig(**{**SMALL, "rope_parameters": LLAMA3, "tie_word_embeddings": False}),
    "mistral": MistralConfig(**SMALL, sliding_window=None),
    "qwen2, biases": Qwen2Config(**SMALL),
}
chosen = np.random.default_rng(0)
DOCUMENTS = [chosen.integers(0, VOCABULARY, length) for length in (5, 9, 7, 30)]


def batch(sequences, width):
    """Packed documents; the last half of each is learned."""
    size = (len(sequences), width)
    tokens, targets, positions, numbers = (
        np.zeros(size, int),
        np.full(size, -100),
        np.zeros(size, int),
        np.full(size, -1),
    )
    for row, documents in enumerate(sequences):
        start = 0
        for number, ids in enumerate(documents):
            length, half = len(ids), len(ids) // 2
            tokens[row, start : start + length] = ids
            positions[row, start : start + length] = np.arange(length)
            numbers[row, start : start + length] = number
            targets[row, start + half : start + length - 1] = ids[half + 1 :]
            start += length
    return to_device(SimpleNamespace(tokens=tokens, targets=targets, positions=positions, documents=numbers), CPU)


PACKED = batch([DOCUMENTS[:3], DOCUMENTS[3:]], 34)
ALONE = [batch([[ids]], len(ids)) for ids in DOCUMENTS]


def random_model(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name or "bias" in name:
                weight.add_(torch.randn_like(weight) * 0.1)
    return model


def plain(config, lora, chunk=7, checkpointing=False):
    return PlainModel(
        random_model(config), lora, base=Path("base"), shape=None, checkpointing=checkpointing, chunk=chunk
    )


def lean(config, lora, chunk=5, checkpointing=False, max_tokens=64):
    weights = random_model(config).state_dict()
    shape = ModelShape.of(json.loads(config.to_json_string()))
    return LeanModel(
        weights.__getitem__, shape, lora, base=Path("base"), device=CPU, dtype=torch.float32,
        checkpointing=checkpointing, chunk=chunk, max_tokens=max_tokens,
    )  # fmt: skip


def outcome(model, batches, state=None):
    """(loss, gradients by name), from the factors `state`."""
    if state is not None:
        model.load_adapter_state(state)
    loss = sum(model.loss_sum(each) for each in batches)
    loss.backward()
    gradients = [weight.grad.clone() for weight in model.trainable()]
    for weight, gradient in zip(model.trainable(), gradients, strict=True):
        weight.grad = None
        with torch.no_grad():  # the names of the gradients are those of the factors that they stand in for
            weight.copy_(gradient)
    named = model.adapter_state()
    if state is not None:
        model.load_adapter_state(state)
    return float(loss.detach()), named


def far(one, other):
    """(of the losses, relative; of the gradients, relative, at worst)."""
    gradients = max(float((one[1][name] - other[1][name]).norm() / other[1][name].norm()) for name in other[1])
    return [abs(one[0] - other[0]) / abs(other[0]), gradients, sorted(one[1]) == sorted(other[1])]


def grown(model):
    torch.manual_seed(1)
    return {name: torch.randn_like(weight) * 0.05 for name, weight in model.adapter_state().items()}


found = {}
lora = LoraSettings(rank=4, alpha=8)
llama = FAMILIES["llama"]
first = plain(llama, lora)
state = grown(first)
first.check()
reference = outcome(first, [PACKED], state)
for engine, make in (("peft", plain), ("lean", lean)):
    found[engine] = {
        "packed against alone": far(
            outcome(make(llama, lora), [PACKED], state), outcome(make(llama, lora), ALONE, state)
        ),
        "chunks": far(
            outcome(make(llama, lora, chunk=3), [PACKED], state), outcome(make(llama, lora, chunk=999), [PACKED], state)
        ),
        "checkpointing": far(
            outcome(make(llama, lora, checkpointing=True), [PACKED], state), outcome(make(llama, lora), [PACKED], state)
        ),
    }
padded = batch([DOCUMENTS[:1], DOCUMENTS[1:2]], 16)  # as wide as 9, rounded up to 8s
found["padding longer than a sequence"] = far(
    outcome(lean(llama, lora, max_tokens=9), [padded], state), outcome(first, ALONE[:2], state)
)
for name, config in FAMILIES.items():
    one = plain(config, lora)
    own = grown(one)
    found[name] = far(outcome(lean(config, lora), [PACKED], own), outcome(one, [PACKED], own))
some = LoraSettings(rank=4, alpha=8, targets=("q_proj", "v_proj", "down_proj"))
one = plain(llama, some)
own = grown(one)
found["some targets"] = far(outcome(lean(llama, some), [PACKED], own), outcome(one, [PACKED], own))

folder = Path(sys.argv[1])
tokens = torch.from_numpy(DOCUMENTS[3])[None]
for engine, make in (("peft", plain), ("lean", lean)):
    model = make(llama, lora)
    model.load_adapter_state(state)
    model.save_adapter(folder / engine)
    read = PeftModel.from_pretrained(random_model(llama), folder / engine)
    with torch.no_grad():
        theirs = read(input_ids=tokens).logits[0]
        mine = model.logits(ALONE[3]) if engine == "lean" else model.logits(ALONE[3].tokens, ALONE[3].positions)[0]
    found[f"{engine} read by peft"] = float((theirs - mine).abs().max() / theirs.abs().max())
    found[f"{engine} config"] = json.loads((folder / engine / "adapter_config.json").read_text())
found["same tensors"] = sorted(lean(llama, lora).adapter_state()) == sorted(reference[1])


def said(act):
    try:
        act()
    except ModelError as problem:
        return str(problem)
    return "nothing"


base = folder / "base"
random_model(llama).save_pretrained(base)


def settings(**device):
    return TrainSettings.model_validate(
        {"version": 1, "name": "x", "base": {"model": str(base)}, "data": {"train": "rows"},
         "lora": {"rank": 4, "alpha": 8}, "sequence": {"max_tokens": 64}, "device": {"kind": "cpu", **device}}
    )  # fmt: skip


def opened(**device):
    return open_model(settings(**device), CPU, checkpointing=False)


found["opened"] = [type(opened(engine=engine)).__name__ for engine in ("auto", "peft", "lean")]
found["opened alike"] = far(
    outcome(opened(engine="lean"), [PACKED], state), outcome(opened(engine="peft"), [PACKED], state)
)
other_seed = settings().model_copy(update={"seed": 1})
seeds = [open_model(each, CPU, checkpointing=False).adapter_state() for each in (settings(), settings(), other_seed)]
found["seeded"] = [all(torch.equal(seeds[0][name], other[name]) for name in seeds[0]) for other in seeds[1:]]
dropped = settings().model_copy(update={"lora": LoraSettings(rank=4, dropout=0.1)})
found["engine with dropout"] = engine_of(dropped, ModelShape.of(json.loads(llama.to_json_string())))[0]
nowhere = settings().model_copy(update={"base": BaseSettings(model="/nowhere")})
found["errors"] = {
    "fp8 on a CPU": said(lambda: opened(engine="lean", fp8=True)),
    "fp8 with peft": said(lambda: opened(engine="peft", fp8=True)),
    "no folder": said(lambda: open_model(nowhere, CPU, checkpointing=False)),
    "targets": said(lambda: plain(llama, LoraSettings(rank=4, targets=("nothing",)))),
    "another rank": said(lambda: lean(llama, LoraSettings(rank=8)).load_adapter_state(state)),
    "other factors": said(lambda: lean(llama, some).load_adapter_state(state)),
}


class Leaky(torch.nn.Module):
    """The decoder of a model that takes no notice of positions that start again."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, input_ids, position_ids, **options):
        straight = torch.arange(input_ids.shape[1])[None].expand_as(position_ids)
        return self.decoder(input_ids=input_ids, position_ids=straight, **options)


leaky = plain(llama, lora)
leaky._decoder = Leaky(leaky._decoder)
found["errors"]["leak"] = said(leaky.check)

sys.argv = ["bench", "--config", str(base / "config.json"), "--device", "cpu", "--steps", "2", "--warmup", "1"]
sys.argv += ["--json", str(folder / "bench.json")]
for case in ("plain", "lean", "lean,checkpointing=on", "lean-fp8"):
    sys.argv += ["--case", f"{case},tokens=32,sequences=2,documents=1"]
with contextlib.redirect_stdout(sys.stderr):
    found["bench status"] = bench.main()
found["bench"] = json.loads((folder / "bench.json").read_text())["results"]
print(json.dumps(found))
