"""`crossover adapter export`: a merged model that is its base with the adapter, whole, or nothing at all."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.trainer.export.model_folder import bf16, edit, from_bf16, write_full_adapter, write_model
from trainer.export.cli import export
from trainer.export.layout import read_file, read_weights
from trainer.registry import Base, Data, Lineage, Registry, base_of

app = typer.Typer()
app.command()(export)


class Bench:
    """A base, a registry with one version made for it, and the command."""

    def __init__(self, root: Path, python: Path | None = None, **model: Any) -> None:
        self.root, self.python = root, python
        self.base = write_model(root / "base", **model)
        self.registry = Registry(root / "adapters")
        self.to = root / "exports" / "handbook@v0001"

    def add(self, **adapter: Any) -> None:
        rows = self.root / "rows.jsonl"
        rows.write_text('{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}\n')
        made = Lineage(origin="trained", base=base_of(self.base), data=Data(path=str(rows), sha256="sha256:0", rows=1))
        number = len(self.registry.versions("handbook"))
        folder = write_full_adapter(self.root / f"adapter{number}", self.base, **adapter)
        self.registry.add("handbook", folder, made)

    def run(self, *arguments: str, version: str = "handbook", status: int = 0) -> str:
        """What it said; standard output alone with --json. In a process of its own where it starts others."""
        given = [version, "--to", str(self.to), "--registry", str(self.registry.root), *arguments]
        if self.python is None:
            run = CliRunner().invoke(app, [*given, "--python", "/usr/bin/true"])
            assert run.exit_code == status, run.output
            return run.output
        command = [sys.executable, "-c", "import typer, trainer.export.cli as cli; typer.run(cli.export)", *given]
        done = subprocess.run([*command, "--python", str(self.python)], capture_output=True, text=True, timeout=110)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if "--json" in arguments else done.stdout + done.stderr

    def left(self) -> list[str]:
        return sorted(file.name for file in self.to.parent.iterdir()) if self.to.parent.exists() else []


def exact_merge(
    bench: Bench, rank_of: dict[str, int], alpha_of: dict[str, float], *, rslora: bool
) -> dict[str, np.ndarray[Any, Any]]:
    """The merge by numpy, from the definition: W + scale * B @ A, rounded once."""
    adapter = bench.registry.get("handbook").adapter / "adapter_model.safetensors"
    factors = {
        name: np.frombuffer(adapter.read_bytes()[entry.start : entry.end], np.float32).reshape(entry.shape)
        for name, entry in read_file(adapter).tensors.items()
    }
    merged = {}
    for name, bits in tensors_of(bench.base).items():
        module = name.removesuffix(".weight")
        a = factors.get(f"base_model.model.{module}.lora_A.weight")
        if a is None:
            merged[name] = bits
            continue
        rank = next((value for end, value in rank_of.items() if module.endswith(end)), 4)
        alpha = next((value for end, value in alpha_of.items() if module.endswith(end)), 8.0)
        b = factors[f"base_model.model.{module}.lora_B.weight"]
        merged[name] = bf16(from_bf16(bits) + (np.float32(alpha / (math.sqrt(rank) if rslora else rank)) * b) @ a)
    return merged


def tensors_of(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    layout = read_weights(folder)
    return {
        name: np.frombuffer(layout.files[file].path.read_bytes()[entry.start : entry.end], np.uint16).reshape(
            entry.shape
        )
        for name, file in layout.file_of.items()
        for entry in [layout.files[file].tensors[name]]
    }


def assert_exact(found: dict[str, np.ndarray[Any, Any]], wanted: dict[str, np.ndarray[Any, Any]]) -> None:
    """float32 sums in another order may fall on the other side of a tie: never further than the next number."""
    assert found.keys() == wanted.keys()
    for name, bits in found.items():
        assert np.abs(bits.astype(np.int64) - wanted[name].astype(np.int64)).max() <= 1, name


@pytest.mark.vllm
def test_an_untied_model_in_shards_with_scales_of_each_layers_own(tmp_path: Path, training_python: Path) -> None:
    bench = Bench(tmp_path, training_python, shards=3)
    patterns: dict[str, Any] = {"rank_pattern": {"layers.1.self_attn.q_proj": 6}, "alpha_pattern": {"v_proj": 3.0}}
    bench.add(rank=4, use_rslora=True, **patterns)
    done = json.loads(bench.run("--json"))
    assert done["logits"]["ok"]
    assert done["logits"]["prompts"] == 9, "eight of ours and the training row"
    assert done["logits"]["error_rms"] <= done["logits"]["bound_rms"] < 0.2 * done["logits"]["adapter_effect_rms"]
    assert done["logits"]["weights_worst_of_rounding"] <= 1

    found = tensors_of(bench.to)
    assert_exact(found, exact_merge(bench, patterns["rank_pattern"], patterns["alpha_pattern"], rslora=True))
    assert sum(int((bits != tensors_of(bench.base)[name]).any()) for name, bits in found.items()) == 14

    for file in bench.base.iterdir():
        if file.suffix != ".safetensors":
            assert (bench.to / file.name).read_bytes() == file.read_bytes()
        else:
            assert read_file(bench.to / file.name).header == read_file(file).header
    assert {file.name for file in bench.to.iterdir()} == {file.name for file in bench.base.iterdir()}
    assert bench.left() == ["handbook@v0001", "handbook@v0001.export.json"], "the record is beside, not inside"
    [noted] = bench.registry.state("handbook@v0001").exports
    assert noted["to"] == str(bench.to)
    assert noted["logits_checked"] is True

    assert "already, every byte" in bench.run()  # once more: nothing is written, nothing noted
    assert len(bench.registry.state("handbook@v0001").exports) == 1
    weights = next(bench.to.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    assert "changed since" in bench.run(status=1)


@pytest.mark.vllm
def test_a_tied_model_keeps_its_one_embedding_and_a_nan_is_caught(tmp_path: Path, training_python: Path) -> None:
    bench = Bench(tmp_path, training_python, tie_word_embeddings=True)
    bench.add()
    text = bench.run("--no-logits")
    assert "14 of 20 tensors changed" in text
    assert "logits were not compared" in text
    found, before = tensors_of(bench.to), tensors_of(bench.base)
    assert_exact(found, exact_merge(bench, {}, {}, rslora=False))
    assert "lm_head.weight" not in found
    assert (found["model.embed_tokens.weight"] == before["model.embed_tokens.weight"]).all()

    broken = write_full_adapter(tmp_path / "broken", bench.base)
    weights = broken / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4:] = b"\x00\x00\xc0\x7f"
    weights.write_bytes(content)
    bench.registry.add("handbook", broken, Lineage(origin="trained", base=base_of(bench.base)))
    bench.to = bench.to.with_name("handbook@v0002")
    bench.run("--no-logits", version="handbook@v0002", status=1)
    assert bench.left() == ["handbook@v0001", "handbook@v0001.export.json"], "nothing is left of it"


def test_a_base_that_would_be_misread_is_refused_with_all_findings_before_any_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rope_theta="absent", rope_parameters={"rope_theta": 5e5, "rope_type": "default"})
    edit(bench.base, "tokenizer_config.json", tokenizer_class="TokenizersBackend")
    bench.add()
    text = bench.run(status=1)
    assert "error rope-theta" in text
    assert "error tokenizer-class" in text
    assert bench.left() == []
    assert bench.registry.state("handbook@v0001").exports == ()


def test_another_base_under_the_same_name_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.add()
    edit(bench.base, rms_norm_eps=1e-5)
    assert "is not the base that handbook@v0001 was made for" in bench.run(status=1)
    assert "name its folder with --base" in bench.run("--base", str(tmp_path / "gone"), status=1)


def test_an_adapter_that_was_changed_in_the_registry_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.add()
    file = bench.registry.get("handbook").adapter / "adapter_config.json"
    file.chmod(0o644)
    file.write_text(file.read_text().replace('"lora_alpha": 8', '"lora_alpha": 9'))
    assert "no longer what was put into the registry" in bench.run(status=1)


def test_what_cannot_be_merged_is_refused_before_any_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tie_word_embeddings=True)
    other = write_model(tmp_path / "untied")
    folder = write_full_adapter(tmp_path / "adapter", other, target_modules=["lm_head"])
    bench.registry.add("handbook", folder, Lineage(origin="imported", base=Base(path=str(bench.base))))
    assert "head and embedding are one" in bench.run(status=1)
    assert bench.left() == []


def test_a_folder_that_is_something_else_is_never_written_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.add()
    bench.to.mkdir(parents=True)
    (bench.to / "mine.txt").write_text("mine")
    assert "exists and is no export" in bench.run(status=1)
    assert (bench.to / "mine.txt").read_text() == "mine"


def test_the_registry_is_no_place_for_an_export(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.add()
    bench.to = bench.registry.root / "handbook" / "merged"
    assert "lies in the registry" in bench.run(status=1)
    assert bench.registry.verify("handbook") == []


def test_a_merge_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Path("/usr/bin/false"))
    bench.add()
    assert "trainer.export.merge ended with status 1" in bench.run(status=1)
    assert bench.left() == []


def test_a_version_that_is_not_there_ends_with_status_two(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert "has no adapter called handbook" in bench.run(status=2)
