"""Every question with all its answers side by side, for the page and for Markdown. What is shown is hostile text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainer.gate.report.hostile import html, markdown
from trainer.gate.report.view import Asked, Cell, View

STYLE = """
.asked{border:1px solid var(--edge);border-radius:8px;padding:.7rem .85rem;margin:.9rem 0}
.asked h3{margin:0 0 .2rem}.asked .ref{margin:.2rem 0 .5rem}
.cells{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,260px),1fr));gap:.7rem;margin:.5rem 0}
.cell{border:1px solid var(--edge);border-left:4px solid var(--edge);border-radius:6px;padding:.5rem .65rem;
background:var(--soft);min-width:0}
.cell.accepted{border-left-color:var(--good)}.cell.rejected{border-left-color:var(--bad)}
.cell h4{margin:0 0 .3rem;font-size:.9rem;display:flex;justify-content:space-between;gap:.6rem;flex-wrap:wrap}
.cell h4 span{font-weight:600}.cell blockquote,.passage{margin:.25rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
.cell ul{font-size:.85rem;margin:.35rem 0 0;padding-left:1.05rem;overflow-wrap:anywhere}
.strips{overflow-x:auto}.strip{margin:.3rem 0;white-space:nowrap;font-variant-numeric:tabular-nums}
.strip b{display:inline-block;min-width:6.5rem;padding-right:.6rem}
.strip a{display:inline-block;width:1.15rem;line-height:1.35rem;text-align:center;margin-right:2px;border-radius:3px;
text-decoration:none;background:var(--soft);color:var(--dim)}
.strip a.accepted{background:var(--good);color:var(--page)}.strip a.rejected{background:var(--bad);color:var(--page)}
#verdict td,#accepted td:last-child,#judges td,#plan td{white-space:normal;overflow-wrap:anywhere;min-width:5rem}
.cell .note{margin-top:.35rem}.passage{font-size:.85rem;border-left:3px solid var(--edge);padding-left:.6rem}
"""
_TONES = {"accepted": "good", "rejected": "bad"}
_SIGNS = {"accepted": "✓", "split": "±", "rejected": "✗", "unjudged": "·"}
_WORDS = {"accepted": "accepted", "split": "split: the judges differ", "rejected": "rejected", "unjudged": "not judged"}


def answers_html(view: View) -> Iterator[str]:
    yield from _strips(view)
    for asked in view.asked:
        yield f'<article class="asked" id="q-{html(asked.id)}">'
        yield f"<h3>{html(asked.id)}: {html(asked.question)}</h3>"
        yield f'<p class="note">{html(asked.labels)}</p>' if asked.labels else ""
        yield f'<p class="ref"><b>Reference</b> {html(_reference(asked))}</p>'
        yield '<div class="cells">'
        for cell in asked.cells:
            yield from _cell(cell)
        yield "</div>"
        count = len(asked.passages)
        yield f"<details><summary>The {count} passage{'s' * (count != 1)} that every generator saw</summary>"
        for name, text in asked.passages:
            yield f'<p class="passage" dir="auto"><b>{html(name)}</b> {html(text)}</p>'
        yield "</details></article>"


def _strips(view: View) -> Iterator[str]:
    """One line a generator, one sign a question: where to look."""
    yield '<div class="strips">'
    for place, row in enumerate(view.rows):
        yield f'<p class="strip"><b>{html(row.name)}</b>'
        for asked in view.asked:
            together = asked.cells[place].together
            said = html(f"{asked.id}: {_WORDS[together]}")
            yield f'<a class="{together}" href="#q-{html(asked.id)}" title="{said}">{_SIGNS[together]}</a>'
        yield "</p>"
    signs = ", ".join(f"{sign} {_WORDS[together]}" for together, sign in _SIGNS.items())
    yield f'</div><p class="note">{signs}</p>'


def _cell(cell: Cell) -> Iterator[str]:
    tone = _TONES.get(cell.together, "")
    yield f'<div class="cell {cell.together}"><h4>{html(cell.generator)}<span class="{tone}">'
    yield f"{_WORDS[cell.together]}</span></h4>"
    yield f'<blockquote dir="auto">{html(_answer(cell))}</blockquote><ul>'
    for one in cell.judged:
        yield f'<li dir="auto"><b>{html(one.judge)}</b>: {html(one.outcome)}. {html(one.reason)}</li>'
    for finding in cell.findings:
        yield f'<li dir="auto"><b>check</b>: {html(finding)}</li>'
    yield f'</ul><p class="note">{html(cell.facts)}</p></div>'


def answers_markdown(view: View) -> Iterator[str]:
    names = [judge for judge, _ in view.judges]
    for asked in view.asked:
        yield f"### {markdown(asked.id)}: {_line(asked.question)}"
        yield from ("", f"{_line(_reference(asked))} ({markdown(', '.join(name for name, _ in asked.passages))})", "")
        yield f"| generator | answer | {' | '.join(markdown(name) for name in names)} | checks | |"
        yield f"|---|---|{'---|' * len(names)}---|---|"
        for cell in asked.cells:
            judged = {one.judge: f"{markdown(one.outcome)}: {markdown(one.reason)}" for one in cell.judged}
            parts: Sequence[str] = (
                markdown(cell.generator), markdown(_answer(cell)), *(judged.get(name, "") for name in names),
                "<br>".join(markdown(finding) for finding in cell.findings), _WORDS[cell.together],
            )  # fmt: skip
            yield f"| {' | '.join(parts)} |"
        yield ""


def _line(text: str) -> str:
    return markdown(text).replace("<br>", " ")


def _reference(asked: Asked) -> str:
    if asked.reference is None:
        return "The corpus does not say: the right answer is to say so."
    missing = [source for source in asked.sources if f"[{source}]" not in asked.reference]
    return " ".join([asked.reference, *(f"[{source}]" for source in missing)])


def _answer(cell: Cell) -> str:
    if cell.text is None:
        return f"(no answer: {cell.error or 'unknown why'})"
    return cell.text if cell.text.strip() else "(an empty answer)"
