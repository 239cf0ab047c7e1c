"""The reader that Bedrock's import is documented against, transformers 4.51.3 itself, in an environment of its own.

What it reads wrongly without a word is what our checks refuse, and what they let pass it reads right. It needs no
torch: settings and tokenizers are read without. About five seconds once uv has the packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.vllm.package_sources import uv_source_arguments
from tests.trainer.export.model_folder import TEMPLATE, edit, write_model
from trainer.export.cmi import check
from trainer.export.finding import errors

pytestmark = pytest.mark.vllm  # slow, and it installs packages: with the serial ones

READ = """
import json, sys
from transformers import AutoConfig, AutoTokenizer
found = {}
for folder in sys.argv[1:]:
    config = AutoConfig.from_pretrained(folder)
    names = ("rope_theta", "rope_scaling", "tie_word_embeddings", "head_dim")
    read = {name: getattr(config, name, None) for name in names}
    read["torch_dtype"] = None if config.torch_dtype is None else str(config.torch_dtype)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        read["ids"] = tokenizer("than 1<s>")["input_ids"]
        read["chat_template"] = tokenizer.chat_template
    except Exception as error:
        while error.__context__:
            error = error.__context__
        read["tokenizer_error"] = f"{type(error).__name__}: {error}"
    found[folder] = read
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    made = {name: write_model(root / name) for name in ("old", "new", "two_templates", "listed_tokens")}
    edit(
        made["new"], rope_theta="absent", rope_scaling="absent", torch_dtype="absent", dtype="bfloat16",
        rope_parameters={"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    )  # fmt: skip
    edit(made["new"], "tokenizer_config.json", tokenizer_class="TokenizersBackend", backend="tokenizers")
    (made["two_templates"] / "chat_template.jinja").write_text("another")
    edit(made["listed_tokens"], "tokenizer_config.json", extra_special_tokens=["<x>"])
    return made


@pytest.fixture(scope="module")
def read(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What transformers 4.51.3 reads of each folder."""
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    assert uv, "uv is neither beside this Python nor on the PATH"
    made = tmp_path_factory.mktemp("old-reader") / "venv"
    python = made / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(made)], check=True)
    packages = ["transformers==4.51.3"]
    install = [uv, "pip", "install", "--quiet", "--no-config", "--python", str(python), *uv_source_arguments()]
    subprocess.run([*install, *packages], check=True, timeout=110)
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(python), "-c", READ, *map(str, folders.values())],
        check=True, capture_output=True, text=True, env={**clean, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: found[str(folder)] for name, folder in folders.items()}


def refused(folder: Path) -> set[str]:
    return {finding.code for finding in errors(check(folder))}


def test_what_the_checks_let_pass_it_reads_as_it_was_meant(folders: dict[str, Path], read: dict[str, Any]) -> None:
    assert refused(folders["old"]) == set()
    found = dict(read["old"])
    assert found.pop("torch_dtype").endswith("bfloat16")
    assert found == {
        "rope_theta": 500000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "head_dim": 4,
        "ids": [256, 257, 220, 16, 258],
        "chat_template": TEMPLATE,
    }


def test_settings_in_transformers_5s_shape_it_reads_wrongly_without_a_word(
    folders: dict[str, Path], read: dict[str, Any]
) -> None:
    assert read["new"]["rope_theta"] == 10000.0, "the model has 500,000"
    assert read["new"]["rope_scaling"] is None, "the model has llama3's"
    assert read["new"]["torch_dtype"] is None
    assert {"rope-theta", "rope-scaling", "torch-dtype"} <= refused(folders["new"])


def test_transformers_5s_tokenizer_class_it_does_not_know(folders: dict[str, Path], read: dict[str, Any]) -> None:
    assert "TokenizersBackend does not exist" in read["new"]["tokenizer_error"]
    assert "tokenizer-class" in refused(folders["new"])


def test_a_chat_template_beside_wins_over_the_one_inside(folders: dict[str, Path], read: dict[str, Any]) -> None:
    assert read["two_templates"]["chat_template"] == "another"
    assert refused(folders["two_templates"]) == {"chat-template"}


def test_a_list_of_extra_special_tokens_ends_it(folders: dict[str, Path], read: dict[str, Any]) -> None:
    assert "AttributeError" in read["listed_tokens"]["tokenizer_error"]
    assert refused(folders["listed_tokens"]) == {"extra-special-tokens"}
