"""What is left in the rows of the tools that made them: tokens of a chat format, a generator's own words, a template's
gaps. An adapter learns them as readily as it learns the answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from trainer.data.doctor.report import Finding, Severity, about
from trainer.data.rendering import Renderer
from trainer.data.rows import Row

WIDESPREAD = 0.1
"""A generator's own words in a larger share of the answers stop the run: the adapter would speak like that."""
SHARED = 0.5
"""A beginning, an end or a line that more than this share of the answers have in common is reported."""
LEAST_ANSWERS = 10
LEAST_SHARED_WORDS = 3
_MOST_SHARED_WORDS = 40


class Sign(NamedTuple):
    """A trace of a tool. `generator`: it becomes an error where it is widespread."""

    name: str
    pattern: str
    severity: Severity
    place: Literal["answer", "anywhere"] = "answer"
    generator: bool = False


SIGNS = (
    Sign(
        "a token of a chat format",
        r"<\|(?:im_start|im_end|im_sep|eot_id|eom_id|start_header_id|end_header_id|begin_of_text|end_of_text"
        r"|endoftext|user|assistant|system|end|return|channel|message|start)\|>"
        r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<\|(?:START|END)_OF_TURN_TOKEN\|>",
        "error",
        "anywhere",
    ),
    Sign(
        "a heading of an instruction format",
        r"^#{2,4} ?(?:Response|Instruction|Input|Assistant|Human|User):",
        "error",
    ),
    Sign("a speaker's name", r"^(?:Human|User|Assistant|AI|Bot|Q|A): ", "warning"),
    Sign(
        "a generator's opening",
        r"\A(?:Sure|Certainly|Of course|Absolutely|Great question|Okay|OK)[!,.]+ "
        r"|\AHere(?:'s|’s| is| are) (?:the|a|an|your|my|one|some) (?:\w+ ){0,3}?(?:rewritten|rewrite|revised|improved"
        r"|paraphrased|generated|reworded|updated|final|answer|response|completion|version|example|question)s?\b",
        "warning",
        generator=True,
    ),
    Sign(
        "a heading for the answer",
        r"\A\W{0,4}(?:Answer|Response|Output|Completion|Rewritten [^:\n]{1,30})\*{0,2}:\*{0,2}\s",
        "warning",
        generator=True,
    ),
    Sign(
        "a model that speaks of itself",
        r"\b[Aa]s an (?:AI|artificial intelligence)\b|\b[Aa]s a (?:large )?language model\b"
        r"|\bI(?:'m| am) (?:just |only )?an? (?:AI|language model)\b"
        r"|\bmy (?:knowledge|training)(?: data)? cut-?off\b",
        "warning",
        generator=True,
    ),
    Sign(
        "a remark of a generator",
        r"\b[Ww]ord count: ?\d+|\bLet me know if you(?:'d| would) like (?:me to|any)|\bI hope this helps\b"
        r"|^Note: (?:This|The) (?:answer|response|question|rewrite)\b",
        "warning",
        generator=True,
    ),
    Sign(
        "a JSON wrapper",
        r'\A\s*(?:```(?:json)?\s*)?\{\s*"(?:answer|response|output|completion|text|content|rewritten\w*|question'
        r'|result)"\s*:|\A[^\[{]*"\s*\}\s*\]?\s*\}?\s*\Z',
        "warning",
        generator=True,
    ),
    Sign("an escaped line break", r"\w[.:!?]?(?:\\n){1,2}(?:[A-Z\d*-]|\\n)", "warning"),
    Sign("marks of reasoning", r"</?(?:think|thinking|reasoning|scratchpad)>", "warning"),
    Sign(
        "a gap of a template",
        r"\{\{ ?[A-Za-z_][\w. ]{0,40}\}\}|<(?:placeholder|insert[^<>\n]{0,40}|your[ _][^<>\n]{1,30})>"
        r"|\[(?:[Ii]nsert|[Yy]our|INSERT|YOUR)[ _][^\]\n]{1,40}\]|\$\{[a-z_]+\}",
        "warning",
        "anywhere",
    ),
    Sign("a note to oneself", r"\b(?:TODO|FIXME|XXX|TBD)\b|\b[Ll]orem ipsum\b", "warning"),
)
"""Patterns of `re`, with ^ at each line; \\A and \\Z are the answer's ends."""

