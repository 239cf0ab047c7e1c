"""Answers that stop before their end, and answers after which the model would not stop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from trainer.data.doctor.report import Finding, about
from trainer.data.rendering import Rendered, Renderer
from trainer.data.rows import Row

HABIT = 0.8
"""From this share on, the answers of a set have the habit of ending with a mark, and one that does not is odd."""
LEAST_ANSWERS = 20
"""Answers from which on there is a habit to speak of."""
LEAST_WORDS = 6
"""A shorter answer is a name, a number or a label, which ends without a mark."""
SAME_LENGTH = 3
"""So many answers of exactly the greatest length, without an end, were cut by a generator's limit."""

_CLOSERS = "\"'”’»)]}*_`"
_MARKS = frozenset(".!?…。！？؟।:|;~")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"), ("“", "”"), ("«", "»"))


def check_ends(rendered: Sequence[Rendered], renderer: Renderer) -> Iterator[Finding]:
    """The end of an answer is a token at which the server stops, and it is learned."""
    chats = [row for row in rendered if not row.ended]
    if renderer.has_template and not renderer.turn_ends:
        writes = repr(renderer.after_turn) if renderer.after_turn.strip() else "nothing"
        stops = " or ".join(repr(renderer.tokenizer.decode([token])) for token in sorted(renderer.stop_ids))
        if chats:
            yield Finding(
                "no_end",
                "error",
                f"the chat template writes {writes} after an answer and the server stops at {stops}: the model would "
                "not learn to stop",
                "use the instruct model's own tokenizer files, or add the token to eos_token_id in its "
                "generation_config.json",
                len(chats),
            )
    else:
        yield from about(
            "no_end",
            "error",
            (row.number for row in chats),
            "{n} whose learned part does not end with the token at which the server stops",
            "the chat template writes something after the answer: remove what makes it do so",
        )
    yield from about(
        "other_than_served",
        "warning",
        (row.number for row in rendered if not row.as_template),
        "{n} for which the chat template writes the answer otherwise than behind the server's prompt; learned is the "
        "answer's text as it stands, then the end of the turn",
        "for a model that reasons first, put the reasoning into the answers or switch it off where the model is served",
    )


def check_truncated(rows: Sequence[Row], rendered: Sequence[Rendered]) -> Iterator[Finding]:
    """Answers that end in the middle: by the habit of the set, by their length, by what they leave open."""
    long = [row for row in rows if len(row.answer.split()) >= LEAST_WORDS]
    open_ended = {row.number for row in long if not ends_with_a_mark(row.answer)}
    if len(long) >= LEAST_ANSWERS and len(open_ended) <= (1 - HABIT) * len(long):
        share = int(100 * (1 - len(open_ended) / len(long)))
        yield from about(
            "truncated",
            "warning",
            open_ended,
            f"{{n}} whose answer ends without a mark, where {share}% of the answers end with one",
            "look whether they were cut: an answer that breaks off teaches to break off",
        )
    longest = max((row.learned_tokens for row in rendered), default=0)
    at_limit = {row.number for row in rendered if row.learned_tokens == longest} & open_ended
    if len(at_limit) >= SAME_LENGTH:
        yield from about(
            "cut_at_limit",
            "warning",
            at_limit,
            f"{{n}} whose answer has exactly the greatest length, {longest:,} tokens, and no end",
            "the generator's own token limit cut them: raise it and make them again",
        )
    yield from about(
        "open_code",
        "warning",
        (row.number for row in rows if row.answer.count("```") % 2),
        "{n} whose answer opens a block of code and does not close it",
        "look whether it was cut",
    )
    yield from about(
        "open_bracket",
        "warning",
        (row.number for row in rows if opened(row.answer)),
        "{n} whose answer leaves a bracket or a quotation open",
        "look whether it was cut",
    )


def ends_with_a_mark(answer: str) -> bool:
    """Whether `answer` ends as a finished text does: with a mark, a closed bracket or block, a list item or a row of
    a table."""
    text = answer.rstrip()
    last_line = text[text.rfind("\n") + 1 :].lstrip()
    if text.endswith(tuple(_CLOSERS)) or last_line.startswith(("- ", "* ", "• ", "|", "http")):
        return True
    return not text or text[-1] in _MARKS or (not text[-1].isalnum() and text[-1] not in ",-–—(")


def opened(answer: str) -> bool:
    """Whether a bracket or a quotation is opened outside of code and never closed. A closing one alone is a list's
    `1)` or a smiley."""
    text = _CODE.sub("", answer)
    if "```" in text:  # the open block is its own finding
        text = text[: text.index("```")]
    return (text.count('"') % 2 == 1 and not re.search(r'\d"', text)) or any(
        text.count(start) > text.count(end) for start, end in _PAIRS
    )
