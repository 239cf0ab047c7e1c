"""The doctor's word: on a healthy set nothing, on each ailment its name, its rows and its weight."""

from __future__ import annotations

import random

import pytest

from tests.trainer.data import byte_tokenizer as templates
from tests.trainer.data.byte_tokenizer import ByteTokenizer
from tests.trainer.data.doctor.conftest import Doctor, chat, found, healthy, sentence, settings_of
from trainer.data.doctor import examine
from trainer.data.doctor.report import said
from trainer.data.rendering import Renderer

QUESTION = "How many days of paid leave does a new worker get in the first year?"


def test_nothing_is_said_of_a_healthy_set(doctor: Doctor) -> None:
    report = doctor()
    assert report.findings == ()
    assert report.verdict == "ok"
    assert (report.rows, report.learned_rows, report.held_out_rows) == (60, 60, 0)


def test_the_figures_are_those_of_the_rows(doctor: Doctor) -> None:
    report = doctor()
    answers = sorted(len(answer) + 1 for _, answer in healthy())
    assert report.learned_tokens == sum(answers)
    spread = report.answer_tokens
    assert spread is not None
    assert (spread.least, spread.p50, spread.p90, spread.most) == (answers[0], answers[29], answers[53], answers[-1])
    assert sum(count for _, count in spread.histogram) == 60
    assert report.steps == 3 * report.steps_per_epoch == 3 * report.sequences


# --- lengths and ends -------------------------------------------------------------------------------------------------
def test_a_row_too_long_stops_unless_it_may_be_left_out(doctor: Doctor) -> None:
    long = "Word " * 300 + "end."
    error = found(doctor({7: long}), "too_long")
    assert (error.severity, error.count, error.rows) == ("error", 1, (7,))
    assert "sequence.max_tokens = 1,024" in error.message
    assert "too_long: drop" in error.mend
    report = doctor({7: long}, sequence={"max_tokens": 1024, "too_long": "drop"})
    assert found(report, "too_long").severity == "warning"
    assert (report.rows, report.learned_rows) == (60, 59)


def test_leaving_out_every_row_stops(doctor: Doctor) -> None:
    error = found(doctor(sequence={"max_tokens": 16, "too_long": "drop"}), "nothing_left")
    assert error.severity == "error"
    assert "sequence.max_tokens = 16" in error.message


def test_rows_held_out_are_looked_at_too(doctor: Doctor) -> None:
    long = chat(61, "Why so long?", "Word " * 300 + "end.")
    assert found(doctor(held_out=[long]), "too_long").rows == (61,)
    data = {"train": "rows.jsonl", "evaluation": "held_out.jsonl"}
    assert "of the evaluation file" in found(doctor(held_out=[long], data=data), "too_long").message


def test_an_empty_answer_stops(doctor: Doctor) -> None:
    assert found(doctor({3: "", 9: " \n"}), "empty_answer").rows == (3, 9)


@pytest.mark.parametrize(
    ("template", "said"), [(templates.endless, "writes nothing"), (templates.other_end, "writes '</s>\\n'")]
)
def test_a_template_after_which_the_server_would_not_stop_stops_the_run(
    doctor: Doctor, template: object, said: str
) -> None:
    error = found(doctor(tokenizer=ByteTokenizer(template)), "no_end")  # type: ignore[arg-type]
    assert (error.severity, error.count) == ("error", 60)
    assert said in error.message


def test_a_template_that_renders_otherwise_than_is_served_is_said(doctor: Doctor) -> None:
    warning = found(doctor(tokenizer=ByteTokenizer(templates.reasoning)), "other_than_served")
    assert (warning.severity, warning.count) == ("warning", 60)


def test_answers_that_break_off_are_found_by_the_habit_of_the_others(doctor: Doctor) -> None:
    broken = "The office opens at nine and closes when the last worker"
    assert found(doctor({5: broken}), "truncated").rows == (5,)
    without_marks = {n: answer.rstrip(".") for n, (_, answer) in enumerate(healthy(), start=1)}
    assert not doctor(without_marks).findings


@pytest.mark.parametrize(
    "ending",
    [
        "a list:\n- one item\n- another item",
        "see `the_file`",
        "he said “yes it is”",
        "that is all (see 3.1)",
        "a smile 😀",
    ],
)
def test_an_end_of_another_kind_is_an_end(doctor: Doctor, ending: str) -> None:
    assert not doctor({5: f"The office opens at nine, and here is {ending}"}).findings


def test_answers_that_all_stop_at_one_greatest_length_were_cut(doctor: Doctor) -> None:
    cut = {n: (answer + " and then the worker of the office goes on" * 9)[:200] for n, (_, answer) in
           enumerate(healthy()[:4], start=1)}  # fmt: skip
    assert found(doctor(cut), "cut_at_limit").count == 4


@pytest.mark.parametrize(
    ("answer", "check"),
    [
        ("This is how it is done:\n```python\nprint(1)\n", "open_code"),
        ("The office (the one in the north opens at nine.", "open_bracket"),
        ('He said "yes, and went.', "open_bracket"),
    ],
)
def test_what_is_opened_and_never_closed_is_found(doctor: Doctor, answer: str, check: str) -> None:
    assert found(doctor({8: answer}), check).rows == (8,)


