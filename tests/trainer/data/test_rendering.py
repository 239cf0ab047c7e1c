"""Rows as token ids: the prompt as the server feeds it, the answer and its end behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.data import byte_tokenizer as templates
from tests.trainer.data.byte_tokenizer import ByteTokenizer
from trainer.data.problem import DataError
from trainer.data.rendering import Rendered, Renderer, render, stop_ids
from trainer.data.rows import Row

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "When?"},
    {"role": "assistant", "content": "At nine."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": " So it is. "},
]


def halves(row: Row, tokenizer: ByteTokenizer) -> tuple[str, str, Rendered]:
    found = render(row, tokenizer)
    ids = list(found.ids)
    return tokenizer.decode(ids[: found.learned_from]), tokenizer.decode(ids[found.learned_from :]), found


def test_a_conversation_is_the_servers_prompt_then_the_last_answer_up_to_its_end() -> None:
    prompt, answer, found = halves(Row(7, messages=MESSAGES), ByteTokenizer())
    assert prompt == templates.chatml(MESSAGES[:-1], True)
    assert answer == " So it is. <|end|>"
    assert (found.number, found.ended, found.as_template) == (7, True, True)
    assert found.learned_tokens == len(" So it is. ") + 1


def test_only_the_last_answer_is_learned() -> None:
    prompt, answer, _ = halves(Row(1, messages=MESSAGES), ByteTokenizer())
    assert "At nine." in prompt
    assert "At nine." not in answer


def test_an_answer_is_learned_as_the_template_writes_it() -> None:
    assert halves(Row(1, messages=MESSAGES), ByteTokenizer(templates.stripping))[1] == "So it is.<|end|>"


def test_an_answer_that_would_melt_into_the_prompts_last_token_is_kept_apart_from_it() -> None:
    messages = [{"role": "user", "content": "When?"}, {"role": "assistant", "content": "\nAt nine."}]
    tokenizer = ByteTokenizer()
    prompt, answer, found = halves(Row(1, messages=messages), tokenizer)
    assert list(found.ids)[: found.learned_from] == Renderer(tokenizer).prompt_ids(messages[:1])
    assert prompt.endswith("assistant\n")
    assert answer == "\nAt nine.<|end|>"
    assert found.as_template


def test_where_a_whole_conversation_reads_otherwise_the_prompt_stays_as_it_is_served() -> None:
    prompt, answer, found = halves(Row(1, messages=MESSAGES), ByteTokenizer(templates.reasoning))
    assert prompt.endswith("assistant\n<think>\n")
    assert answer == " So it is. <|end|>"
    assert not found.as_template
    assert found.ended


def test_a_template_that_ends_no_answer_gives_rows_without_an_end() -> None:
    renderer = Renderer(ByteTokenizer(templates.endless))
    assert not renderer.turn_ends
    assert not next(renderer.render([Row(1, messages=MESSAGES)])).ended


def test_a_template_whose_end_the_server_does_not_stop_at_gives_rows_without_an_end() -> None:
    tokenizer = ByteTokenizer(templates.other_end)
    assert not Renderer(tokenizer).turn_ends
    assert not render(Row(1, messages=MESSAGES), tokenizer).ended
    stopping = Renderer(tokenizer, stop_ids=[templates.SPECIAL["</s>"]])
    assert stopping.turn_ends
    assert next(stopping.render([Row(1, messages=MESSAGES)])).ended


def test_a_completion_follows_the_tokenizers_own_prompt_and_ends_with_the_end_of_text() -> None:
    prompt, answer, _ = halves(Row(1, prompt="When? ", completion="At nine."), ByteTokenizer(None, eos="</s>"))
    assert (prompt, answer) == ("<s>When? ", "At nine.</s>")


def test_a_completion_that_would_melt_into_its_prompt_is_kept_apart_from_it() -> None:
    tokenizer = ByteTokenizer(None, eos="</s>")
    prompt, answer, found = halves(Row(1, prompt="When?\n", completion="\nAt nine."), tokenizer)
    assert (prompt, answer) == ("<s>When?\n", "\nAt nine.</s>")
    assert templates.TWO_BREAKS not in found.ids


def test_every_row_that_the_template_refuses_is_said_and_the_others_are_rendered() -> None:
    renderer = Renderer(ByteTokenizer(templates.without_system))
    rows = [Row(n, messages=MESSAGES if n in (3, 5) else MESSAGES[1:]) for n in range(1, 1200)]
    done: list[int] = []
    with pytest.raises(DataError, match="System role not supported") as caught:
        done.extend(row.number for row in renderer.render(rows, "train.jsonl"))
    assert [problem.line for problem in caught.value.problems] == [3, 5]
    assert str(caught.value).startswith("train.jsonl:3: the model's chat template refuses it")
    assert len(done) == 1197


def test_rows_of_both_kinds_keep_their_order() -> None:
    rows = [
        Row(n, messages=MESSAGES) if n % 3 else Row(n, prompt="a" * n, completion=str(n)) for n in range(1, 1200)
    ]  # fmt: skip
    renderer = Renderer(ByteTokenizer())
    found = list(renderer.render(rows))
    assert [row.number for row in found] == [row.number for row in rows]
    assert found[1001].ids == render(rows[1001], ByteTokenizer()).ids


def test_a_tokenizer_without_an_end_is_refused() -> None:
    tokenizer: Any = ByteTokenizer()
    tokenizer.eos_token_id = None
    with pytest.raises(ValueError, match="no eos_token"):
        Renderer(tokenizer)


@pytest.mark.parametrize(
    ("text", "ids"),
    [('{"eos_token_id": 5}', [5]), ('{"eos_token_id": [5, 6]}', [5, 6]), ("{}", []), ("[]", []), ("nonsense", [])],
)
def test_the_servers_further_stops_are_read_from_the_models_generation_file(
    tmp_path: Path, text: str, ids: list[int]
) -> None:
    assert stop_ids(tmp_path) == []
    (tmp_path / "generation_config.json").write_text(text)
    assert stop_ids(tmp_path) == ids


def test_the_special_tokens_of_turns_are_known() -> None:
    renderer = Renderer(ByteTokenizer())
    assert [token for token in renderer.special_tokens if token in renderer.turn_marks] == ["<|end|>", "<|turn|>"]
