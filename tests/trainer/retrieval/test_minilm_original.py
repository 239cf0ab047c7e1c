"""Our tokenizer and network against Hugging Face's own, on a random BERT and, where it is installed, on MiniLM."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.vllm_fixture import HOME
from trainer.environment import environment
from trainer.retrieval.minilm.embedder import MiniLm
from trainer.retrieval.minilm.weights import FILES
from trainer.retrieval.minilm.wordpiece import read_wordpiece

pytestmark = pytest.mark.vllm

TEXTS = [
    "Dinner on the road is paid up to 31 euros.", "", "Ünïcödé façade, naïve — “quotes” … and €5.50!",
    "中文 and English中",
    "tabs\tand\nlines\r\n and\u00a0spaces\u2003wide", "zero\u200bwidth and \ufffd and \x07 bells",
    "e\u0301 combining a\u030a",
    "emoji 🙂 and 🏳️\u200d🌈 and ☃", "İstanbul ǅ ß ﬁ", "https://example.org/a_b?c=d&e=f#g", "x" * 101 + " after",
    "1,000.50 (50%) [x] {y}",
    "Привет мир; γειά σου; مرحبا; हिन्दी; ภาษาไทย", "don't won't it's", "\u00ad soft\u00adhyphen", "$+<=>^`|~",
    "a" * 100,
    "the quick brown fox " * 120,
]  # fmt: skip


def _compared(python: Path, folder: Path) -> None:
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("originals.py")), str(folder)],
        input=json.dumps(TEXTS), capture_output=True, text=True, check=True, env=environment(), timeout=100,
    )  # fmt: skip
    theirs = json.loads(done.stdout)
    tokenizer = read_wordpiece(folder / "tokenizer.json")
    for text, ids in zip(TEXTS, theirs["ids"], strict=True):
        assert tokenizer.ids(text) == ids, text
    ours = MiniLm(folder).embed(TEXTS)
    assert np.abs(ours - np.array(theirs["vectors"], np.float32)).max() < 2e-6


def test_a_random_bert_gives_the_same_ids_and_vectors(training_python: Path, tiny_bert: Path) -> None:
    _compared(training_python, tiny_bert)


def test_minilm_gives_the_same_ids_and_vectors(training_python: Path) -> None:
    folder = HOME / "models" / "minilm"
    if not all((folder / name).is_file() for name in FILES):
        pytest.skip("MiniLM is not installed: `crossover adapter index` fetches it")
    _compared(training_python, folder)
