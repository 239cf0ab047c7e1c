"""Peak memory and time of a training run, from the model's shape, the settings, the work and the device. Pure.

Memory is counted array by array; only what an interpreter takes is measured. Time is the frozen products at the
device's measured rate, attention, what everything else moves at its measured copy rate, and a fixed cost a layer.
"""

from __future__ import annotations

import math

import msgspec

from trainer.estimate.constants import (
    EIGHT_BIT_SHARE,
    EIGHT_BIT_TRAFFIC,
    ENGINES,
    MASKED_ATTENTION,
    USABLE_SHARE,
    USABLE_SHARE_SHARED_GPU,
)
from trainer.estimate.device import Device
from trainer.model.lean.support import obstacle
from trainer.model.shape import GROUPS, ModelShape
from trainer.settings.schema import TrainSettings

_GIB = 2**30


class Work(msgspec.Struct, frozen=True):
    """What one pass over the data holds."""

    rows: int
    tokens: int  # without padding
    sequences: int
    learned_tokens: int | None = None  # None: all


class Estimate(msgspec.Struct, frozen=True):
    """What a run will take."""

    peak_bytes: int
    parts: dict[str, int]  # bytes; they add up to `peak_bytes`
    sequences_at_once: int
    checkpointing: bool
    engine: str
    step_seconds: float
    run_seconds: float
    tokens_per_second: float
    usable_bytes: int
    fits: bool
    why: str  # one sentence: what was chosen and why, or what does not fit and the mend


def estimate(shape: ModelShape, settings: TrainSettings, work: Work, device: Device) -> Estimate:
    """Choose how many sequences at once, and whether activations are computed twice; then predict.

    Asked-for values are kept. Otherwise activations are kept as long as one sequence fits with them, and as many
    sequences run at once as fit; on a CPU one, where more gain nothing.
    """
    engine = engine_name(shape, settings)
    usable = usable_bytes(settings, device)
    asked, switch = settings.batch.sequences_at_once, settings.device.checkpointing
    per_step = min(settings.batch.sequences_per_step, max(1, work.sequences))
    most = asked or (per_step if device.kind == "cuda" else 1)
    fewest = asked or 1
    chosen: tuple[int, bool] | None = None
    for checkpointing in {"on": (True,), "off": (False,), "auto": (False, True)}[switch]:
        for together in range(most, fewest - 1, -1):
            if sum(memory(shape, settings, work, device, together, checkpointing).values()) <= usable:
                chosen = (together, checkpointing)
                break
        if chosen is not None:
            break
    together, checkpointing = chosen or (fewest, switch != "off")
    parts = memory(shape, settings, work, device, together, checkpointing)
    peak = sum(parts.values())
    step = per_step / together * seconds(shape, settings, work, device, together, checkpointing)
    steps = _steps(settings, work, per_step)
    tokens = work.tokens / max(1, work.sequences) * per_step
    return Estimate(
        peak_bytes=peak,
        parts=parts,
        sequences_at_once=together,
        checkpointing=checkpointing,
        engine=engine,
        step_seconds=step,
        run_seconds=step * steps,
        tokens_per_second=tokens / step,
        usable_bytes=usable,
        fits=chosen is not None,
        why=_why(chosen is not None, parts, peak, usable, together, checkpointing, device),
    )


def engine_name(shape: ModelShape, settings: TrainSettings) -> str:
    """The engine that `trainer.model.open` would take."""
    if settings.device.engine == "peft":
        return "peft"
    return "lean" if obstacle(shape, settings) is None else "peft"


def usable_bytes(settings: TrainSettings, device: Device) -> int:
    """Memory that the run may plan with."""
    if settings.device.memory_gib is not None:
        return int(settings.device.memory_gib * _GIB)
    shared_gpu = device.kind == "cuda" and device.shared_memory
    return int(device.free_bytes * (USABLE_SHARE_SHARED_GPU if shared_gpu else USABLE_SHARE))


