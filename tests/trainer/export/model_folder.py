"""Folders of tiny models in the shape that transformers 4 wrote, made without torch: random weights, real names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.trainer.adapters import write_safetensors
from trainer.export.weights_checks import expected_tensors

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "vocab_size": 260,
    "max_position_embeddings": 512,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 500000.0,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 258,
    "eos_token_id": 259,
    "attention_bias": False,
}


def _byte_letters() -> list[str]:
    """The letters that byte-level BPE writes for the 256 bytes: itself where it can be seen, else one from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in seen] + [chr(256 + number) for number in range(256 - len(seen))]


TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for number, content in ((258, "<s>"), (259, "</s>"))
    ],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "post_processor": None,
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
        "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        "vocab": {letter: number for number, letter in enumerate(_byte_letters())} | {"th": 256, "an": 257},
        "merges": [["t", "h"], ["a", "n"]],
    },
}  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}: {{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
TOKENIZER_CONFIG: dict[str, Any] = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "chat_template": TEMPLATE,
}


def bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Rounded to the nearest, ties to even, as the bits of bfloat16."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def write_model(folder: Path, *, shards: int = 1, **config: Any) -> Path:
    """A whole folder; `config` replaces settings; "absent" removes one."""
    folder.mkdir(parents=True)
    settings = {name: value for name, value in {**CONFIG, **config}.items() if value != "absent"}
    write_json(folder / "config.json", settings)
    write_json(folder / "generation_config.json", {"bos_token_id": 258, "eos_token_id": 259})
    write_json(folder / "tokenizer.json", TOKENIZER)
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    random = np.random.default_rng(0)
    tensors = {
        name: bf16(np.ones(shape, np.float32) if "norm" in name else random.normal(0, 0.1, shape).astype(np.float32))
        for name, shape in expected_tensors(settings).items()
    }
    names = sorted(tensors)
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors)
        return folder
    of = {name: f"model-{number % shards + 1:05d}-of-{shards:05d}.safetensors" for number, name in enumerate(names)}
    for file in sorted(set(of.values())):
        write_safetensors(folder / file, {name: tensors[name] for name in names if of[name] == file})
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": of})
    return folder


def write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2))


def edit(folder: Path, name: str = "config.json", **settings: Any) -> None:
    """Change a JSON file; the value "absent" removes a setting."""
    content = {**json.loads((folder / name).read_text()), **settings}
    write_json(folder / name, {key: value for key, value in content.items() if value != "absent"})


def write_full_adapter(folder: Path, model: Path, *, rank: int = 4, **config: Any) -> Path:
    """peft's adapter on all seven projections of every layer (or `target_modules`), with factors that do something."""
    folder.mkdir(parents=True)
    targets = config.pop("target_modules", None) or [
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    ]  # fmt: skip
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(model), "r": rank,
                "lora_alpha": 2 * rank, "target_modules": targets, "bias": "none", **config}  # fmt: skip
    write_json(folder / "adapter_config.json", settings)
    random = np.random.default_rng(1)
    tensors = {}
    for name, shape in expected_tensors(json.loads((model / "config.json").read_text())).items():
        module = name.removesuffix(".weight")
        if module.rsplit(".", 1)[-1] in targets:
            own = next((r for pattern, r in config.get("rank_pattern", {}).items() if module.endswith(pattern)), rank)
            where = f"base_model.model.{module}"
            tensors[f"{where}.lora_A.weight"] = random.normal(0, 0.1, (own, shape[1])).astype(np.float32)
            tensors[f"{where}.lora_B.weight"] = random.normal(0, 0.1, (shape[0], own)).astype(np.float32)
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder
