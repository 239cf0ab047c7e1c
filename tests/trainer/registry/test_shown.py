"""`crossover adapter list`, `show` and `import`, as a person and a program see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.trainer.adapters import write_adapter
from trainer.registry import Base, Data, Lineage, Registry
from trainer.registry.cli import import_, list_adapters, show

app = typer.Typer()
app.command("list")(list_adapters)
app.command("show")(show)
app.command("import")(import_)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "registry")
    made = Lineage(
        origin="trained",
        base=Base(path="/models/llama-8b", config_sha256="c" * 64, weights_sha256="d" * 64),
        data=Data(path="rows.jsonl", sha256="sha256:" + "e" * 64, rows=231),
        settings={"lora": {"rank": 4}, "seed": 0},
        provenance={"lora.rank": "file", "seed": "default"},
        run={"curve": [{"step": n, "loss": 2.0 - n / 10} for n in range(10)]},
        versions={"torch": "2.13.0"},
    )
    for _ in range(2):
        registry.add("handbook", write_adapter(tmp_path / "adapter"), made)
    registry.note("handbook@v0001", "gated", verdict="pass")
    registry.note("handbook@v0001", "published", alias="support", backend="box")
    return registry


def run(registry: Registry, *arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments, "--registry", str(registry.root)], env={"COLUMNS": "160"})
    assert result.exit_code == status, result.output
    return result.output


def test_the_list_has_a_line_for_each_version_with_who_serves_it(registry: Registry) -> None:
    header, first, second = run(registry, "list").splitlines()
    assert header.split() == ["version", "stage", "created", "(UTC)", "base", "rank", "loss", "gate", "serving"]
    assert first.split()[:2] == ["handbook@v0001", "live"]
    assert first.split()[4:] == ["llama-8b", "4", "1.1000", "pass", "support", "on", "box", "100%"]
    assert second.split()[:2] == ["handbook@v0002", "candidate"]
    lines = json.loads(run(registry, "list", "handbook", "--json"))
    assert [line["version"] for line in lines] == ["handbook@v0001", "handbook@v0002"]
    assert lines[0]["serving"] == [{"alias": "support", "backend": "box", "share": 1.0}]


def test_showing_a_version_tells_its_whole_lineage(registry: Registry) -> None:
    text = run(registry, "show", "handbook@v0001")
    for part in (
        "/models/llama-8b",
        "231 rows",
        "lora.rank 4 (file)",
        "2.0000 -> 1.1000",
        "every byte",
        "torch 2.13.0",
    ):
        assert part in text
    assert "seed" not in text, "defaults are left to --json"
    found = json.loads(run(registry, "show", "handbook", "--json"))
    assert found["version"] == "handbook@v0002"
    assert found["lineage"]["settings"] == {"lora": {"rank": 4}, "seed": 0}
    assert found["problems"] == []


def test_a_version_that_was_changed_is_shown_with_what_changed_and_fails(registry: Registry) -> None:
    file = registry.get("handbook@v0001").adapter / "adapter_config.json"
    file.chmod(0o644)
    file.write_text("{}")
    assert "adapter_config.json has SHA-256" in run(registry, "show", "handbook@v0001", status=1)


def test_one_lineage_that_cannot_be_read_does_not_hide_the_others(registry: Registry) -> None:
    file = registry.get("handbook@v0001").folder / "lineage.json"
    file.chmod(0o644)
    file.write_text('{"schema": 7}')
    lines = json.loads(run(registry, "list", "--json"))
    assert "schema 7" in lines[0]["problem"]
    assert lines[1]["problem"] is None


def test_what_is_not_there_ends_with_status_two(registry: Registry) -> None:
    assert "has no handbook@v0009" in run(registry, "show", "handbook@v0009", status=2)
    assert "no adapter called billing" in run(registry, "list", "billing", status=2)


def test_an_empty_registry_says_so(tmp_path: Path) -> None:
    assert "holds no versions yet" in run(Registry(tmp_path / "none"), "list")


def test_an_adapter_from_elsewhere_is_taken_in_when_it_can_be_served(registry: Registry, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    other = write_adapter(tmp_path / "other", base_model_name_or_path=str(base))
    assert json.loads(run(registry, "import", str(other), "--name", "legal", "--json"))["version"] == "legal@v0001"
    lineage = registry.lineage(registry.get("legal"))
    assert lineage.origin == "imported"
    assert lineage.base is not None
    assert lineage.base.path == str(base)
    assert lineage.base.config_sha256 is not None


def test_one_that_cannot_is_refused_with_every_reason(registry: Registry, tmp_path: Path) -> None:
    other = write_adapter(tmp_path / "other", rank=32, use_dora=True)
    text = run(registry, "import", str(other), "--name", "legal", status=2)
    assert "r is 32" in text
    assert "DoRA" in text
    assert "legal" not in registry.names()
