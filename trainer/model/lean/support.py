"""What the lean engine covers. No torch here: the estimate asks as well."""

from __future__ import annotations

from trainer.model.errors import ShapeError
from trainer.model.shape import ModelShape
from trainer.settings.schema import TrainSettings


def obstacle(shape: ModelShape, settings: TrainSettings) -> str | None:
    """Why the lean engine cannot train `shape` as `settings` ask, or None if it can."""
    if settings.lora.dropout > 0:
        return f"lora.dropout is {settings.lora.dropout:g} and the lean layers have none"
    try:
        shape.targeted(settings.lora)
    except ShapeError as problem:
        return str(problem)
    if shape.sliding_window is not None and shape.sliding_window < settings.sequence.max_tokens:
        return f"the model's attention window of {shape.sliding_window} tokens is shorter than a sequence"
    if shape.head_norms or shape.output_bias or shape.feed_forward_bias:
        return f"the lean layers do not compute all parts of a {shape.family!r} model like this one"
    return None
