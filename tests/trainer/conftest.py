"""What the trainer's tests share: the environment that has torch, and models small enough for a second of CPU."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gateway.sandbox.vllm.prepare import Prepared
from trainer.environment import environment

_MAKE_TINY = """
import json, shutil, sys
from pathlib import Path
import torch
from transformers import LlamaConfig, LlamaForCausalLM
source, made, tied = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "tied"
vocabulary = json.loads((source / "config.json").read_text())["vocab_size"]
torch.manual_seed(0)
config = LlamaConfig(
    hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=vocabulary, max_position_embeddings=512, tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2,
)
LlamaForCausalLM(config).save_pretrained(made)
for file in source.iterdir():
    if file.name.startswith(("tokenizer", "chat_template", "generation_config")):
        shutil.copy(file, made)
"""


@pytest.fixture(scope="session")
def training_python(vllm_prepared: Prepared) -> Path:
    """The Python of the training environment."""
    return vllm_prepared.python


@pytest.fixture(scope="session")
def tiny_model(vllm_prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers with SmolLM2's tokenizer; head and embedding are one."""
    return _tiny(vllm_prepared, tmp_path_factory.mktemp("tiny") / "tied", "tied")


@pytest.fixture(scope="session")
def tiny_untied_model(vllm_prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a head of its own."""
    return _tiny(vllm_prepared, tmp_path_factory.mktemp("tiny") / "untied", "untied")


def _tiny(prepared: Prepared, folder: Path, tied: str) -> Path:
    command = [str(prepared.python), "-c", _MAKE_TINY, str(prepared.model_dir), str(folder), tied]
    subprocess.run(command, check=True, env=environment(), timeout=120)
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 2
    return folder
