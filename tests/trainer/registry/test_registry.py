"""The registry keeps versions whole, unchanged, and in order, whoever writes and whenever they die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.trainer.adapters import write_adapter
from tests.trainer.export.model_folder import write_model
from trainer.registry import Data, Lineage, Registry, RegistryError, base_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry", now=lambda: NOON)


def trained() -> Lineage:
    return Lineage(
        origin="trained",
        data=Data(path="rows.jsonl", sha256="sha256:ab", rows=3),
        settings={"name": "handbook", "lora": {"rank": 4}},
        provenance={"lora.rank": "file"},
        run={"curve": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}]},
        versions={"torch": "2.13.0"},
    )


def test_a_version_holds_the_adapter_its_lineage_and_what_was_put_beside_it(
    registry: Registry, adapter: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "loss.png"
    picture.write_bytes(b"png")
    version = registry.add("handbook", adapter, trained(), [picture])
    assert version.id == "handbook@v0001"
    assert sorted(str(file.relative_to(version.folder)) for file in version.folder.rglob("*") if file.is_file()) == [
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "lineage.json",
        "loss.png",
    ]
    written = json.loads((version.folder / "lineage.json").read_text())
    assert written["schema"] == 1
    assert written["version"] == "handbook@v0001"
    assert written["created_at"] == "2026-11-23T12:00:00.000Z"
    assert written["adapter"] == {"rank": 4, "alpha": 8.0, "targets": ["q_proj"]}
    assert written["data"] == {"path": "rows.jsonl", "sha256": "sha256:ab", "rows": 3}
    assert registry.lineage(version).run == trained().run
    assert registry.verify(version) == []


def test_versions_count_up_and_the_newest_is_found_by_name(registry: Registry, adapter: Path) -> None:
    for _ in range(3):
        registry.add("handbook", adapter, trained())
    registry.add("billing", adapter, trained())
    assert registry.names() == ["billing", "handbook"]
    assert [version.id for version in registry.versions("handbook")] == [f"handbook@v000{n}" for n in (1, 2, 3)]
    assert registry.latest("handbook").id == registry.get("handbook").id == "handbook@v0003"
    assert registry.get("handbook@v0002").number == 2


def test_a_number_that_was_ever_given_is_never_given_again(registry: Registry, adapter: Path) -> None:
    registry.add("handbook", adapter, trained())
    second = registry.add("handbook", adapter, trained())
    for file in sorted(second.folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    second.folder.rmdir()
    assert registry.add("handbook", adapter, trained()).id == "handbook@v0003"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("handbook@v0009", "has no handbook@v0009: it has handbook@v0001 to handbook@v0001"),
        ("billing", "has no adapter called billing: it has handbook"),
        ("handbook@7", "written like handbook@v0007"),
        ("../handbook@v0001", "names no version"),
        ("handbook@v01", "names no version"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(registry: Registry, adapter: Path, asked: str, says: str) -> None:
    registry.add("handbook", adapter, trained())
    with pytest.raises(RegistryError, match=says):
        registry.get(asked)


def test_names_that_could_not_be_served_or_would_leave_the_folder_are_refused(
    registry: Registry, adapter: Path
) -> None:
    for name in ("", "Handbook", "a/b", "..", "a@b", ".hidden", "x" * 49):
        with pytest.raises(RegistryError, match="no adapter's name"):
            registry.add(name, adapter, trained())
    assert not registry.root.exists()


def test_an_adapter_that_is_cut_short_is_not_taken_in(registry: Registry, adapter: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(RegistryError, match="cut short"):
        registry.add("handbook", adapter, trained())
    assert registry.names() == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ('{"peft_type": "LORA", "r": NaN}', "no number in JSON"),
        ('{"peft_type": "LORA", "r": ' + "9" * 400 + "}", "a number of 400 digits"),
        ('{"a":' * 100_000, "nests too deeply"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "longer than"),
        ('{"peft_type": "LORA", "r": true, "lora_alpha": 8}', "r is True"),
        ('{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": 5}', "target_modules is 5"),
        ('{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", 1]}', "target_modules is"),
    ],
)
def test_a_strangers_settings_are_refused_in_words(registry: Registry, adapter: Path, config: str, says: str) -> None:
    (adapter / "adapter_config.json").write_text(config)
    with pytest.raises(RegistryError, match=says):
        registry.add("handbook", adapter, trained())


def test_the_bases_hash_is_of_the_files_that_a_reader_loads(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", shards=2)
    before = base_of(model).weights_sha256
    assert before is not None
    (model / "consolidated.safetensors").write_bytes(b"the same weights in another form")
    assert base_of(model).weights_sha256 == before
    with (model / "model-00002-of-00002.safetensors").open("ab") as file:
        file.write(b"more")
    assert base_of(model).weights_sha256 != before


def test_a_folder_without_a_lora_adapter_is_not_taken_in(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no adapter in peft's form"):
        registry.add("handbook", tmp_path, trained())
    with pytest.raises(RegistryError, match="only LORA"):
        registry.add("handbook", write_adapter(tmp_path / "ia3", peft_type="IA3"), trained())


def test_files_are_read_only_and_every_later_change_is_found(registry: Registry, adapter: Path) -> None:
    version = registry.add("handbook", adapter, trained())
    for file in version.folder.rglob("*"):
        if file.is_file():
            assert file.stat().st_mode & 0o222 == 0
    weights = version.adapter / "adapter_model.safetensors"
    weights.chmod(0o644)
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    (version.adapter / "adapter_config.json").unlink()
    (version.folder / "notes.txt").write_text("later")
    lineage = version.folder / "lineage.json"
    lineage.chmod(0o644)
    lineage.write_text(lineage.read_text().replace('"rows.jsonl"', '"other.jsonl"'))
    problems = registry.verify(version)
    assert len(problems) == 4
    for part in (
        "adapter_model.safetensors has SHA-256",
        "adapter_config.json is missing",
        "notes.txt",
        "lineage.json",
    ):
        assert any(part in problem for problem in problems), (part, problems)


def test_a_lineage_of_a_newer_program_is_refused_with_what_to_do(registry: Registry, adapter: Path) -> None:
    version = registry.add("handbook", adapter, trained())
    file = version.folder / "lineage.json"
    file.chmod(0o644)
    file.write_text(json.dumps({"schema": 2, "version": version.id, "something": "new"}))
    with pytest.raises(RegistryError, match=r"schema 2 and this program reads up to 1.*update"):
        registry.lineage(version)
    file.write_text('{"schema": 1')
    with pytest.raises(RegistryError, match="cannot be read"):
        registry.lineage(version)


ADD_FOREVER = """
import os, sys
from pathlib import Path
from trainer.registry import Lineage, Registry
root, adapter, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(count):
    print(Registry(root).add("handbook", adapter, Lineage(origin="trained")).id, flush=True)
"""


def start_writer(registry: Registry, adapter: Path, count: int) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", ADD_FOREVER, str(registry.root), str(adapter), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_eight_writers_at_once_get_eight_versions(registry: Registry, adapter: Path) -> None:
    children = [start_writer(registry, adapter, 3) for _ in range(8)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    got = [line for child in children for line in child.communicate()[0].split()]
    assert sorted(got) == [f"handbook@v{number:04d}" for number in range(1, 25)]
    for version in registry.versions("handbook"):
        assert registry.verify(version) == []
        assert [event.event for event in registry.state(version).history] == ["added"]


# Ends the process at the n-th system call that could matter, as kill -9 at that moment would.
DIE_AT = """
import os, signal, sys
from pathlib import Path
from trainer.registry import Lineage, Registry
root, adapter = Path(sys.argv[1]), Path(sys.argv[2])
WATCHED = ("os.mkdir", "os.rename", "os.remove", "open", "os.chmod", "shutil.rmtree", "os.listdir", "os.scandir")
step, parent = 0, os.getpid()
def watch(event, arguments):
    global step
    if os.getpid() != parent and event in WATCHED:
        step += 1
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)
at = 0
sys.addaudithook(watch)
while True:
    at += 1
    child = os.fork()
    if child == 0:
        step = 0
        Registry(root).add("handbook", adapter, Lineage(origin="trained"))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(at, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)
    if status == 0:
        break
    whole = Registry(root)
    for version in whole.versions("handbook"):
        assert whole.verify(version) == [], (at, version)
"""


def test_a_writer_killed_at_any_step_leaves_no_half_version(registry: Registry, adapter: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIE_AT, str(registry.root), str(adapter)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    ends = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(ends) > 10
    assert set(ends[:-1]) == {signal.SIGKILL}
    assert ends[-1] == 0
    hidden = [entry.name for entry in (registry.root / "handbook").iterdir() if entry.name.startswith(".")]
    assert hidden == [], "the last writer removed what the dead ones left"
    for version in registry.versions("handbook"):
        assert registry.verify(version) == []


def test_writers_killed_at_random_moments_leave_only_whole_versions(registry: Registry, adapter: Path) -> None:
    import random
    import time

    moments = random.Random(5)
    for _ in range(5):
        child = start_writer(registry, adapter, 1000)
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(moments.uniform(0.0, 0.08))
        child.kill()
        child.communicate()
        for version in registry.versions("handbook"):
            assert registry.verify(version) == []
    registry.add("handbook", adapter, trained())
    assert not [entry for entry in (registry.root / "handbook").iterdir() if entry.name.startswith(".")]


def test_a_living_writers_hidden_folder_is_left_alone(registry: Registry, adapter: Path) -> None:
    from trainer.registry.staging import staged

    registry.add("handbook", adapter, trained())
    with staged(registry.root / "handbook") as folder:
        registry.add("handbook", adapter, trained())
        assert folder.exists()
    assert not folder.exists()
