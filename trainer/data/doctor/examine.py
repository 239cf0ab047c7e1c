"""All checks, over rows that are rendered. Pure: nothing is read or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from trainer.data.doctor.duplicates import Indexed, check_duplicates, check_gate, check_held_out
from trainer.data.doctor.endings import check_ends, check_truncated
from trainer.data.doctor.lengths import Work, check_lengths, lengths
from trainer.data.doctor.report import Finding, Report
from trainer.data.doctor.scaffolding import check_scaffolding, check_shared
from trainer.data.doctor.texts import check_labels, check_texts
from trainer.data.rendering import Rendered, Renderer
from trainer.data.rows import Row
from trainer.settings.schema import TrainSettings

_ORDER = {"error": 0, "warning": 1, "note": 2}


def examine(
    rows: Sequence[Row],
    rendered: Sequence[Rendered],
    settings: TrainSettings,
    renderer: Renderer,
    held_out: Sequence[Row] = (),
    held_out_rendered: Sequence[Rendered] = (),
    gate_questions: Sequence[str] = (),
) -> Report:
    """What there is to say about `rows`, the ones to learn from, before a run with `settings`.

    rendered: each of `rows` as `renderer` made it, in the same order, whatever its length.
    held_out: the evaluation's rows, from a file of their own or held out of the training file, and how they rendered.
    Of the training file every row is looked at; of an evaluation file the lengths and the ends, and what it shares.

    Takes time linear in the length of the texts.
    """
    for given, tokens in ((rows, rendered), (held_out, held_out_rendered)):
        if [row.number for row in given] != [row.number for row in tokens]:
            raise ValueError(f"{len(given)} rows and {len(tokens)} rendered ones: give each row's, in the same order")
    chosen = settings.data.evaluation is not None
    indexed, work = Indexed(rows), Work(rendered, settings)
    file, file_rendered = list(rows), list(rendered)
    if not chosen:
        file += held_out
        file_rendered += held_out_rendered
    findings: list[Finding] = [
        *check_lengths(file_rendered, settings),
        *(check_lengths(held_out_rendered, settings, of=" of the evaluation file") if chosen else ()),
        *check_ends(file_rendered, renderer),
        *check_texts(file),
        *check_gate(indexed, gate_questions),
        *check_held_out(indexed, held_out, chosen=chosen),
        *check_scaffolding(file, renderer),
        *check_shared(file),
        *check_truncated(file, file_rendered),
        *check_duplicates(indexed),
        *check_labels(file, settings.data.labels),
        *work.check(settings),
        *_dated(renderer),
    ]
    labels = Counter(row.label or "(none)" for row in file) if settings.data.labels else None
    return Report(
        schema=1,
        rows=len(rows),
        learned_rows=len(work.fitting),
        held_out_rows=len(held_out),
        gate_questions=len(gate_questions),
        tokens=sum(len(row) for row in rendered),
        learned_tokens=sum(row.learned_tokens for row in rendered),
        row_tokens=lengths([len(row) for row in rendered]),
        answer_tokens=lengths([row.learned_tokens for row in rendered]),
        sequences=work.sequences,
        fill_rate=work.fill_rate,
        steps_per_epoch=work.steps_per_epoch,
        steps=work.steps,
        labels=dict(labels.most_common()) if labels is not None else None,
        findings=tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity])),
    )


def _dated(renderer: Renderer) -> list[Finding]:
    if not renderer.dated:
        return []
    return [
        Finding(
            "dated",
            "note",
            "the chat template writes today's date into the prompt: every row is learned with today's, and a run that "
            "goes on after midnight renders them anew",
            "harmless for most sets; give a system message with a date where the answers depend on it",
        )
    ]
