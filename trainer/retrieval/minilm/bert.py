"""BERT's encoder in numpy: one text in, one vector out, the mean of its tokens' last states.

Devlin et al., "BERT" (2018): learned positions, attention over the whole text, the exact GELU, layer norms after each
residual. One text at a time: no padding, so that a text's vector does not depend on what it is embedded beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.export.bounded_json import read_json
from trainer.export.layout import read_file

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Linear:
    weight: Array
    """[out, in], as torch keeps it."""
    bias: Array

    def __call__(self, states: Array) -> Array:
        return states @ self.weight.T + self.bias


@dataclass(frozen=True)
class _Norm:
    weight: Array
    bias: Array
    epsilon: float

    def __call__(self, states: Array) -> Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        normal: Array = centred / np.sqrt(variance + np.float32(self.epsilon)) * self.weight + self.bias
        return normal


@dataclass(frozen=True)
class _Layer:
    query_key_value: _Linear
    attended: _Linear
    attended_norm: _Norm
    widen: _Linear
    narrow: _Linear
    narrow_norm: _Norm


class Bert:
    """The encoder of one folder: `config.json` and `model.safetensors`, in float32."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, and ValueError for what is no BERT or lacks a tensor."""
        config = _config(folder / "config.json")
        self.dimensions: int = config["hidden_size"]
        self.positions: int = config["max_position_embeddings"]
        self.vocabulary: int = config["vocab_size"]
        self._heads: int = config["num_attention_heads"]
        tensors = _Tensors(folder / "model.safetensors", self.dimensions, config["intermediate_size"])
        epsilon = float(config["layer_norm_eps"])
        self._words = tensors.array("embeddings.word_embeddings.weight", config["vocab_size"], self.dimensions)
        places = tensors.array("embeddings.position_embeddings.weight", self.positions, self.dimensions)
        kinds = tensors.array("embeddings.token_type_embeddings.weight", None, self.dimensions)
        self._places: Array = places + kinds[0]  # every token is of the first kind: there is one text
        self._norm = tensors.norm("embeddings.LayerNorm", epsilon)
        self._layers = [tensors.layer(n, epsilon) for n in range(config["num_hidden_layers"])]

    def states(self, ids: list[int]) -> Array:
        """The last layer's states, [tokens, dimensions]."""
        if not 1 <= len(ids) <= self.positions:
            raise ValueError(f"{len(ids)} tokens, and this BERT reads from 1 to {self.positions}")
        states = self._norm(self._words[ids] + self._places[: len(ids)])
        for layer in self._layers:
            states = layer.attended_norm(states + layer.attended(self._attend(layer, states)))
            states = layer.narrow_norm(states + layer.narrow(_gelu(layer.widen(states))))
        return states

    def vector(self, ids: list[int]) -> Array:
        """The mean of the states, of the length 1: [dimensions]."""
        mean: Array = self.states(ids).mean(axis=0)
        length = np.sqrt(np.square(mean).sum())
        normal: Array = mean / max(length, np.float32(1e-12))
        return normal

    def _attend(self, layer: _Layer, states: Array) -> Array:
        tokens, width = len(states), self.dimensions // self._heads
        both = layer.query_key_value(states).reshape(tokens, 3, self._heads, width).transpose(1, 2, 0, 3)
        query, key, value = both  # each [heads, tokens, width]
        weights = query @ key.transpose(0, 2, 1) / np.float32(width**0.5)
        weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        joined: Array = (weights @ value).transpose(1, 0, 2).reshape(tokens, self.dimensions)
        return joined


class _Tensors:
    """Tensors of one file by name, their shapes checked. A name may begin with `bert.`."""

    def __init__(self, file: Path, hidden: int, wide: int) -> None:
        self._layout, self._hidden, self._wide = read_file(file), hidden, wide
        self._bytes = np.asarray(np.memmap(file, dtype=np.uint8, mode="r"))

    def array(self, name: str, *shape: int | None) -> Array:
        entry = self._layout.tensors.get(name) or self._layout.tensors.get(f"bert.{name}")
        if entry is None:
            raise ValueError(f"{self._layout.path} has no tensor {name}")
        kind = {"F32": np.float32, "F16": np.float16}.get(entry.dtype)
        fits = len(entry.shape) == len(shape) and all(w in (None, h) for h, w in zip(entry.shape, shape, strict=True))
        if kind is None or not fits:
            raise ValueError(f"{self._layout.path}: {name} is {entry.dtype} {list(entry.shape)}, not F32 {list(shape)}")
        raw = self._bytes[entry.start : entry.end]
        array: Array = np.require(raw.view(kind), np.float32, ("C", "A")).reshape(entry.shape)
        return array

    def linear(self, name: str, out: int, into: int) -> _Linear:
        return _Linear(self.array(f"{name}.weight", out, into), self.array(f"{name}.bias", out))

    def norm(self, name: str, epsilon: float) -> _Norm:
        return _Norm(self.array(f"{name}.weight", self._hidden), self.array(f"{name}.bias", self._hidden), epsilon)

    def layer(self, number: int, epsilon: float) -> _Layer:
        at, hidden, wide = f"encoder.layer.{number}", self._hidden, self._wide
        three = [self.linear(f"{at}.attention.self.{part}", hidden, hidden) for part in ("query", "key", "value")]
        return _Layer(
            _Linear(np.concatenate([each.weight for each in three]), np.concatenate([each.bias for each in three])),
            self.linear(f"{at}.attention.output.dense", hidden, hidden),
            self.norm(f"{at}.attention.output.LayerNorm", epsilon),
            self.linear(f"{at}.intermediate.dense", wide, hidden),
            self.linear(f"{at}.output.dense", hidden, wide),
            self.norm(f"{at}.output.LayerNorm", epsilon),
        )


_SIDES = (
    "hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers", "vocab_size",
    "max_position_embeddings",
)  # fmt: skip


def _config(file: Path) -> dict[str, Any]:
    config: Any = read_json(file)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "bert" or config.get("hidden_act") != "gelu":
        raise ValueError(f"{file} describes a model of the kind {kind!r}, and only BERT with the exact GELU is read")
    for name in _SIDES:
        if type(config.get(name)) is not int or not 1 <= config[name] <= 1_000_000:
            raise ValueError(f"{file}: {name} is {config.get(name)!r}, not a number from 1 to 1,000,000")
    if config["hidden_size"] % config["num_attention_heads"]:
        raise ValueError(f"{file}: hidden_size {config['hidden_size']} is no multiple of its attention heads")
    return {"layer_norm_eps": 1e-12, **config}


def _gelu(states: Array) -> Array:
    """x times the normal distribution's share below x."""
    half: Array = states * np.float32(0.5)
    return half + half * _erf(states * np.float32(0.5**0.5))


# Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26: off by 1.5e-7 at most, as far as float32 tells.
_P = np.float32(0.3275911)
_A = tuple(np.float32(a) for a in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429))


def _erf(x: Array) -> Array:
    size = np.abs(x)
    t = 1 / (1 + _P * size)
    series = t * (_A[0] + t * (_A[1] + t * (_A[2] + t * (_A[3] + t * _A[4]))))
    result: Array = np.copysign(1 - series * np.exp(-size * size), x)
    return result
