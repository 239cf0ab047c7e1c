"""The tokenizer and the network by their own properties; against their originals: test_minilm_original.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.retrieval.tiny_bert import HIDDEN, POSITIONS, make_tiny_bert
from trainer.retrieval.embedder import EmbedderError
from trainer.retrieval.minilm.embedder import MiniLm
from trainer.retrieval.minilm.wordpiece import WordPiece, read_wordpiece


@pytest.fixture(scope="module")
def pieces(tiny_bert: Path) -> WordPiece:
    return read_wordpiece(tiny_bert / "tokenizer.json")


def _tokens(tiny_bert: Path, pieces: WordPiece, text: str) -> list[str]:
    vocabulary = json.loads((tiny_bert / "tokenizer.json").read_text())["model"]["vocab"]
    names = {number: token for token, number in vocabulary.items()}
    return [names[each] for each in pieces.ids(text)][1:-1]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The DINNER", ["the", "dinner"]), ("unpayable", ["un", "##p", "##a", "##y", "##able"]),
        ("Pâying.", ["pay", "##ing", "."]), ("$5!", ["$", "5", "!"]), ("the\t road\x00\x07", ["the", "road"]),
        ("中文the", ["中", "文", "the"]), ("☃", ["[UNK]"]), ("a" * 101, ["[UNK]"]), ("[SEP]", ["[", "s", "##e", "##p",
        "]"]),
        ("", []),
    ],
)  # fmt: skip
def test_text_becomes_the_longest_pieces_of_the_vocabulary(
    tiny_bert: Path, pieces: WordPiece, text: str, tokens: list[str]
) -> None:
    assert _tokens(tiny_bert, pieces, text) == tokens


def test_a_long_text_is_cut_and_keeps_both_marks(pieces: WordPiece) -> None:
    whole = pieces.ids("the road " * 50)
    cut = pieces.ids("the road " * 50, 10)
    assert len(whole) == 102
    assert len(cut) == 10
    assert cut[0] == whole[0]
    assert cut[-1] == whole[-1]
    assert cut[:-1] == whole[:9]


def test_vectors_have_the_length_one_and_stand_in_the_order_of_the_texts(embedder: MiniLm) -> None:
    texts = ["the dinner", "a night train", "the gate of the yard"]
    seen: list[int] = []
    vectors = embedder.embed(texts, seen.append)
    assert vectors.shape == (3, HIDDEN)
    assert vectors.dtype == np.float32
    assert sum(seen) == 3
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    for text, vector in zip(texts, vectors, strict=True):
        assert np.array_equal(embedder.embed([text])[0], vector)  # whatever it is embedded beside


def test_a_text_beyond_the_limit_is_read_up_to_it(embedder: MiniLm) -> None:
    assert embedder.longest == POSITIONS
    start = "the road " * ((POSITIONS - 2) // 2)
    assert embedder.length(start) == POSITIONS
    assert np.array_equal(embedder.embed([start + "dinner"])[0], embedder.embed([start])[0])
    assert embedder.embed([]).shape == (0, HIDDEN)


def test_the_name_tells_models_apart(tmp_path: Path, tiny_bert: Path, embedder: MiniLm) -> None:
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    assert MiniLm(copy).name == embedder.name
    assert MiniLm(make_tiny_bert(tmp_path / "other", seed=1)).name != embedder.name


def _without(folder: Path, name: str) -> None:
    (folder / name).unlink()


def _with_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def _with_tokenizer(folder: Path, part: str, **changes: object) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**content, part: {**content[part], **changes}}))


def _with_word(folder: Path, word: str, number: int) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    _with_tokenizer(folder, "model", vocab={**vocabulary, word: number})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: _without(folder, "model.safetensors"), "has no model.safetensors"),
        (lambda folder: _with_config(folder, model_type="llama"), "of the kind 'llama'"),
        (lambda folder: _with_config(folder, hidden_size=48), r"F32 \[.*, 32\], not F32 \[.*48\]"),
        (lambda folder: _with_config(folder, num_hidden_layers=3), "has no tensor encoder.layer.2"),
        (lambda folder: _with_config(folder, num_attention_heads="4"), "num_attention_heads is '4'"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "not a safetensors file"),
        (lambda folder: _with_word(folder, "zebra", 9_999), r"has ids 0 to 9999 and its model \d+ words"),
        (lambda folder: _with_word(folder, "zebra", -1), "has ids -1 to"),
        (lambda folder: _with_tokenizer(folder, "normalizer", strip_accents=False), "its strip_accents is False"),
        (lambda folder: _with_tokenizer(folder, "normalizer", clean_text=False), "its clean_text is False"),
        (
            lambda folder: _with_tokenizer(folder, "model", max_input_chars_per_word=50),
            "its max_input_chars_per_word is 50",
        ),
        (
            lambda folder: (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}'),
            "no tokenizer.json of BERT",
        ),
    ],
)
def test_a_broken_model_is_refused_with_what_is_wrong(
    tmp_path: Path, tiny_bert: Path, change: object, said: str
) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    change(folder)  # type: ignore[operator]
    with pytest.raises(EmbedderError, match=said):
        MiniLm(folder)
