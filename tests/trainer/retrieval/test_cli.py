"""The commands: from a folder of pages to a frozen set, offline, and how they end where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.trainer.retrieval.pages import CHUNKS, write_pages
from trainer.gate.frozen import read_frozen
from trainer.retrieval.cli import register
from trainer.retrieval.corpus import read_corpus

app = typer.Typer()
register(app)
QUESTIONS = (
    {"id": "q1", "question": "What is paid for dinner?", "reference": "31 euros.", "sources": ["travel-01"]},
    {"id": "q2", "question": "Who locks the gate of the yard?"},
)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "pages")


@pytest.fixture
def index(tmp_path: Path, pages: Path) -> Path:
    made = _run("index", pages, "--index", tmp_path / "index", "--embedder", "none", "--json")
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert (told["pages"], told["chunks"], told["mode"], told["embedder"]) == (len(CHUNKS), len(CHUNKS), "bm25", "none")
    return tmp_path / "index"


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(each) + "\n" for each in QUESTIONS))
    return tmp_path / "questions.jsonl"


def test_pages_are_indexed_asked_and_frozen(tmp_path: Path, index: Path, questions: Path) -> None:
    (hit,) = json.loads(_run("ask", "dinner", "--index", index, "--k", "1", "--json").stdout)
    assert hit["id"] == "travel-01"
    assert hit["labels"]["edition"] == 2026
    out = tmp_path / "frozen.json"
    told = json.loads(_run("freeze", questions, "--index", index, "--out", out, "--k", "2", "--json").stdout)
    frozen = read_frozen(out)
    assert told["questions"] == 2
    assert told["unanswerable"] == 1
    assert told["source_retrieved"] == 1
    assert told["source_missed"] == []
    assert frozen.name == "frozen"
    assert frozen.index["mode"] == "bm25"
    assert frozen.questions[0].passages[0].id == "travel-01"


def test_a_filter_and_an_instruction_of_one_s_own_are_kept(tmp_path: Path, index: Path, questions: Path) -> None:
    (tmp_path / "told.txt").write_text("Answer in one word.\n")
    out, where = tmp_path / "frozen.json", '{"edition": {"$gte": 2026}}'
    more = ["--instruction", f"@{tmp_path / 'told.txt'}", "--where", where, "--name", "new"]
    assert _run("freeze", questions, "--index", index, "--out", out, *more).exit_code == 0
    frozen = read_frozen(out)
    assert (frozen.name, frozen.instruction) == ("new", "Answer in one word.")
    assert {passage.labels["edition"] for question in frozen.questions for passage in question.passages} == {"2026"}


def test_for_people_the_commands_say_what_was_made(tmp_path: Path, pages: Path, index: Path, questions: Path) -> None:
    made = _run("index", pages, "--index", index, "--embedder", "none")
    assert "4 pages, 4 chunks, mode bm25" in made.stdout
    assert "labels audience, department" in made.stdout
    asked = _run("ask", "dinner", "--index", index)
    assert "travel-01" in asked.stdout
    assert "department: travel" in asked.stdout
    assert "no passage fits" in _run("ask", "zebra", "--index", index).stdout
    missed = {"id": "q3", "question": "What is paid for dinner?", "reference": "At nine.", "sources": ["yard-01"]}
    questions.write_text(json.dumps(missed))
    frozen = _run("freeze", questions, "--index", index, "--out", tmp_path / "f.json", "--k", "1")
    assert "a source is among the passages of 0 of 1" in frozen.stdout
    assert "nobody can answer these from their passages: q3" in frozen.stdout


def test_a_tiny_model_of_one_s_own_embeds(
    tmp_path: Path, pages: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSOVER_MINILM", str(tiny_bert))
    index = tmp_path / "index"
    told = json.loads(_run("index", pages, "--index", index, "--json").stdout)
    assert told["mode"] == "hybrid"
    assert told["embedder"].startswith("minilm:")
    assert told["dimensions"] == 32
    longest = "word " * 100
    (pages / "long.md").write_text(f"---\nid: long\n---\n{longest}\n")
    told = json.loads(_run("index", pages, "--index", index, "--json").stdout)
    assert told["pages"] == len(CHUNKS) + 1
    assert told["chunks"] > told["pages"]
    assert json.loads(_run("ask", longest, "--index", index, "--json").stdout)[0]["id"].startswith("long")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ask", "dinner", "--index", "{tmp}/nowhere"], 1, "holds no index"),
        (["ask", "dinner", "--index", "{index}", "--where", "{{"], 2, "--where is no JSON object"),
        (["ask", "dinner", "--index", "{index}", "--where", '{{"a":' + "[" * 20_000], 2, "--where is no JSON object"),
        (["ask", "dinner", "--index", "{index}",
        "--where", '{{"colour": "red"}}'], 2, "no chunk of the index has this label"),
        (["ask", " ", "--index", "{index}"], 2, "the query is empty"),
        (["index", "{tmp}/nowhere", "--index", "{tmp}/i", "--embedder", "none"], 2, "give a folder that is there"),
        (["index", "{pages}", "--index", "{tmp}/i", "--embedder", "none", "--mode",
        "hybrid"], 2, "only bm25 goes with none"),
        (["index", "{pages}", "--index", "s3vectors://b/i", "--embedder", "none"], 2, "S3 Vectors needs an embedder"),
        (["freeze", "{tmp}/nowhere", "--index", "{index}", "--out", "{tmp}/f"], 1, "No such file"),
        (["freeze", "{pages}/leave-01.md", "--index", "{index}", "--out", "{tmp}/f"], 2, "leave-01.md:1: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line_and_the_status_tells_whose_fault_it_is(
    tmp_path: Path, pages: Path, index: Path, arguments: list[str], status: int, said: str
) -> None:
    filled = [each.format(tmp=tmp_path, index=index, pages=pages) for each in arguments]
    result = _run(*filled)
    assert result.exit_code == status, result.output
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_model_that_is_not_there_is_no_traceback(
    tmp_path: Path, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSOVER_MINILM", str(tmp_path / "nowhere"))
    result = _run("index", pages, "--index", tmp_path / "index")
    assert result.exit_code == 1
    assert "has no config.json, tokenizer.json, model.safetensors" in result.stderr


def test_the_corpus_is_read_as_written(pages: Path) -> None:
    assert read_corpus(pages) == CHUNKS


def test_pages_questions_and_filters_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    page = '---\nid: a\nx: "\\e[31mred"\n---\ndinner \x1b]0;title\x07\x1b[2J is paid\n'
    (tmp_path / "pages" / "a.md").write_text(page)
    index = tmp_path / "index"
    assert _run("index", tmp_path / "pages", "--index", index, "--embedder", "none").exit_code == 0
    asked = _run("ask", "dinner", "--index", index)
    assert "dinner" in asked.stdout
    (tmp_path / "q.jsonl").write_text(json.dumps({"id": "\x1b[31mq", "question": "dinner?"}))
    frozen = _run("freeze", tmp_path / "q.jsonl", "--index", index, "--out", tmp_path / "f.json")
    assert frozen.exit_code == 2
    said = _run("ask", "dinner", "--index", index, "--where", '{"\x1b[31m": 1}')
    for result in (asked, frozen, said):
        assert not set("\x1b\x07") & set(result.output)


def test_the_file_of_the_questions_is_never_overwritten(tmp_path: Path, index: Path, questions: Path) -> None:
    before = questions.read_bytes()
    result = _run("freeze", questions, "--index", index, "--out", questions)
    assert result.exit_code == 2
    assert "is the file of the questions itself" in result.stderr
    assert questions.read_bytes() == before
