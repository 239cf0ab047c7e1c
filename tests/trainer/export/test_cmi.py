"""What Bedrock's import would refuse or silently misread is found in the files, each with its reason and mend."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.trainer.export.model_folder import TEMPLATE, edit, write_json, write_model
from trainer.export.cli import export
from trainer.export.cmi import check
from trainer.export.config_checks import check_config
from trainer.export.finding import errors
from trainer.export.layout import LayoutError, read_file, read_weights
from trainer.export.weights_checks import expected_tensors


def codes(folder: Path, base: Path | None = None) -> set[tuple[str, str]]:
    return {(finding.severity, finding.code) for finding in check(folder, base)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"tie_word_embeddings": True},
        {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None},
        {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"},
        {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"},
        {"attention_bias": True, "mlp_bias": True},
        {
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            }
        },
        {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}},  # both spellings, the same
    ],
)
def test_a_model_in_the_old_shape_is_clean(tmp_path: Path, config: dict[str, Any]) -> None:
    assert check(write_model(tmp_path / "model", **config)) == []


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    assert check(write_model(tmp_path / "model", shards=3)) == []


def test_a_real_llama_has_the_tensors_that_its_config_implies() -> None:
    tensors = expected_tensors(
        {
            "model_type": "llama",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
            "tie_word_embeddings": False,
        }
    )
    assert len(tensors) == 291  # as Llama 3.1 8B's index lists
    count = 0
    for shape in tensors.values():
        size = 1
        for side in shape:
            size *= side
        count += size
    assert count == 8_030_261_248


def test_transformers_5s_shape_is_refused_with_what_the_reader_would_take(model: Path) -> None:
    new = {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}, "dtype": "bfloat16"}
    edit(model, **new, rope_theta="absent", rope_scaling="absent", torch_dtype="absent")
    edit(model, "tokenizer_config.json", tokenizer_class="TokenizersBackend", chat_template="absent")
    (model / "chat_template.jinja").write_text(TEMPLATE)
    assert codes(model) == {
        ("error", "rope-theta"),
        ("error", "torch-dtype"),
        ("error", "tokenizer-class"),
        ("warning", "chat-template-beside"),
    }
    [theta] = [finding for finding in check(model) if finding.code == "rope-theta"]
    assert "500000" in theta.what
    assert "10000 without a word" in theta.why


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"architectures": ["GemmaForCausalLM"], "model_type": "gemma"},
         {("error", "architecture"), ("warning", "names-not-known")}),
        ({"model_type": "mistral"}, {("error", "model-type")}),
        ({"rope_theta": "absent", "rope_parameters": {"rope_theta": 10000.0}}, {("warning", "rope-theta-not-said")}),
        ({"rope_theta": "absent"}, {("warning", "rope-theta-not-said")}),
        ({"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}}, {("error", "rope-theta")}),
        ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0}}, {("error", "rope-scaling")}),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                           "original_max_position_embeddings": 8192}}, {("error", "rope-scaling-overridden")}),
        ({"rope_scaling": {"rope_type": "newest"}}, {("error", "rope-scaling")}),
        ({"rope_scaling": {"factor": 2.0}}, {("error", "rope-scaling")}),
        ({"torch_dtype": "absent"}, {("error", "torch-dtype")}),
        ({"torch_dtype": "float8_e4m3fn"}, {("error", "torch-dtype")}),
        ({"torch_dtype": "float32"}, {("warning", "dtype-differs")}),
        ({"tie_word_embeddings": "absent"}, {("warning", "tied-not-said")}),
        ({"quantization_config": {"quant_method": "fp8"}}, {("error", "quantized")}),
        ({"auto_map": {"AutoModel": "own.Model"}}, {("error", "own-code")}),
        ({"rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 0.5}}, {("error", "rope-partial")}),
        ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "yarn", "factor": 4.0, "beta_fast": 8},
          "rope_scaling": {"type": "yarn", "factor": 4.0}}, {("error", "rope-scaling")}),
        ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "yarn", "factor": 4.0, "beta_fast": 32},
          "rope_scaling": {"type": "yarn", "factor": 4.0}}, set()),
        ({"rope_theta": 0}, {("error", "rope-theta")}),
        ({"rope_theta": "10000"}, {("error", "rope-theta")}),
        ({"rope_theta": float("nan")}, {("error", "missing-file")}),
        ({"rope_theta": 10**400}, {("error", "missing-file")}),
        ({"num_hidden_layers": 100_000_000}, {("error", "config")}),
        ({"rms_norm_eps": "small"}, {("error", "config")}),
        ({"max_position_embeddings": 262144}, {("warning", "context")}),
        ({"max_position_embeddings": 131072}, set()),
        ({"num_hidden_layers": 3}, {("error", "missing-tensors")}),
        ({"num_hidden_layers": 1}, {("error", "extra-tensors")}),
        ({"intermediate_size": 64}, {("error", "shapes")}),
        ({"tie_word_embeddings": True}, {("error", "tied-head")}),
        ({"num_attention_heads": "absent"}, {("error", "config")}),
        ({"vocab_size": 259}, {("error", "vocabulary"), ("error", "shapes")}),
    ],
)  # fmt: skip
def test_each_thing_in_the_config_that_would_be_misread(
    model: Path, config: dict[str, Any], found: set[tuple[str, str]]
) -> None:
    edit(model, **config)
    assert codes(model) == found


def test_an_untied_model_without_its_head_would_get_a_random_one(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tie_word_embeddings=True)
    edit(model, tie_word_embeddings=False)
    [finding] = check(model)
    assert finding.code == "missing-tensors"
    assert "lm_head.weight" in finding.what
    assert "random" in finding.why


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda m: (m / "tokenizer.json").unlink(), {("error", "missing-file")}),
        (lambda m: (m / "tokenizer_config.json").unlink(), {("error", "missing-file")}),
        (lambda m: (m / "config.json").unlink(), {("error", "missing-file")}),
        (lambda m: (m / "tokenizer.json").write_text("{"), {("error", "unreadable-file")}),
        (lambda m: (m / "generation_config.json").unlink(), {("warning", "no-generation-config")}),
        (lambda m: (m / "chat_template.jinja").write_text("other"), {("error", "chat-template")}),
        (lambda m: (m / "chat_template.jinja").write_text(TEMPLATE), set()),
        (lambda m: write_json(m / "chat_template.json", {"chat_template": "other"}), {("error", "chat-template")}),
        (lambda m: edit(m, "tokenizer_config.json", chat_template="absent"), {("warning", "no-chat-template")}),
        (lambda m: edit(m, "tokenizer_config.json", tokenizer_class="absent"),
         {("warning", "tokenizer-class-not-said")}),
        (lambda m: edit(m, "tokenizer_config.json", eos_token="<end>"), {("error", "special-token")}),
        (lambda m: edit(m, "tokenizer_config.json", extra_special_tokens=["<x>"]), {("error", "extra-special-tokens")}),
        (lambda m: write_json(m / "adapter_config.json", {}), {("error", "adapter")}),
        (lambda m: (m / "pytorch_model.bin").write_bytes(b""), {("warning", "other-weights")}),
        (lambda m: write_json(m / "model.safetensors.index.json", {}), {("error", "two-weights")}),
        (lambda m: (m / "model.safetensors").unlink(), {("error", "weights")}),
        (lambda m: (m / "model.safetensors").write_bytes(b"\xff" * 64), {("error", "weights")}),
    ],
)  # fmt: skip
def test_each_thing_in_the_other_files(
    model: Path, change: Callable[[Path], object], found: set[tuple[str, str]]
) -> None:
    change(model)
    assert codes(model) == found


def test_a_folder_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    assert codes(tmp_path / "none") == {("error", "folder")}


def test_against_the_base_every_other_file_must_be_the_same_to_the_byte(tmp_path: Path, model: Path) -> None:
    other = write_model(tmp_path / "other")
    assert codes(other, model) == set()
    edit(other, "generation_config.json", eos_token_id=3)
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + "\n")
    assert codes(other, model) == {("error", "file-differs")}


def test_against_the_base_no_tensor_may_change_its_form(tmp_path: Path, model: Path) -> None:
    wider = write_model(tmp_path / "wider", vocab_size=280)
    assert ("error", "not-as-base") in codes(wider, model)


def test_an_allowed_code_no_longer_forbids(model: Path) -> None:
    edit(model, torch_dtype="absent", tie_word_embeddings="absent")
    findings = check(model)
    assert [finding.code for finding in errors(findings)] == ["torch-dtype"]
    assert errors(findings, ["torch-dtype"]) == []


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 6]}}, "needs 8"),
        ({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}, "cut short"),
        ({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, "longer than its header says"),
        ({"w": {"shape": [1]}}, "not described"),
        ([], "not a JSON object"),
    ],
)
def test_a_broken_weights_file_is_named(tmp_path: Path, header: Any, says: str) -> None:
    raw = json.dumps(header).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(4))
    with pytest.raises(LayoutError, match=says):
        read_file(file)


def test_an_index_that_names_a_file_outside_or_a_tensor_that_is_not_there_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", shards=2)
    index = model / "model.safetensors.index.json"
    whole = json.loads(index.read_text())
    write_json(index, {"weight_map": {"w": "../secret.safetensors"}})
    with pytest.raises(LayoutError, match="same folder"):
        read_weights(model)
    whole["weight_map"]["ghost"] = "model-00001-of-00002.safetensors"
    write_json(index, whole)
    with pytest.raises(LayoutError, match="ghost"):
        read_weights(model)


app = typer.Typer()
app.command()(export)


def test_checking_a_folder_alone_prints_every_finding_and_fails(model: Path) -> None:
    run = CliRunner().invoke(app, ["--check", str(model)])
    assert (run.exit_code, "nothing is known" in run.output) == (0, True)
    edit(model, torch_dtype="absent", tie_word_embeddings="absent")
    run = CliRunner().invoke(app, ["--check", str(model)])
    assert run.exit_code == 1
    assert "error torch-dtype: config.json has no torch_dtype" in run.output
    assert "warning tied-not-said" in run.output
    run = CliRunner().invoke(app, ["--check", str(model), "--json"])
    assert [finding["code"] for finding in json.loads(run.output)] == ["torch-dtype", "tied-not-said"]
    assert CliRunner().invoke(app, ["--check", str(model), "--allow", "torch-dtype"]).exit_code == 0


def test_half_a_command_says_what_is_missing(tmp_path: Path) -> None:
    for arguments in ([], ["handbook"], ["--to", "x"], ["handbook", "--check", "x"]):
        run = CliRunner().invoke(app, arguments)
        assert run.exit_code == 2
        assert "--check DIR alone" in run.output


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "qwen2_vl", "text_config": {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}},
        {"model_type": "qwen2_5_vl", "rope_parameters": {"rope_theta": 5e5}},
        {"model_type": "mllama", "text_config": {"rope_parameters": {"rope_theta": 10_000.0}}},
        {"model_type": "llama", "rope_theta": float("nan")},
    ],
)
def test_positions_of_models_for_images_are_looked_at_too(config: dict[str, Any]) -> None:
    assert "rope-theta" in {finding.code for finding in check_config(config) if finding.severity == "error"}


def test_what_a_model_for_images_says_in_the_old_shape_is_taken() -> None:
    for config in (
        {"model_type": "qwen2_vl", "rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}},
        {"model_type": "mllama", "text_config": {"rope_theta": 5e5, "rope_scaling": None}},
    ):
        assert not [finding for finding in check_config(config) if finding.code.startswith("rope")]


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}}, "own-code"),
        ("tokenizer_config.json", {"chat_template": [{"name": ["default"], "template": "x"}]}, "no-chat-template"),
        ("tokenizer.json", {"added_tokens": [{}]}, "tokenizer"),
        ("tokenizer.json", {"added_tokens": [{"content": "<s>", "id": "258"}]}, "tokenizer"),
        ("tokenizer.json", {"model": {"vocab": [5, []]}}, "tokenizer"),
    ],
)
def test_a_strangers_tokenizer_is_found_wrong_and_ends_nothing(
    model: Path, file: str, content: dict[str, Any], code: str
) -> None:
    edit(model, file, **content)
    assert code in {finding.code for finding in check(model)}


def test_json_that_nests_without_end_is_unreadable(model: Path) -> None:
    (model / "tokenizer.json").write_text("[" * 100_000)
    (model / "config.json").write_text('{"a":' * 100_000)
    assert {("error", "unreadable-file"), ("error", "missing-file")} <= codes(model)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"a": [[2], [0, 4]], "b": [[2], [0, 4]]}, "overlaps"),
        ({"a": [[2], [0, 4]], "b": [[2], [6, 10]]}, "gap"),
        ({"a": [[-2, -1], [0, 4]]}, "no side or offset"),
        ({"a": [[2.0], [0, 4]]}, "no side or offset"),
        ({"a": [[True, 2], [0, 4]]}, "no side or offset"),
        ({"a": [["2"], [0, 4]]}, "no side or offset"),
        ({"a": [[0] * 100, [0, 0]]}, "sides"),
        ({"a": [[0, 2**64], [0, 0]]}, "no side or offset"),
    ],
)
def test_a_header_that_describes_what_cannot_be_is_refused(tmp_path: Path, tensors: dict[str, Any], says: str) -> None:
    header = {name: {"dtype": "BF16", "shape": shape, "data_offsets": at} for name, (shape, at) in tensors.items()}
    raw = json.dumps(header).encode()
    end = max(at[1] for _, at in tensors.values())
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(end))
    with pytest.raises(LayoutError, match=says):
        read_file(tmp_path / "x.safetensors")


def test_a_header_that_nests_without_end_is_refused(tmp_path: Path) -> None:
    raw = b'{"a":' * 100_000
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw)
    with pytest.raises(LayoutError, match="nests too deeply"):
        read_file(tmp_path / "x.safetensors")


def test_a_link_that_leaves_the_model_is_not_sent_away_and_a_snapshots_blobs_are_its_own(tmp_path: Path) -> None:
    snapshot = write_model(tmp_path / "hub" / "snapshots" / "abc")
    (tmp_path / "hub" / "blobs").mkdir()
    (snapshot / "tokenizer.json").rename(tmp_path / "hub" / "blobs" / "1234")
    (snapshot / "tokenizer.json").symlink_to("../../blobs/1234")
    assert check(snapshot) == []
    (tmp_path / "private").write_text("mine")
    (snapshot / "README.md").symlink_to(tmp_path / "private")
    assert codes(snapshot) == {("error", "link")}
