"""The weights: every tensor's name, shape and number format, against what config.json implies and what the base has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.export.finding import Finding, error, some, warning
from trainer.export.layout import INDEX_FILE, SINGLE_FILE, LayoutError, WeightsLayout, read_weights
from trainer.model.errors import ShapeError
from trainer.model.shape import ModelShape

MOST_BYTES = 200_000_000_000
"""Bedrock's limit for text models is 200 GB."""
_TAKEN = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack")
_MOST_LAYERS = 10_000  # far beyond any model; more would only fill the memory with names
_HARMLESS = re.compile(r"\.rotary_emb\.inv_freq$")  # old checkpoints carry what the reader computes itself


def expected_tensors(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a Llama, Mistral, Qwen 2 or Qwen 3. Raises ShapeError for other models."""
    # How positions turn is no matter of shapes, and has checks of its own.
    plain = {name: value for name, value in config.items() if not name.startswith("rope_")}
    try:
        shape = ModelShape.of(plain)
    except (TypeError, ValueError, ArithmeticError) as problem:
        raise problem if isinstance(problem, ShapeError) else ShapeError(str(problem)) from None
    if shape.layers > _MOST_LAYERS:
        raise ShapeError(f"num_hidden_layers is {shape.layers:,}, and no model has more than {_MOST_LAYERS:,}")
    tensors: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocabulary, shape.hidden)}
    for layer in range(shape.layers):
        at = f"model.layers.{layer}"
        for projection in shape.projections:
            tensors[f"{at}.{projection.path}.weight"] = (projection.outputs, projection.inputs)
            if projection.bias:
                tensors[f"{at}.{projection.path}.bias"] = (projection.outputs,)
        if shape.head_norms:
            tensors[f"{at}.self_attn.q_norm.weight"] = (shape.head_width,)
            tensors[f"{at}.self_attn.k_norm.weight"] = (shape.head_width,)
        tensors[f"{at}.input_layernorm.weight"] = (shape.hidden,)
        tensors[f"{at}.post_attention_layernorm.weight"] = (shape.hidden,)
    tensors["model.norm.weight"] = (shape.hidden,)
    if not shape.tied:
        tensors["lm_head.weight"] = (shape.vocabulary, shape.hidden)
    return tensors


def check_weights(folder: Path, config: Mapping[str, Any], base: Path | None) -> Iterator[Finding]:
    """Everything about the weights that the import would refuse or misread; `base` is what they were merged into."""
    yield from _files(folder)
    try:
        layout = read_weights(folder)
    except LayoutError as problem:
        yield error("weights", str(problem), "the reader could not load it", "export again, or fetch the base again")
        return
    tensors = {name: entry.shape for name, entry in layout.tensors.items() if not _HARMLESS.search(name)}
    yield from _formats(layout, config)
    if layout.bytes > MOST_BYTES:
        yield error(
            "size",
            f"the weights are {layout.bytes / 1e9:.0f} GB",
            f"Bedrock imports less than {MOST_BYTES / 1e9:.0f} GB of a text model",
            "tune a smaller base",
        )
    try:
        wanted = expected_tensors(config)
    except ShapeError as problem:
        if config.get("model_type") in ("llama", "mistral", "qwen2", "qwen3"):
            yield error(
                "config", f"config.json: {problem}", "no reader could build the model", "mend the base's config.json"
            )
        else:
            yield warning(
                "names-not-known",
                f"what tensors {config.get('model_type')!r} has is not known here",
                "names and shapes were compared with the base's alone",
                "compare answers after the import, before traffic",
            )
    else:
        yield from _against(tensors, wanted, config, layout)
    if base is not None:
        yield from _same_as_base(layout, base)


def _files(folder: Path) -> Iterator[Finding]:
    if (folder / "adapter_config.json").exists():
        yield error(
            "adapter",
            "there is an adapter_config.json",
            "Bedrock imports merged weights only; transformers with peft would put the adapter on top once more",
            "give --to a folder that is not the adapter's",
        )
    if (folder / SINGLE_FILE).exists() and (folder / INDEX_FILE).exists():
        yield error(
            "two-weights",
            f"there are both {SINGLE_FILE} and {INDEX_FILE}",
            "transformers reads the first, others the second",
            "remove the one that is not meant",
        )
    others = [file.name for file in folder.iterdir() if file.suffix in _OTHER_WEIGHTS]
    if others:
        yield warning(
            "other-weights",
            f"there are weights in other forms: {some(others)}",
            "Bedrock reads safetensors; the rest is sent for nothing",
            "leave them out of what is uploaded",
        )


def _formats(layout: WeightsLayout, config: Mapping[str, Any]) -> Iterator[Finding]:
    by_format: dict[str, list[str]] = {}
    for name, entry in layout.tensors.items():
        if not _HARMLESS.search(name):
            by_format.setdefault(entry.dtype, []).append(name)
    foreign = {dtype: names for dtype, names in by_format.items() if dtype not in _TAKEN}
    for dtype, names in foreign.items():
        yield error(
            "dtype",
            f"{len(names)} tensors are {dtype}: {some(names)}",
            "Bedrock imports FP32, FP16 and BF16 weights; others are a quantized model's",
            "merge into the unquantized base",
        )
    taken = sorted(_TAKEN[dtype] for dtype in by_format if dtype in _TAKEN)
    said = config.get("torch_dtype")
    if not foreign and said in _TAKEN.values() and taken != [said]:
        yield warning(
            "dtype-differs",
            f"torch_dtype is {said} and the weights are {', '.join(taken)}",
            "the reader turns all weights into torch_dtype",
            "make the base's config.json say what its weights are",
        )
    elif taken == ["float32"]:
        yield warning(
            "float32",
            "the weights are float32",
            "Bedrock turns them into bfloat16: what is served is rounded once more than what was checked here",
            "use the base in bfloat16",
        )


def _against(
    tensors: Mapping[str, tuple[int, ...]],
    wanted: Mapping[str, tuple[int, ...]],
    config: Mapping[str, Any],
    layout: WeightsLayout,
) -> Iterator[Finding]:
    extra, missing = set(tensors) - set(wanted), set(wanted) - set(tensors)
    if "lm_head.weight" in extra and config.get("tie_word_embeddings"):
        extra.discard("lm_head.weight")
        if not _same_bytes(layout, "lm_head.weight", "model.embed_tokens.weight"):
            yield error(
                "tied-head",
                "tie_word_embeddings is true, and the weights hold an lm_head of their own that is not the embedding",
                "the reader puts the embedding in its place without a word: the head is lost",
                "set tie_word_embeddings false in the base, or leave the head out of training",
            )
        else:
            yield warning(
                "tied-head-twice",
                "the head is stored although it is the embedding",
                "the reader takes the embedding for it, which is the same here",
                "nothing needs to be done",
            )
    if missing:
        head = " (untied: the head must be stored)" if "lm_head.weight" in missing else ""
        yield error(
            "missing-tensors",
            f"{len(missing)} tensors that config.json implies are not there{head}: {some(missing)}",
            "the reader fills them with random numbers and only warns",
            "take config.json and weights from the same snapshot",
        )
    if extra:
        yield error(
            "extra-tensors",
            f"{len(extra)} tensors are there that config.json does not imply: {some(extra)}",
            "the reader passes over them and only warns",
            "take config.json and weights from the same snapshot",
        )
    wrong = [
        f"{name} is {list(tensors[name])}, not {list(wanted[name])}"
        for name in set(tensors) & set(wanted)
        if tensors[name] != wanted[name]
    ]
    if wrong:
        yield error(
            "shapes",
            f"{len(wrong)} tensors have another shape than config.json implies: {some(wrong)}",
            "the reader could not load them",
            "take config.json and weights from the same snapshot",
        )


def _same_as_base(layout: WeightsLayout, base: Path) -> Iterator[Finding]:
    try:
        original = read_weights(base)
    except LayoutError as problem:
        yield error("base", str(problem), "the base's own weights cannot be read", "fetch the base again")
        return
    here = {name: (entry.dtype, entry.shape) for name, entry in layout.tensors.items()}
    there = {name: (entry.dtype, entry.shape) for name, entry in original.tensors.items()}
    different = [name for name in set(here) | set(there) if here.get(name) != there.get(name)]
    if different:
        yield error(
            "not-as-base",
            f"{len(different)} tensors differ from the base's in name, shape or number format: {some(different)}",
            "a merge changes values, never the model's form",
            "export again",
        )


def _same_bytes(layout: WeightsLayout, one: str, other: str) -> bool:
    first, second = layout.tensors[one], layout.tensors[other]
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    with (
        layout.files[layout.file_of[one]].path.open("rb") as left,
        layout.files[layout.file_of[other]].path.open("rb") as right,
    ):
        left.seek(first.start)
        right.seek(second.start)
        rest = first.bytes
        while rest > 0:
            size = min(rest, 1 << 24)
            if left.read(size) != right.read(size):
                return False
            rest -= size
    return True
