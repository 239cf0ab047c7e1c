"""config.json as transformers 4.51 will read it: under its own names, with its own defaults, and without a word.

What that reader takes was measured with transformers 4.51.3 itself (tests/trainer/export/test_old_reader.py).
Bedrock's lists and limits: AWS, "Import a customized model into Amazon Bedrock" (model-customization-import-model).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trainer.export.bounded_json import is_number
from trainer.export.finding import Finding, error, warning

MODEL_TYPES: Mapping[str, str] = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "MixtralForCausalLM": "mixtral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen2VLForConditionalGeneration": "qwen2_vl",
    "Qwen2_5_VLForConditionalGeneration": "qwen2_5_vl",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
    "MllamaForConditionalGeneration": "mllama",
    "T5ForConditionalGeneration": "t5",
    "GPTBigCodeForCausalLM": "gpt_bigcode",
    "GptOssForCausalLM": "gpt_oss",
}
"""Architectures that Bedrock imports, and the model_type by which the reader chooses its settings class."""

_DEFAULT_ROPE_THETA = 10_000.0
_OTHER_ROPE_THETA = {
    "mixtral": 1_000_000.0,
    "qwen2_vl": 1_000_000.0,
    "qwen2_5_vl": 1_000_000.0,
    "mllama": 500_000.0,
}
"""What both transformers 4.51 and 5 take where they find no theta."""
_WITH_ROPE = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "qwen2_vl", "qwen2_5_vl", "mllama")
_OLD_ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")
_ROPE_DEFAULTS: Mapping[str, Any] = {"beta_fast": 32, "beta_slow": 1}
"""What both readers take where a yarn says nothing; any other setting that is left out has no value."""

BEDROCK_LLAMA3_ROPE: Mapping[str, float] = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""Bedrock puts these in place of a llama3 `rope_scaling`, whatever it says."""

MOST_POSITIONS = 131_072
_FROM_THE_ORIGINAL = "take config.json from the base's original snapshot, or write it with the names of transformers 4"


