"""Reading rows: every bad line at once, with its number and the mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.data import rows as module
from trainer.data.hashing import data_hash
from trainer.data.problem import DataError
from trainer.data.rows import read_questions, read_rows

CHAT = {"messages": [{"role": "user", "content": "When?"}, {"role": "assistant", "content": "At nine."}]}
PAIR = {"prompt": "When? ", "completion": "At nine."}


def written(path: Path, *lines: Any) -> Path:
    file = path / "rows.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return file


def problems(path: Path) -> dict[int, str]:
    with pytest.raises(DataError) as caught:
        read_rows(path)
    return {problem.line: str(problem) for problem in caught.value.problems}


def test_the_shipped_rows_are_read() -> None:
    rows = read_rows(Path("trainer/data/handbook_chat.jsonl"))
    assert [row.number for row in rows] == list(range(1, 53))
    assert rows[0].question == "How many hours is a full working week?"


def test_conversations_and_pairs_stand_in_one_file_and_other_fields_are_left_alone(tmp_path: Path) -> None:
    messages = CHAT["messages"]
    split = {"prompt": messages[:1], "completion": messages[1:]}
    rows = read_rows(written(tmp_path, {**CHAT, "source": {"page": 3}}, PAIR, split))
    assert [row.answer for row in rows] == ["At nine."] * 3
    assert [row.question for row in rows] == ["When?", "When? ", "When?"]
    assert rows[0].messages == rows[2].messages


def test_a_byte_order_mark_windows_line_ends_blank_lines_and_unicode_line_separators_are_no_trouble(
    tmp_path: Path,
) -> None:
    file = tmp_path / "rows.jsonl"
    odd = {"prompt": "a\u2028b\x85", "completion": "c"}
    file.write_bytes(
        b"\xef\xbb\xbf" + json.dumps(PAIR).encode() + b"\r\n\r\n" + json.dumps(odd, ensure_ascii=False).encode()
    )
    assert [(row.number, row.prompt) for row in read_rows(file)] == [(1, "When? "), (3, "a\u2028b\x85")]


def test_parts_of_text_are_joined_as_the_server_joins_them(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    row = {"messages": [{"role": "user", "content": parts}, CHAT["messages"][1]]}
    assert read_rows(written(tmp_path, row))[0].question == "one\ntwo"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a"', "not JSON"),
        ("[1]", "a list where an object is expected"),
        ({"text": "a"}, "neither `messages` nor `prompt` and `completion` (it has text)"),
        ({**CHAT, **PAIR}, "both `messages` and `prompt`"),
        ({"prompt": "a"}, "no `completion`"),
        ({"prompt": "a", "completion": 3}, "`completion` is a number"),
        ({"prompt": CHAT["messages"], "completion": []}, "`completion` has 0 messages"),
        ({"messages": "hello"}, "`messages` is text"),
        ({"messages": CHAT["messages"][:1]}, "it has 1 message;"),
        (
            {"messages": CHAT["messages"] + CHAT["messages"][:1]},
            "the last message is by 'user'; end with the assistant",
        ),
        ({"messages": [{"role": "human", "content": "a"}, CHAT["messages"][1]]}, "`messages[0].role` is 'human'"),
        ({"messages": [{"from": "human", "value": "a"}, CHAT["messages"][1]]}, "rename them to `role` and `content`"),
        ({"messages": [CHAT["messages"][0], {"role": "assistant", "content": None}]}, "content` is missing or null"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, CHAT["messages"][1]]},
            "pictures and sound are not learned",
        ),
        (
            {"messages": [CHAT["messages"][0], {"role": "assistant", "content": "", "tool_calls": [{}]}]},
            "calls of tools are not learned",
        ),
        ({**CHAT, "tools": [{}]}, "definitions of tools"),
    ],
)
def test_a_bad_line_says_what_is_wrong_and_how_to_mend_it(tmp_path: Path, line: Any, said: str) -> None:
    found = problems(written(tmp_path, CHAT, line))
    assert list(found) == [2]
    assert said in found[2]
    assert "; " in found[2]


def test_every_bad_line_is_said_at_once_and_the_message_names_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "nonsense", CHAT, {"text": 1}, {"messages": [1, {"role": "x", "content": 2}]})
    with pytest.raises(DataError) as caught:
        read_rows(file)
    assert [problem.line for problem in caught.value.problems] == [1, 3, 4, 4, 4]
    assert f"{file}:3: " in str(caught.value)


def test_a_very_bad_file_does_not_flood_the_screen(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(written(tmp_path, *["nonsense"] * 500))
    assert len(caught.value.problems) == 500
    assert str(caught.value).endswith("and 400 more errors like these")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file has no rows"),
        (b"\n \n", "the file has no rows"),
        (b"[\n{}]", "the file is a JSON list"),
        (b'[{"a": 1}]', "the file is a JSON list"),
        ('{"prompt": 1}'.encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_named_as_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    assert said in problems(file)[0]


def test_a_byte_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"prompt": "caf\xe9", "completion": "a"}\n')
    assert "byte 16 (0xe9) is not UTF-8" in problems(file)[1]


def test_lines_and_files_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 200)
    long = {"prompt": "a" * 1000, "completion": "b"}
    assert list(problems(written(tmp_path, CHAT, long, "nonsense"))) == [2, 3]
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 50)
    assert "the limit is 50" in problems(written(tmp_path, CHAT))[0]


def test_labels_are_text_numbers_or_missing(tmp_path: Path) -> None:
    file = written(tmp_path, {**PAIR, "topic": "leave"}, {**PAIR, "topic": 3}, {**PAIR, "topic": True}, PAIR)
    assert [row.label for row in read_rows(file, "topic")] == ["leave", "3", "true", None]
    with pytest.raises(DataError, match="label `topic` is a list"):
        read_rows(written(tmp_path, {**PAIR, "topic": []}), "topic")


def test_questions_of_the_gate_are_read_from_questions_and_from_rows(tmp_path: Path) -> None:
    file = written(tmp_path, {"question": "Who?", "reference": "She."}, PAIR, CHAT)
    assert read_questions(file) == ["Who?", "When? ", "When?"]
    with pytest.raises(DataError, match="has no `question`"):
        read_questions(written(tmp_path, {"q": "Who?"}))


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"abc")
    assert data_hash(file) == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