_COMPILED = [(sign, re.compile(sign.pattern, re.MULTILINE)) for sign in SIGNS]


def check_scaffolding(rows: Sequence[Row], renderer: Renderer) -> Iterator[Finding]:
    found: dict[tuple[str, Severity], dict[int, str]] = {}
    generators: set[str] = set()
    for sign, pattern in _COMPILED:
        numbers = found.setdefault((sign.name, sign.severity), {})
        if sign.generator:
            generators.add(sign.name)
        for row in rows:
            for text in [row.answer] if sign.place == "answer" else row.texts:
                if match := pattern.search(text):
                    numbers.setdefault(row.number, _short(match[0]))
    for (name, severity), numbers in found.items():
        wide = name in generators and len(numbers) > max(2, WIDESPREAD * len(rows))
        example = f", such as {next(iter(numbers.values()))!r}" if numbers else ""
        share = f" ({len(numbers) / len(rows):.0%} of all)" if wide else ""
        yield from about(
            "scaffolding",
            "error" if wide else severity,
            numbers,
            f"{{n}} with {name}{example}{share}",
            "take it out of the rows, and out of what makes them",
        )
    yield from _special_tokens(rows, renderer, known={n for key in found if key[1] == "error" for n in found[key]})


def _special_tokens(rows: Sequence[Row], renderer: Renderer, known: set[int]) -> Iterator[Finding]:
    """The model's own special tokens, written out in a row: they become that token, for the server too."""
    by_severity: dict[Severity, dict[int, str]] = {"error": {}, "warning": {}}
    turns = {token for token in renderer.special_tokens if token in renderer.turn_marks}
    for severity, tokens in (("error", turns), ("warning", set(renderer.special_tokens) - turns)):
        if not tokens:
            continue
        pattern = re.compile(
            "|".join(re.escape(token) for token in sorted(tokens, key=lambda token: (-len(token), token)))
        )
        for row in rows:
            if row.number not in known and (match := pattern.search("\0".join(row.texts))):
                by_severity["error" if severity == "error" else "warning"][row.number] = match[0]
    for level, numbers in by_severity.items():
        example = repr(next(iter(numbers.values()))) if numbers else ""
        yield from about(
            "special_tokens",
            level,
            numbers,
            f"{{n}} that spell{{s}} out a special token of the model, such as {example}: it is read as that token",
            "take it out, or write it in another way",
        )


def check_shared(rows: Sequence[Row]) -> Iterator[Finding]:
    """A beginning, an end or a line that most answers have in common: often a generator's, sometimes what is taught."""
    answers = [row.answer.split() for row in rows]
    if len(answers) < LEAST_ANSWERS:
        return
    backward = [answer[::-1] for answer in answers]
    shown: list[str] = []
    for place, given in (("begin with", answers), ("end with", backward)):
        common, share = _common(given)
        if len(common) >= LEAST_SHARED_WORDS:
            text = " ".join(common if given is answers else common[::-1])
            shown.append(text)
            yield _shared(f"{share:.0%} of the answers {place} {_short(text)!r}")
    lines = Counter(line for row in rows for line in {line.strip() for line in row.answer.splitlines()})
    for line, count in lines.most_common(3):
        many = count > SHARED * len(rows) and len(line.split()) >= LEAST_SHARED_WORDS
        if many and not any(line in text or text in line for text in shown):
            yield _shared(f"{count / len(rows):.0%} of the answers have the line {_short(line)!r}")


def _shared(message: str) -> Finding:
    mend = "if a generator put it there, take it out: the adapter would say it every time"
    return Finding("shared_text", "warning", message, mend)


def _common(answers: Sequence[Sequence[str]]) -> tuple[Sequence[str], float]:
    """The longest run of first words that more than half of the answers share, and their share."""
    best: tuple[Sequence[str], float] = ((), 0.0)
    holders: Sequence[Sequence[str]] = answers
    for length in range(1, _MOST_SHARED_WORDS + 1):
        holders = [answer for answer in holders if len(answer) >= length]
        if not holders:
            break
        word, count = Counter(answer[length - 1] for answer in holders).most_common(1)[0]
        if count <= SHARED * len(answers):
            break
        holders = [answer for answer in holders if answer[length - 1] == word]
        best = (list(holders[0][:length]), count / len(answers))
    return best


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