def check_config(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything about config.json that the import would refuse or misread."""
    yield from _architecture(config)
    if config.get("model_type") in _WITH_ROPE:
        rope = _with_rope(config)
        yield from _rope_theta(rope)
        yield from _rope_scaling(rope)
        yield from _rope_share(rope)
    yield from _dtype(config)
    if not isinstance(config.get("tie_word_embeddings"), bool):
        yield warning(
            "tied-not-said",
            "config.json does not say tie_word_embeddings",
            "each reader has a default of its own for whether head and embedding are one",
            'write "tie_word_embeddings": true or false into the base\'s config.json',
        )
    if config.get("quantization_config"):
        method = config["quantization_config"]
        method = method.get("quant_method", "unknown") if isinstance(method, Mapping) else method
        yield error(
            "quantized",
            f"the base is quantized ({method})",
            "Bedrock imports FP32, FP16 and BF16 weights only, and rounded weights do not take an adapter whole",
            "merge into the unquantized base that the quantized one was made from",
        )
    if config.get("auto_map"):
        yield own_code("config.json", "the model")
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and positions > MOST_POSITIONS:
        yield warning(
            "context",
            f"max_position_embeddings is {positions:,}",
            f"Bedrock asks for less than 128K tokens of context; imports with {MOST_POSITIONS:,} have succeeded",
            f"expect a refusal, or write a shorter context (at most {MOST_POSITIONS}) into the base's config.json",
        )


def own_code(file: str, what: str) -> Finding:
    """The finding for an auto_map, wherever it stands."""
    return error(
        "own-code",
        f"{file} has an auto_map: {what} needs Python code of its own",
        "the import runs no code but transformers' own",
        "use a base that transformers knows by itself",
    )


def _with_rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings that say how positions turn: of a model for images too, those of its part for text.

    transformers 4.51 keeps an Mllama's in text_config, and a Qwen2-VL's at the top level; transformers 5 writes both
    into text_config.
    """
    text = config.get("text_config")
    if not isinstance(text, Mapping):
        return config
    if config.get("model_type") == "mllama":
        return {**text, "model_type": "mllama"}
    return {"rope_parameters": text.get("rope_parameters") or text.get("rope_scaling"), **config}


def _architecture(config: Mapping[str, Any]) -> Iterator[Finding]:
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and len(named) == 1 else ""
    if architecture not in MODEL_TYPES:
        yield error(
            "architecture",
            f"architectures is {named!r}",
            f"Bedrock imports one of: {', '.join(MODEL_TYPES)}",
            "serve this model on your own box, or tune a base of a listed architecture",
        )
    elif config.get("model_type") != MODEL_TYPES[architecture]:
        yield error(
            "model-type",
            f"model_type is {config.get('model_type')!r} and the architecture {architecture}",
            f"the reader chooses its settings by model_type; for {architecture} it is {MODEL_TYPES[architecture]!r}",
            "take config.json from the base's original snapshot",
        )
    elif architecture == "GptOssForCausalLM":
        yield warning(
            "region",
            "GPT-OSS",
            "Bedrock imports it in us-east-1 only, by a newer reader than transformers 4.51, which is not checked here",
            "import in us-east-1, and compare answers before traffic",
        )


def _rope_theta(config: Mapping[str, Any]) -> Iterator[Finding]:
    theta, new = config.get("rope_theta"), _new_rope(config).get("rope_theta")
    default = _OTHER_ROPE_THETA.get(str(config.get("model_type")), _DEFAULT_ROPE_THETA)
    for where, value in (("rope_theta", theta), ("rope_parameters.rope_theta", new)):
        if value is not None and (not is_number(value) or value <= 0):
            yield error(
                "rope-theta",
                f"{where} is {str(value)[:60]!r}",
                "it must be a number above 0: no position could be placed",
                _FROM_THE_ORIGINAL,
            )
            return
    if theta is None:
        if new is not None and new != default:
            yield error(
                "rope-theta",
                f"config.json has no rope_theta at its top level: it says {new:g} in rope_parameters, as transformers "
                "5 writes it",
                f"transformers 4.51 would take {default:g} without a word, and answers would be wrong",
                _FROM_THE_ORIGINAL,
            )
        else:
            yield warning(
                "rope-theta-not-said",
                "config.json has no rope_theta at its top level",
                f"transformers 4.51 takes its default, {default:g}, which is what this model has",
                f'write "rope_theta": {default} into the base\'s config.json',
            )
    elif new is not None and float(new) != float(theta):
        yield error(
            "rope-theta",
            f"rope_theta is {theta:g} and rope_parameters.rope_theta {new:g}",
            "transformers 4 reads the first and transformers 5 the second: one model in training, another after import",
            "give both the value that the base was made with",
        )


def _rope_scaling(config: Mapping[str, Any]) -> Iterator[Finding]:
    scaling, new = config.get("rope_scaling"), _new_rope(config)
    new_scaling = {name: value for name, value in new.items() if name not in ("rope_theta", "partial_rotary_factor")}
    new_type = _rope_type(config, new_scaling, "default")
    if scaling is not None and not isinstance(scaling, Mapping):
        yield error(
            "rope-scaling",
            f"rope_scaling is {scaling!r}",
            "the reader wants an object or null",
            _FROM_THE_ORIGINAL,
        )
        return
    old = dict(scaling or {})
    old_type = _rope_type(config, old, None if old else "default")
    if new and new_type != old_type:
        yield error(
            "rope-scaling",
            f"rope_scaling says {old_type!r} and rope_parameters {new_type!r}",
            "transformers 4.51 reads rope_scaling alone: positions would be scaled otherwise than in training",
            _FROM_THE_ORIGINAL,
        )
        return
    if old_type not in _OLD_ROPE_TYPES:
        yield error(
            "rope-scaling",
            f"rope_scaling's type is {old_type!r}",
            f"transformers 4.51 knows {', '.join(_OLD_ROPE_TYPES)}",
            "tune a base with one of these",
        )
        return
    # The older shape may say original_max_position_embeddings beside rope_scaling.
    beside = {"original_max_position_embeddings": config.get("original_max_position_embeddings"), **_ROPE_DEFAULTS}
    differing = sorted(
        name
        for name in (set(old) | set(new_scaling)) - {"rope_type", "type"}
        if old.get(name, beside.get(name)) != new_scaling.get(name, beside.get(name))
    )
    if new and differing:
        yield error(
            "rope-scaling",
            f"rope_scaling and rope_parameters differ in {', '.join(differing)}",
            "transformers 4 reads the first and transformers 5 the second",
            "give both the values that the base was made with",
        )
    if old_type == "llama3" and any(old.get(name) != value for name, value in BEDROCK_LLAMA3_ROPE.items()):
        has = ", ".join(f"{name} {old.get(name)}" for name in BEDROCK_LLAMA3_ROPE)
        takes = ", ".join(f"{name} {value:g}" for name, value in BEDROCK_LLAMA3_ROPE.items())
        yield error(
            "rope-scaling-overridden",
            f"rope_scaling is llama3 with {has}",
            f"Bedrock documents that it puts {takes} in its place: the imported model would place tokens otherwise",
            "tune a base with these values (Llama 3.1 and 3.3 have them; 3.2 has factor 32)",
        )


def _rope_share(config: Mapping[str, Any]) -> Iterator[Finding]:
    for where, value in (
        ("partial_rotary_factor", config.get("partial_rotary_factor")),
        ("rope_parameters.partial_rotary_factor", _new_rope(config).get("partial_rotary_factor")),
    ):
        if value not in (None, 1):
            yield error(
                "rope-partial",
                f"{where} is {str(value)[:60]!r}",
                "transformers 4.51 turns every head whole for this model, and finds no such setting in rope_parameters",
                "tune a base whose heads are turned whole",
            )


def _rope_type(config: Mapping[str, Any], rope: Mapping[str, Any], otherwise: str | None) -> Any:
    kind = rope.get("rope_type", rope.get("type", otherwise))
    # Where there are three kinds of positions, the reader turns this name into the default.
    return "default" if kind == "mrope" and str(config.get("model_type")).endswith("_vl") else kind


def _dtype(config: Mapping[str, Any]) -> Iterator[Finding]:
    dtype = config.get("torch_dtype")
    if dtype is None:
        said = f"; it says dtype {config['dtype']}, transformers 5's name" if config.get("dtype") else ""
        yield error(
            "torch-dtype",
            f"config.json has no torch_dtype{said}",
            "transformers 4.51 reads none and knows no number format for the weights",
            _FROM_THE_ORIGINAL,
        )
    elif dtype not in ("bfloat16", "float16", "float32"):
        yield error(
            "torch-dtype",
            f"torch_dtype is {dtype!r}",
            "Bedrock imports float32 (which it turns to bfloat16), float16 and bfloat16",
            "use a base in bfloat16",
        )


def _new_rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    new = config.get("rope_parameters")
    return new if isinstance(new, Mapping) else {}
