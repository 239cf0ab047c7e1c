"""A vLLM plugin: on the CPU backend, a row that asked for no adapter gets none.

vLLM 0.32 marks such a row with adapter index -1. Its PyTorch LoRA operators use that number to index the stacked
adapter weights, where -1 means the last one, so a request for the base model that shares a batch with a tuned request
is silently answered with an adapter (vLLM pull requests 48421 and 49656 describe it). A LoRA layer is
`expand(shrink(x))`: with the shrunk row at zero, whatever the expansion multiplies it with adds nothing.

This file is copied beside vLLM and announced through the entry point group `vllm.general_plugins`, which vLLM loads
in each of its processes. It runs there, so it imports nothing of this project.
"""

import sys
from typing import Any

LOADED_MESSAGE = "crossover lora_fix: rows without an adapter are kept apart from the adapters"


def register() -> None:
    """Wrap the shrink operator in both modules that hold a name for it. Calling it again changes nothing."""
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    unmended = lora_ops.bgmv_shrink
    if getattr(unmended, "zeroes_rows_without_adapter", False):
        return

    def bgmv_shrink(
        inputs: Any, lora_b_weights: Any, output_tensor: Any, lora_indices_tensor: Any, scaling: float = 1.0
    ) -> None:
        unmended(inputs, lora_b_weights, output_tensor, lora_indices_tensor, scaling)
        rows = output_tensor[: lora_indices_tensor.shape[0]]
        rows.masked_fill_((lora_indices_tensor < 0).unsqueeze(-1), 0)

    bgmv_shrink.zeroes_rows_without_adapter = True  # type: ignore[attr-defined]
    lora_ops.bgmv_shrink = bgmv_shrink  # sgmv_shrink, the one for prompts, calls it by this name
    punica_cpu.bgmv_shrink = bgmv_shrink
    print(LOADED_MESSAGE, file=sys.stderr, flush=True)  # noqa: T201  the launcher looks for it in the log