def memory(
    shape: ModelShape, settings: TrainSettings, work: Work, device: Device, together: int, checkpointing: bool
) -> dict[str, int]:
    """Bytes at the peak, by what they are for: at the end of a forward pass, or early in the backward pass."""
    engine, wide = engine_name(shape, settings), _number_bytes(settings, device)
    tokens = together * settings.sequence.max_tokens
    learned = math.ceil(tokens * _learned_share(work))
    factors, used = shape.lora_parameters(settings.lora), ENGINES[device.kind, engine]
    weights = shape.parameters * wide
    if settings.device.fp8 and engine == "lean":
        weights += shape.projection_parameters
    kept = kept_bytes(shape, settings, work, device)
    if checkpointing:
        activations = tokens * (shape.layers * shape.hidden * wide + kept)
    else:
        activations = tokens * shape.layers * kept
    # One block's gradients: of the wide product, of gate and up in 8 bits, and about five of the hidden width.
    # Without kernels of our own SwiGLU's backward pass alone makes ten arrays of the wide product.
    eight = 2 * shape.feed_forward if settings.device.fp8 else 0
    arrays = 1 if device.kind == "cuda" else 12
    block = tokens * (arrays * shape.feed_forward * wide + eight + 5 * shape.hidden * wide)
    chunk = min(settings.device.loss_chunk_tokens, learned)
    # The fused kernel writes the gradient over the logits; otherwise there are the logits, and a copy in fp32.
    copies = wide if device.kind == "cuda" and wide == 2 else 2 * wide + (0 if wide == 4 else 4)
    loss = chunk * shape.vocabulary * copies + 3 * learned * shape.hidden * wide
    # On a CPU what a pass frees is not given back before the next: the two do not share their memory.
    transient = max(block, loss) if device.kind == "cuda" else block + loss
    return {
        "weights": weights,
        # Masters, AdamW's two averages; gradients are of the same size but are there only when activations are not.
        "adapter and optimizer": 12 * factors + _copies(shape, settings, engine, wide),
        "activations": activations,
        "logits and gradients": transient,
        "program": used.program_bytes,
        "left by the allocator": int(used.holes * (0.5 if checkpointing else 1.0) * tokens * shape.layers * kept),
    }


def kept_bytes(shape: ModelShape, settings: TrainSettings, work: Work, device: Device) -> int:
    """Bytes kept for the backward pass, for each token and layer."""
    wide, hidden, feed = _number_bytes(settings, device), shape.hidden, shape.feed_forward
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    grouped = wide * (2 * queries + 2 * keys)  # queries, keys, values, and attention's output
    on_cpu = device.kind == "cpu"
    if engine_name(shape, settings) == "lean":
        # Two residual streams and two normalized ones; gate, up and their product. On a CPU also keys and values
        # repeated for each query head, and the documents' outputs in one array.
        repeated = 3 * wide * queries if on_cpu else 0
        return wide * (4 * hidden + 3 * feed) + grouped + repeated + 4 * (2 + shape.heads)
    # With a mask transformers repeats keys and values for each query head; on a CPU always.
    repeated = 2 * wide * (queries - keys) if on_cpu or _documents(settings, work) > 1 else 0
    if wide == 2:
        # The norms keep fp32 copies, peft casts each adapter's input, and each of these stays: counted in a profile.
        return 14 * hidden + 10 * feed + grouped + repeated
    return wide * (4 * hidden + 4 * feed) + grouped + repeated