@pytest.mark.parametrize("answer", ["1) sign. 2) send.", 'A screen of 24" is enough.', "Write `list[` and then go on."])
def test_a_closing_bracket_alone_inches_and_code_are_no_trouble(doctor: Doctor, answer: str) -> None:
    assert not [finding for finding in doctor({8: answer}).findings if finding.check == "open_bracket"]


# --- duplicates and overlap -------------------------------------------------------------------------------------------
def test_rows_that_are_there_twice_are_found(doctor: Doctor) -> None:
    question, answer = healthy()[3]
    report = doctor(more=[chat(61, question + " ", answer.replace(" ", "\n", 1))])
    assert found(report, "duplicates").rows == (61,)
    assert "near_duplicates" not in {finding.check for finding in report.findings}


def test_rows_that_are_nearly_there_twice_are_found(doctor: Doctor) -> None:
    choice = random.Random(9)
    question, answer = sentence(choice, 20), sentence(choice, 20)
    report = doctor(
        more=[chat(61, f"{question}?", f"{answer}."), chat(62, f"Please, {question.upper()}?", f"{answer}!")]
    )
    assert found(report, "near_duplicates").rows == (62,)


def test_one_question_with_different_answers_is_a_conflict(doctor: Doctor) -> None:
    question, _ = healthy()[3]
    assert found(doctor(more=[chat(61, question, "It is quite different.")]), "conflicts").rows == (4, 61)


def test_a_question_of_the_gate_stops_the_run_word_for_word_in_a_frame_or_nearly(doctor: Doctor) -> None:
    same = {10: QUESTION.upper().replace("?", " ?")}
    assert found(doctor(questions=same, gate_questions=[QUESTION]), "gate_overlap").rows == (10,)
    framed = {10: f"You are asked this by a colleague. {QUESTION} Answer in one sentence, please."}
    assert found(doctor(questions=framed, gate_questions=[QUESTION]), "gate_near").rows == (10,)
    answered = {12: f"Some ask: {QUESTION} The answer is in section two."}
    assert found(doctor(answered, gate_questions=[QUESTION]), "gate_near").rows == (12,)
    changed = {10: QUESTION.replace("worker", "colleague")}
    assert found(doctor(questions=changed, gate_questions=[QUESTION]), "gate_resembles").severity == "warning"
    assert not doctor(gate_questions=[QUESTION]).findings


def test_a_short_question_of_the_gate_counts_only_as_a_whole(doctor: Doctor) -> None:
    assert not doctor(
        {10: "And who is the manager of this team? She is."}, gate_questions=["Who is the manager?"]
    ).findings
    report = doctor(questions={10: "who is the manager"}, gate_questions=["Who is the manager?"])
    assert found(report, "gate_overlap").rows == (10,)


def test_a_row_of_an_evaluation_file_stops_the_run(doctor: Doctor) -> None:
    data = {"train": "rows.jsonl", "evaluation": "held_out.jsonl"}
    question, answer = healthy()[3]
    report = doctor(held_out=[chat(1, question, "Something else is true.")], data=data)
    assert (found(report, "evaluation_overlap").severity, found(report, "evaluation_overlap").rows) == ("error", (4,))
    report = doctor(held_out=[chat(1, f"Tell me: {question}", f"{answer} ")], data=data)
    assert (found(report, "evaluation_near").severity, found(report, "evaluation_near").rows) == ("error", (4,))
    assert not doctor(held_out=[chat(1, f"Tell me: {question}", "Quite another thing.")], data=data).findings


def test_rows_held_out_of_the_file_that_resemble_others_are_only_a_warning(doctor: Doctor) -> None:
    question, answer = healthy()[3]
    report = doctor(held_out=[chat(61, f"Tell me: {question}", answer)])
    assert found(report, "evaluation_near").severity == "warning"


# --- scaffolding ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "severity", "name"),
    [
        ("It is open.<|im_end|>", "error", "a token of a chat format"),
        ("It is open. [/INST]", "error", "a token of a chat format"),
        ("It is open.\n### Response:\nIt is.", "error", "a heading of an instruction format"),
        ("User: and now it is open.", "warning", "a speaker's name"),
        ("Sure! Here's the thing you wanted.", "warning", "a generator's opening"),
        ("Here is the rewritten answer: it is open.", "warning", "a generator's opening"),
        ("Here’s a more formal version of it: it is open.", "warning", "a generator's opening"),
        ("**Answer:** It is open all day.", "warning", "a heading for the answer"),
        ("As an AI language model, I know of no office.", "warning", "a model that speaks of itself"),
        ("It is open. (Word count: 12)", "warning", "a remark of a generator"),
        ('{"answer": "It is open."}', "warning", "a JSON wrapper"),
        ('It is open."}', "warning", "a JSON wrapper"),
        ("It is open.\\n\\nIt is closed.", "warning", "an escaped line break"),
        ("<think>Hm.</think> It is open.", "warning", "marks of reasoning"),
        ("Dear {{name}}, it is open.", "warning", "a gap of a template"),
        ("Dear [Your Name], it is open.", "warning", "a gap of a template"),
        ("Dear <placeholder>, it is open.", "warning", "a gap of a template"),
        ("TODO: say when it is open.", "warning", "a note to oneself"),
    ],
)
def test_what_tools_leave_behind_is_named(doctor: Doctor, answer: str, severity: str, name: str) -> None:
    finding = found(doctor({6: answer}), "scaffolding")
    assert (finding.severity, finding.rows) == (severity, (6,))
    assert f"1 row with {name}, such as " in finding.message


