"""Training with transformers and peft, for every architecture that they know.

Several documents share a sequence, and none may see another. transformers builds the block-diagonal mask itself from
positions that start again at 0, in the models that take part in its masking code. Since a model that does not would
learn from its neighbours without a word, `check` runs two short documents packed and alone on the real model, and
compares: it refuses a model whose documents leak, and one whose head this module would compute differently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from trainer.model.adapter_file import write_adapter
from trainer.model.batch import DeviceBatch
from trainer.model.errors import ModelError
from trainer.model.loss import Head, cross_entropy_sum
from trainer.model.shape import ModelShape
from trainer.settings.schema import LoraSettings

_CHECK_TOKENS = 12
_CHECK_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}  # of the largest logit


class PlainModel:
    """A causal language model of transformers with peft's LoRA layers. `trainer.model.open.TrainableModel`."""

    def __init__(
        self, model: Any, lora: LoraSettings, *, base: Path, shape: ModelShape | None, checkpointing: bool, chunk: int
    ) -> None:
        """`model`: an `AutoModelForCausalLM` on its device; its parameters are frozen here. `chunk`: positions whose
        logits exist at once."""
        self._base, self._lora, self._shape, self._chunk = base, lora, shape, chunk
        model.config.use_cache = False
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,  # type: ignore[arg-type, unused-ignore]  # peft divides it by the rank; any number does
            lora_dropout=lora.dropout,
            target_modules="all-linear" if lora.targets == "all-linear" else list(lora.targets),
            task_type="CAUSAL_LM",
        )
        try:
            self._model = get_peft_model(model, config)  # factors in fp32, whatever the base's dtype
        except ValueError as problem:
            raise ModelError(f"lora.targets {lora.targets!r} do not fit {base}: {problem}") from problem
        self._causal = self._model.get_base_model()
        self._decoder = self._causal.base_model
        self._device = next(self._causal.parameters()).device
        self._dtype = next(self._causal.parameters()).dtype
        self._head = _head(self._causal)
        if checkpointing:
            self._causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.train()

    def loss_sum(self, batch: DeviceBatch) -> torch.Tensor:
        """Sum of cross entropy in nats over the learned tokens: a fp32 scalar with a gradient."""
        with self._autocast():
            hidden = self._decoder(
                input_ids=batch.tokens, position_ids=batch.positions, attention_mask=None, use_cache=False
            ).last_hidden_state
        learned = hidden.flatten(0, 1).index_select(0, batch.learned)
        return cross_entropy_sum(learned, self._head, batch.targets, self._chunk)

    def logits(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """[B, S] -> [B, S, vocabulary], for checks on short texts."""
        with self._autocast():
            hidden = self._decoder(
                input_ids=tokens, position_ids=positions, attention_mask=None, use_cache=False
            ).last_hidden_state
            return self._head.logits(hidden)

    def check(self) -> None:
        """Raise `ModelError` if packed documents see each other, or if the head is not computed as the model does."""
        training, length = self._causal.training, _CHECK_TOKENS
        self.eval()
        vocabulary = self._head.weight.shape[0]
        first, second = (torch.arange(start, start + length, device=self._device) % vocabulary for start in (3, 1000))
        each = torch.arange(length, device=self._device)
        with torch.no_grad():
            packed = self.logits(torch.cat([first, second])[None], torch.cat([each, each])[None])[0, length:].float()
            alone = self.logits(second[None], each[None])[0].float()
            with self._autocast():
                own = self._causal(input_ids=second[None], position_ids=each[None], use_cache=False).logits[0].float()
        if training:
            self.train()
        limit = _CHECK_TOLERANCE.get(self._dtype, 0.1) * float(own.abs().max().clamp(min=1e-6))
        kind = getattr(self._causal.config, "model_type", "?")
        if not float((alone - own).abs().max()) <= limit:
            raise ModelError(
                f"the head of a {kind!r} model is not a plain projection: the chunked loss would be wrong for it. "
                "It cannot be trained here yet"
            )
        if not float((packed - alone).abs().max()) <= limit:
            raise ModelError(
                f"documents packed into one sequence see each other in a {kind!r} model with this release of "
                "transformers: set sequence.packing to false"
            )

    def trainable(self) -> list[torch.nn.Parameter]:
        """The factors, fp32, in a fixed order."""
        return [weight for weight in self._model.parameters() if weight.requires_grad]

    def adapter_state(self) -> dict[str, torch.Tensor]:
        """On the CPU, under the names of peft's `adapter_model.safetensors`."""
        state = get_peft_model_state_dict(self._model, save_embedding_layers=False)
        return {name: weight.detach().to("cpu", copy=True).contiguous() for name, weight in sorted(state.items())}

    def load_adapter_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put back what `adapter_state` gave. Raises `ModelError` where names differ."""
        wanted, given = set(self.adapter_state()), set(state)
        if wanted != given:
            odd = ", ".join(sorted(wanted ^ given)[:3])
            raise ModelError(f"the saved factors are not this adapter's: {len(wanted ^ given)} names differ ({odd}, …)")
        set_peft_model_state_dict(self._model, dict(state))

    def save_adapter(self, folder: Path) -> None:
        """Write `adapter_config.json` and `adapter_model.safetensors` into `folder`."""
        config = self._model.peft_config["default"].to_dict()
        paths = set(config["target_modules"])
        alpha = int(self._lora.alpha) if float(self._lora.alpha).is_integer() else self._lora.alpha
        config.update(
            inference_mode=True,
            base_model_name_or_path=str(self._base),
            lora_alpha=alpha,
            target_modules=_short_names(paths, [name for name, _ in self._causal.named_modules()]),
        )
        write_adapter(folder, json.loads(json.dumps(config, default=_plain)), self.adapter_state())

    def flops_per_token(self, mean_context: float, learned_share: float = 1.0) -> float:
        """See `ModelShape.flops_per_token`. An architecture whose shape is unknown: 4 for each frozen weight."""
        if self._shape is not None:
            return self._shape.flops_per_token(self._lora, mean_context, learned_share)
        return 4.0 * float(sum(weight.numel() for weight in self._causal.parameters() if weight.ndim >= 2))

    def train(self) -> None:
        self._model.train()

    def eval(self) -> None:
        self._model.eval()

    def _autocast(self) -> Any:
        # peft keeps the factors in fp32; without autocast it would multiply in fp32 as well.
        enabled = self._dtype in (torch.bfloat16, torch.float16)
        return torch.autocast(self._device.type, dtype=self._dtype if enabled else None, enabled=enabled)


def _head(model: Any) -> Head:
    layer, config = model.get_output_embeddings(), model.config.get_text_config()
    if layer is None or not isinstance(getattr(layer, "weight", None), torch.Tensor):
        raise ModelError(f"a {config.model_type!r} model has no output projection that this trainer can find")
    multiplier = float(getattr(config, "logit_scale", None) or 1.0) / float(
        getattr(config, "logits_scaling", None) or 1.0
    )
    return Head(
        weight=layer.weight.detach(),
        bias=None if getattr(layer, "bias", None) is None else layer.bias.detach(),
        multiplier=multiplier,
        softcap=getattr(config, "final_logit_softcapping", None),
    )


def _short_names(targets: set[str], modules: list[str]) -> list[str]:
    """`q_proj` in place of every layer's path, where no other module has that last name: as other readers expect."""
    short = {target.rsplit(".", 1)[-1] for target in targets}
    # peft has wrapped the targets: their parts (`….q_proj.lora_A`) are not modules of the base.
    named = {name.removesuffix(".base_layer") for name in modules if name.rsplit(".", 1)[-1] in {*short, "base_layer"}}
    everywhere = {name for name in named if name.rsplit(".", 1)[-1] in short}
    full = {name for name in everywhere if name in targets or name.rsplit(".", 1)[-1] in targets}
    return sorted(short if everywhere == full and all(name.isidentifier() for name in short) else targets)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)