def seconds(
    shape: ModelShape, settings: TrainSettings, work: Work, device: Device, together: int, checkpointing: bool
) -> float:
    """Seconds of one forward and backward pass over `together` sequences."""
    engine = engine_name(shape, settings)
    used = ENGINES[device.kind, engine]
    tokens = together * settings.sequence.max_tokens
    rate, eight_bit = device.matmul_flops * used.product_share, settings.device.fp8 and engine == "lean"
    one_way = 2.0 * shape.projection_parameters * tokens
    back_rate = EIGHT_BIT_SHARE * device.eight_bit_flops if eight_bit and device.eight_bit_flops else rate
    head = 4.0 * shape.head_parameters * tokens * _learned_share(work) / rate
    forward = one_way / rate
    seen = (settings.sequence.max_tokens + 1) / 2
    attention = 12.0 * shape.layers * shape.heads * shape.head_width * seen * tokens
    attention /= device.matmul_flops * used.attention_share
    if engine == "peft" and device.kind == "cuda" and _documents(settings, work) > 1:
        attention *= MASKED_ATTENTION
    moved = (EIGHT_BIT_TRAFFIC if eight_bit else used.traffic) * kept_bytes(shape, settings, work, device)
    moved *= shape.layers * tokens / device.copy_bytes_per_second
    total = forward + one_way / back_rate + head + attention + moved + used.layer_seconds * shape.layers
    if checkpointing:
        # A second forward pass: two fifths of what is moved, a third of attention; lean leaves the last product out.
        skipped = shape.feed_forward * shape.hidden * shape.layers / shape.projection_parameters
        again = forward * (1.0 - (skipped if engine == "lean" else 0.0))
        total += again + 0.4 * moved + attention / 3.5
    return total


def _number_bytes(settings: TrainSettings, device: Device) -> int:
    if settings.device.dtype == "auto":
        return 2 if device.kind == "cuda" else 4
    return 2 if settings.device.dtype == "bfloat16" else 4


def _copies(shape: ModelShape, settings: TrainSettings, engine: str, wide: int) -> int:
    """Bytes of the factors in the products' form."""
    rank = settings.lora.rank
    if engine != "lean":
        return 2 * shape.lora_parameters(settings.lora) if wide == 2 else 0
    if wide == 2:
        rank = -(-rank // 16) * 16
    parts = {part.name: part for part in shape.projections}
    numbers = 0
    for names in GROUPS:
        outputs = sum(parts[name].outputs for name in names)
        numbers += len(names) * rank * (parts[names[0]].inputs + outputs)
    return numbers * shape.layers * wide


def _documents(settings: TrainSettings, work: Work) -> float:
    """Documents of a sequence, on average."""
    return work.rows / max(1, work.sequences) if settings.sequence.packing else 1.0


def _learned_share(work: Work) -> float:
    return 1.0 if work.learned_tokens is None else min(1.0, work.learned_tokens / max(1, work.tokens))


def _steps(settings: TrainSettings, work: Work, per_step: int) -> int:
    """Optimizer steps of the run, an early stop and a limit of time left out."""
    epochs = settings.length.epochs
    steps = math.ceil(work.sequences / per_step * epochs) if epochs is not None else None
    limits = [number for number in (steps, settings.length.max_steps) if number is not None]
    return min(limits) if limits else 0


def _why(
    fits: bool, parts: dict[str, int], peak: int, usable: int, together: int, checkpointing: bool, device: Device
) -> str:
    how = f"{together} {'sequence' if together == 1 else 'sequences'} at once, activations "
    how += "computed twice" if checkpointing else "kept"
    if fits:
        return f"{how}: {peak / _GIB:.2f} GiB of the {usable / _GIB:.2f} GiB that may be used"
    mends = {
        "weights": "take a smaller base, device.dtype bfloat16, or a larger device",
        "adapter and optimizer": "lower lora.rank",
        "activations": "lower sequence.max_tokens or batch.sequences_at_once, or set device.checkpointing to auto",
        "logits and gradients": "lower device.loss_chunk_tokens or sequence.max_tokens",
    }
    largest = max((name for name in mends if name in parts), key=lambda name: parts[name])
    return (
        f"{how} would take {peak / _GIB:.2f} GiB, and {usable / _GIB:.2f} GiB of {device.name} may be used; most of it "
        f"is {largest} ({parts[largest] / _GIB:.2f} GiB): {mends[largest]}"
    )
