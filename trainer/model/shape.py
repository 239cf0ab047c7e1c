"""The shape of a Llama-like model, read from its `config.json`. Pure: no torch, no transformers, no weights.

"Llama-like": RMSNorm, rotary positions, grouped-query attention, a gated SiLU feed-forward; Llama 2 and 3, Mistral,
Qwen 2 and 3, SmolLM. Both spellings of the rotary settings are read: transformers 5's `rope_parameters`, and
`rope_theta` with `rope_scaling` before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from trainer.model.errors import ShapeError
from trainer.settings.schema import LoraSettings

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
# Projections that read the same input, in the order of a block.
GROUPS = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))
_ROPE_KINDS = ("default", "linear", "llama3")


class Rope(msgspec.Struct, frozen=True):
    """Rotary positions. `kind` is default, linear or llama3; the last four count for llama3 (`factor` for linear)."""

    theta: float = 10_000.0
    kind: str = "default"
    factor: float = 1.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_positions: int = 8192


class Projection(msgspec.Struct, frozen=True):
    """One linear layer of a block."""

    name: str  # q_proj
    path: str  # self_attn.q_proj
    inputs: int
    outputs: int
    bias: bool


class ModelShape(msgspec.Struct, frozen=True):
    """What memory, time and the lean forward pass depend on."""

    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward: int
    vocabulary: int
    norm_epsilon: float
    tied: bool
    rope: Rope
    attention_bias: bool  # on q, k and v
    output_bias: bool  # on o
    feed_forward_bias: bool
    head_norms: bool  # RMSNorm of each head's query and key (Qwen 3)
    sliding_window: int | None
    max_positions: int

    @classmethod
    def read(cls, path: Path) -> ModelShape:
        """Read a folder's `config.json`, or that file. Raises `ShapeError`."""
        file = path / "config.json" if path.is_dir() else path
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except OSError as problem:
            raise ShapeError(f"{file} cannot be read: {problem.strerror or problem}") from problem
        except ValueError as problem:
            raise ShapeError(f"{file} is not JSON: {problem}") from problem
        if not isinstance(config, dict):
            raise ShapeError(f"{file} holds {type(config).__name__}, not an object")
        return cls.of(config)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ModelShape:
        """From the parsed `config.json`. Raises `ShapeError`, naming the field."""
        family = config.get("model_type")
        if family not in FAMILIES:
            raise ShapeError(f"model_type is {family!r}; shapes are known of {', '.join(FAMILIES)}")
        if config.get("hidden_act", "silu") != "silu":
            raise ShapeError(f"hidden_act is {config['hidden_act']!r}; shapes are known of 'silu'")
        hidden, heads = _count(config, "hidden_size"), _count(config, "num_attention_heads")
        window = config.get("sliding_window") if family == "mistral" or config.get("use_sliding_window") else None
        attention_bias = bool(config.get("attention_bias", False))
        return cls(
            family=family,
            layers=_count(config, "num_hidden_layers"),
            hidden=hidden,
            heads=heads,
            kv_heads=_count(config, "num_key_value_heads", heads),
            head_width=_count(config, "head_dim", hidden // heads),
            feed_forward=_count(config, "intermediate_size"),
            vocabulary=_count(config, "vocab_size"),
            norm_epsilon=float(config.get("rms_norm_eps", 1e-6)),
            tied=bool(config.get("tie_word_embeddings", False)),
            rope=_rope(config, 1_000_000.0 if family == "mistral" else 10_000.0),
            attention_bias=True if family == "qwen2" else attention_bias,
            output_bias=attention_bias and family != "qwen2",
            feed_forward_bias=bool(config.get("mlp_bias", False)) and family == "llama",
            head_norms=family == "qwen3",
            sliding_window=window if isinstance(window, int) else None,
            max_positions=_count(config, "max_position_embeddings", 2048),
        )

    @property
    def projections(self) -> tuple[Projection, ...]:
        """The seven linear layers of a block, in the order of the model."""
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        return (
            Projection("q_proj", "self_attn.q_proj", self.hidden, queries, self.attention_bias),
            Projection("k_proj", "self_attn.k_proj", self.hidden, keys, self.attention_bias),
            Projection("v_proj", "self_attn.v_proj", self.hidden, keys, self.attention_bias),
            Projection("o_proj", "self_attn.o_proj", queries, self.hidden, self.output_bias),
            Projection("gate_proj", "mlp.gate_proj", self.hidden, self.feed_forward, self.feed_forward_bias),
            Projection("up_proj", "mlp.up_proj", self.hidden, self.feed_forward, self.feed_forward_bias),
            Projection("down_proj", "mlp.down_proj", self.feed_forward, self.hidden, self.feed_forward_bias),
        )

    def targeted(self, lora: LoraSettings) -> tuple[Projection, ...]:
        """The projections that `lora` adapts. Raises `ShapeError` for a name that is none of them."""
        if lora.targets == "all-linear":
            return self.projections
        known = {projection.name: projection for projection in self.projections}
        for name in lora.targets:
            if name not in known:
                raise ShapeError(f"lora.targets names {name!r}; this model has {', '.join(known)}")
        return tuple(projection for name, projection in known.items() if name in lora.targets)

    @property
    def projection_parameters(self) -> int:
        """Weights of all blocks' linear layers, biases left out."""
        return self.layers * sum(projection.inputs * projection.outputs for projection in self.projections)

    @property
    def head_parameters(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All of the base's, as `sum(p.numel())` of the loaded model (a tied head counts once)."""
        biases = self.layers * sum(projection.outputs for projection in self.projections if projection.bias)
        norms = self.layers * (2 * self.hidden + (2 * self.head_width if self.head_norms else 0)) + self.hidden
        return self.projection_parameters + self.head_parameters * (1 if self.tied else 2) + biases + norms

    def lora_parameters(self, lora: LoraSettings) -> int:
        """Weights of the adapter's factors."""
        return self.layers * lora.rank * sum(part.inputs + part.outputs for part in self.targeted(lora))

    def flops_per_token(self, lora: LoraSettings, mean_context: float, learned_share: float = 1.0) -> float:
        """Model FLOP of a forward and a backward pass, for each token that is not padding; nothing is recomputed.

        A frozen weight costs 2 forward and 2 for the gradient of its input; a factor's weight 2 more for its own
        gradient. Attention costs 12 for each of the `mean_context` tokens that a token sees, itself included, and
        each number of a query. Only the `learned_share` of tokens passes the head.
        """
        frozen = 4.0 * (self.projection_parameters + self.head_parameters * learned_share)
        attention = 12.0 * self.layers * self.heads * self.head_width * mean_context
        return frozen + attention + 6.0 * self.lora_parameters(lora)


def _count(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = config.get(name)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ShapeError(f"{name} is {value!r}; a whole number of at least 1 is needed")
    return value


def _rope(config: Mapping[str, Any], theta: float) -> Rope:
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(given, Mapping):
        raise ShapeError(f"rope_parameters is {given!r}; an object is needed")
    kind = given.get("rope_type", given.get("type", "default"))
    if kind not in _ROPE_KINDS:
        raise ShapeError(f"rope_type is {kind!r}; shapes are known of {', '.join(_ROPE_KINDS)}")
    if float(given.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0) != 1.0:
        raise ShapeError("partial_rotary_factor is not 1: shapes are known of models that turn whole heads")
    return Rope(
        theta=float(given.get("rope_theta") or config.get("rope_theta") or theta),
        kind=kind,
        factor=float(given.get("factor", 1.0)),
        low_frequency_factor=float(given.get("low_freq_factor", 1.0)),
        high_frequency_factor=float(given.get("high_freq_factor", 4.0)),
        original_positions=int(given.get("original_max_position_embeddings", 8192)),
    )
