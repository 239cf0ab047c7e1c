"""The rows of a training file: JSON lines, each a conversation or a prompt with its completion.

    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
    {"prompt": "...", "completion": "..."}
    {"prompt": [messages], "completion": [one message by the assistant]}

Other fields of a row are left alone, so that a row can carry its source or its label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from trainer.data.problem import DataError, LineProblem

MAX_LINE_BYTES = 8 * 2**20
"""A row of a million tokens is about half of this. A longer line is most often a file that is not JSON lines."""
MAX_FILE_BYTES = 8 * 2**30
"""The rows are held in memory, at about the size of the file."""

ROLES = ("system", "user", "assistant", "tool")
_KEPT = ("name", "tool_call_id")
"""Fields of a message besides role and content that vLLM hands to the chat template."""
_NOT_LEARNED = {
    "tool_calls": "calls of tools are not learned here yet: write the call into `content` as the model should say it",
    "reasoning": "put the reasoning into `content` in the model's own marks, or leave it out",
    "reasoning_content": "put the reasoning into `content` in the model's own marks, or leave it out",
}

Message = dict[str, str]


class Row(msgspec.Struct, frozen=True):
    """One row. Either `messages` (the last one, by the assistant, is learned) or `prompt` and `completion` are set."""

    number: int
    """The line of the file, from 1."""
    messages: list[Message] | None = None
    prompt: str | None = None
    completion: str | None = None
    label: str | None = None

    @property
    def answer(self) -> str:
        """The text that is learned."""
        return self.messages[-1]["content"] if self.messages else self.completion or ""

    @property
    def question(self) -> str:
        """What stands before the answer, without the system message: the text that a user wrote."""
        if self.messages is None:
            return self.prompt or ""
        return "\n".join(message["content"] for message in self.messages[:-1] if message["role"] != "system")

    @property
    def texts(self) -> list[str]:
        """Every text of the row, the learned one last."""
        if self.messages is None:
            return [self.prompt or "", self.completion or ""]
        return [message["content"] for message in self.messages]


def read_rows(path: Path, labels: str | None = None) -> list[Row]:
    """The rows of `path`, in its order. `labels` names the field whose value becomes `Row.label`.

    Raises DataError with every bad line, and OSError where the file cannot be read.
    """
    rows: list[Row] = []
    problems: list[LineProblem] = []
    for number, value in _lines(path, problems):
        wrong = _Wrong(number, problems)
        row = _row(number, value, labels, wrong)
        if row is not None and not wrong.found:
            rows.append(row)
    if not rows and not problems:
        problems.append(LineProblem(0, "the file has no rows", "write one JSON object a line"))
    if problems:
        raise DataError(path, sorted(problems, key=lambda problem: problem.line))
    return rows


def read_questions(path: Path) -> list[str]:
    """The gate's questions: JSON lines with `question`, or rows as those of training, whose answers are not read.

    Raises DataError with every bad line, and OSError where the file cannot be read.
    """
    questions: list[str] = []
    problems: list[LineProblem] = []
    for number, value in _lines(path, problems):
        wrong = _Wrong(number, problems)
        text = value.get("question", value.get("prompt"))
        if isinstance(text, str):
            questions.append(text)
        elif "messages" in value or isinstance(text, list):
            messages = _messages(value.get("messages", text), "messages", wrong)
            questions.append("\n".join(m["content"] for m in messages if m["role"] == "user"))
        else:
            wrong("it has no `question`", 'write {"question": "..."}')
    if problems:
        raise DataError(path, problems)
    return questions


class _Wrong:
    """Takes down what is wrong with one line."""

    def __init__(self, number: int, problems: list[LineProblem]) -> None:
        self.number, self.problems, self.found = number, problems, False

    def __call__(self, message: str, mend: str) -> None:
        self.problems.append(LineProblem(self.number, message, mend))
        self.found = True


def _lines(path: Path, problems: list[LineProblem]) -> Iterator[tuple[int, dict[str, Any]]]:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        problems.append(
            LineProblem(0, f"it has {size:,} bytes and the limit is {MAX_FILE_BYTES:,}", "train on a sample of it")
        )
        return
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                problems.append(
                    LineProblem(
                        number, f"the line has more than {MAX_LINE_BYTES:,} bytes", "write one JSON object a line"
                    )
                )
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
                if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    problems.append(LineProblem(0, "the file is UTF-16", "save it as UTF-8"))
                    return
                if line.strip() == b"[" or line.lstrip().startswith(b"[{"):
                    problems.append(
                        LineProblem(0, "the file is a JSON list", "write each of its objects on a line of its own")
                    )
                    return
            if not line.strip():
                continue
            value = _decoded(number, line, problems)
            if value is not None:
                yield number, value


def _decoded(number: int, line: bytes, problems: list[LineProblem]) -> dict[str, Any] | None:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        message = f"byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8"
        problems.append(LineProblem(number, message, "save the file as UTF-8"))
        return None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"
        problems.append(LineProblem(number, message, "write one JSON object a line"))
        return None
    if not isinstance(value, dict):
        problems.append(LineProblem(number, f"{_kind(value)} where an object is expected", 'write {"messages": [...]}'))
        return None
    return value


def _row(number: int, value: Mapping[str, Any], labels: str | None, wrong: _Wrong) -> Row | None:
    label = _label(value, labels, wrong)
    if value.get("tools"):
        wrong("it has `tools`", "definitions of tools are not rendered here yet: take them out of this training set")
    chat, pair = "messages" in value, "prompt" in value or "completion" in value
    if chat and pair:
        wrong("it has both `messages` and `prompt` or `completion`", "keep one of the two")
    elif chat:
        messages = _messages(value["messages"], "messages", wrong)
        if not wrong.found:
            _must_be_learnable(messages, wrong)
        return Row(number, messages=messages, label=label)
    elif pair:
        return _pair(number, value, label, wrong)
    else:
        given = ", ".join(map(str, value)) or "nothing"
        wrong(f"it has neither `messages` nor `prompt` and `completion` (it has {given})", "rename its fields")
    return None


def _pair(number: int, value: Mapping[str, Any], label: str | None, wrong: _Wrong) -> Row | None:
    prompt, completion = value.get("prompt"), value.get("completion")
    for name, part in (("prompt", prompt), ("completion", completion)):
        if part is None:
            wrong(f"it has no `{name}`", f"write both `prompt` and `completion`; an empty prompt is {_QUOTES}")
    if wrong.found:
        return None
    if isinstance(prompt, str) and isinstance(completion, str):
        return Row(number, prompt=prompt, completion=completion, label=label)
    if not isinstance(prompt, list) or not isinstance(completion, list):
        wrong(
            f"`prompt` is {_kind(prompt)} and `completion` is {_kind(completion)}",
            "write both as text, or both as lists of messages",
        )
        return None
    before, after = _messages(prompt, "prompt", wrong), _messages(completion, "completion", wrong)
    if not wrong.found and len(after) != 1:
        wrong(f"`completion` has {len(after)} messages", "write one message by the assistant, the one to learn")
    if not wrong.found:
        _must_be_learnable(before + after, wrong)
    return Row(number, messages=before + after, label=label)


_QUOTES = '""'


def _messages(value: Any, name: str, wrong: _Wrong) -> list[Message]:
    if not isinstance(value, list):
        wrong(f"`{name}` is {_kind(value)}", 'write a list: [{"role": "user", "content": "..."}, ...]')
        return []
    return [_message(item, f"{name}[{index}]", wrong) for index, item in enumerate(value)]


def _message(value: Any, name: str, wrong: _Wrong) -> Message:
    if not isinstance(value, dict):
        wrong(f"`{name}` is {_kind(value)}", 'write {"role": "user", "content": "..."}')
        return {}
    if "role" not in value and "from" in value:
        wrong(
            f"`{name}` has `from` and `value`",
            "rename them to `role` and `content`, and human to user, gpt to assistant",
        )
        return {}
    role, content = value.get("role"), value.get("content")
    if role not in ROLES:
        wrong(f"`{name}.role` is {_shown(role)}", f"use one of {', '.join(ROLES)}")
    if isinstance(content, list) and content and all(_is_text_part(part) for part in content):
        content = "\n".join(part["text"] for part in content)  # as vLLM joins them
    if not isinstance(content, str):
        wrong(f"`{name}.content` is {_kind(content)}", "write text; pictures and sound are not learned here")
    for field, mend in _NOT_LEARNED.items():
        if value.get(field):
            wrong(f"`{name}` has `{field}`", mend)
    kept = {field: value[field] for field in _KEPT if isinstance(value.get(field), str)}
    return {"role": str(role), "content": str(content), **kept}


def _must_be_learnable(messages: list[Message], wrong: _Wrong) -> None:
    if len(messages) < 2:
        wrong(f"it has {len(messages)} message{'s' * (len(messages) != 1)}", "write at least a question and its answer")
    elif messages[-1]["role"] != "assistant":
        wrong(
            f"the last message is by {messages[-1]['role']!r}",
            "end with the assistant's answer: it is what is learned",
        )


def _label(value: Mapping[str, Any], labels: str | None, wrong: _Wrong) -> str | None:
    label = value.get(labels) if labels else None
    if label is None or isinstance(label, str):
        return label
    if isinstance(label, bool | int | float):
        return msgspec.json.encode(label).decode()
    wrong(f"its label `{labels}` is {_kind(label)}", "write text or a number")
    return None


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "missing or null"}
    return kinds.get(type(value), "a number")


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else _kind(value)
    return text if len(text) <= 40 else text[:37] + "..."