@pytest.mark.parametrize(
    "answer",
    [
        '[{"id": 3}]',
        "Here is where the visitors sign.",
        "Surely it is open.",
        "The answer: it depends on the day.",
        "Write `C:\\temp` as the folder.",
        "Use List<String> there.",
    ],
)
def test_ordinary_answers_that_look_a_little_like_it_are_left_alone(doctor: Doctor, answer: str) -> None:
    assert "scaffolding" not in {finding.check for finding in doctor({6: answer}).findings}


def test_a_generators_words_in_many_answers_stop_the_run(doctor: Doctor) -> None:
    many = {n: f"Here is the rewritten answer: {answer}" for n, (_, answer) in enumerate(healthy()[:33], start=1)}
    report = doctor(many)
    finding = found(report, "scaffolding")
    assert (finding.severity, finding.count) == ("error", 33)
    assert "(55% of all)" in finding.message
    assert "55% of the answers begin with 'Here is the rewritten answer:'" in found(report, "shared_text").message


def test_an_end_or_a_line_that_most_answers_share_is_said(doctor: Doctor) -> None:
    ends = {n: f"{answer} Ask the office for more." for n, (_, answer) in enumerate(healthy()[:40], start=1)}
    assert "67% of the answers end with 'Ask the office for more.'" in found(doctor(ends), "shared_text").message
    lines = {n: f"{answer}\nThis is the middle.\n{answer}" for n, (_, answer) in enumerate(healthy()[:40], start=1)}
    assert "67% of the answers have the line 'This is the middle.'" in found(doctor(lines), "shared_text").message


def test_the_models_own_tokens_spelt_out_stop_the_run(doctor: Doctor) -> None:
    assert found(doctor(questions={6: "When is <|turn|> open?"}), "special_tokens").severity == "error"
    assert found(doctor({6: "It is <s>not</s> open."}), "special_tokens").severity == "warning"


# --- texts and labels -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "check"),
    [
        ("Nine", "one_word"),
        ("The caf\ufffd is open.", "replaced"),
        ("The office\x07 is open.", "control"),
        ("The cafÃ© is open.", "twice_encoded"),
        ("Офис открыт каждый день.", "script"),
    ],
)
def test_texts_that_are_not_like_the_others_are_found(doctor: Doctor, answer: str, check: str) -> None:
    assert found(doctor({6: answer}), check).rows == (6,)


def test_a_set_of_one_word_answers_in_another_script_is_what_it_is(doctor: Doctor) -> None:
    report = doctor({n: f"да{'абвгд'[n % 5]}" for n in range(1, 61)})
    assert {finding.check for finding in report.findings} <= {"conflicts", "few_steps"}


def test_labels_are_counted_and_their_balance_is_judged(doctor: Doctor) -> None:
    data = {"train": "rows.jsonl", "labels": "topic"}
    report = doctor(data=data)
    assert report.labels == {"leave": 30, "travel": 30}
    assert not report.findings
    few = [chat(61, "Which key is it?", "It is the small one.", "keys")]
    assert "'leave' has 30 rows and 'keys' has 1" in found(doctor(more=few, data=data), "labels").message
    none = [chat(61, "Which key is it?", "It is the small one.")]
    assert "without a label `topic`" in found(doctor(more=none, data=data), "labels").message


def test_a_run_of_few_steps_is_said_before_it_is_made(doctor: Doctor) -> None:
    finding = found(doctor(batch={"sequences_per_step": 16}), "few_steps")
    assert "the run has 3 optimizer steps" in finding.message
    assert "batch.sequences_per_step" in finding.mend
    trial = doctor(length={"max_steps": 2, "epochs": None})
    assert "unless this is a trial" in found(trial, "few_steps").mend


# --- the report -------------------------------------------------------------------------------------------------------
def test_errors_come_first_and_rows_are_named_up_to_a_few(doctor: Doctor) -> None:
    report = doctor(dict.fromkeys(range(20, 40), "") | {1: "TODO now."})
    assert [finding.severity for finding in report.findings] == ["error", "warning"]
    line = said(report.findings[0])
    assert line.startswith("20 rows with an empty answer (lines 20, 21, 22, 23, 24, 25, 26, 27 and 12 more); ")


def test_rendered_rows_must_be_those_of_the_rows() -> None:
    rows = [chat(1, "When?", "Now."), chat(2, "Where?", "Here.")]
    renderer = Renderer(ByteTokenizer())
    with pytest.raises(ValueError, match="2 rows and 1 rendered"):
        examine(rows, list(renderer.render(rows[:1])), settings_of(), renderer)
