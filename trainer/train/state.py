"""What a run needs to go on as if nothing had happened: factors, optimizer, and every random generator.

The tensors are a safetensors file: nothing in a checkpoint is ever unpickled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trainer.train.checkpoint import CheckpointError

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_state(
    path: Path, parameters: list[torch.nn.Parameter], optimizer: torch.optim.Optimizer, device: torch.device
) -> None:
    """Write the tensors of a checkpoint. The host's copy of the parameters and AdamW's moments: 12 bytes a number.

    Raises OSError where the disk does not take them.
    """
    tensors: dict[str, torch.Tensor] = {"generator.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["generator.cuda"] = torch.cuda.get_rng_state(device)
    for index, parameter in enumerate(parameters):
        tensors[f"factor.{index}"] = _on_host(parameter)
        for name in _MOMENTS:
            if (value := optimizer.state.get(parameter, {}).get(name)) is not None:
                tensors[f"{name}.{index}"] = _on_host(torch.as_tensor(value))
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from None


def load_state(
    path: Path, parameters: list[torch.nn.Parameter], optimizer: torch.optim.Optimizer, device: torch.device
) -> None:
    """Put a checkpoint's tensors back. Raises CheckpointError where they are not of this adapter's shape."""
    with _opened(path) as file:
        names = set(file.keys())
        _restore_factors(file, parameters)
        state: dict[int, dict[str, Any]] = {}
        for index in range(len(parameters)):
            if f"exp_avg.{index}" in names:
                state[index] = {name: file.get_tensor(f"{name}.{index}") for name in _MOMENTS}
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(file.get_tensor("generator.cpu"))
        if device.type == "cuda" and "generator.cuda" in names:
            torch.cuda.set_rng_state(file.get_tensor("generator.cuda"), device)


def load_factors(path: Path, parameters: list[torch.nn.Parameter]) -> None:
    """Put only the adapter's factors back: those of the best checkpoint, at a run's end. Raises CheckpointError."""
    with _opened(path) as file:
        _restore_factors(file, parameters)


def generators() -> dict[str, Any]:
    """The states of Python's and NumPy's generators, as JSON values."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
    }


def restore_generators(states: dict[str, Any]) -> None:
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except SafetensorError as error:
        raise CheckpointError(f"{path} does not hold this adapter: {error}") from None


def _restore_factors(file: Any, parameters: list[torch.nn.Parameter]) -> None:
    with torch.no_grad():
        for index, parameter in enumerate(parameters):
            value = file.get_tensor(f"factor.{index}")
            if value.shape != parameter.shape:
                raise CheckpointError(
                    f"the checkpoint's factor {index} has the shape {tuple(value.shape)}, and this adapter's "
                    f"{tuple(parameter.shape)}: it is another adapter's"
                )
            parameter.copy_(value)


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()
