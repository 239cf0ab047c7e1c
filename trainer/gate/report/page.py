"""The report as one HTML page that holds all it needs: no script, no font, no request; light, dark, phone and print."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.statement.formats import markdown as tables_markdown
from gateway.statement.page import Tile, html_page
from trainer.gate.report.answers import STYLE, answers_html, answers_markdown
from trainer.gate.report.charts import charts
from trainer.gate.report.document import OUTCOMES, document
from trainer.gate.report.figures import dollars, percent, signed
from trainer.gate.report.view import View

_TONES = {"pass": "good", "fail": "bad"}


def page(view: View) -> str:
    def below(section: str) -> Iterable[str]:
        return answers_html(view) if section == "answers" else ()

    return html_page(document(view), _tiles(view), lambda section: charts(view, section), below=below, style=STYLE)


def markdown(view: View) -> str:
    """Its tables, then every answer."""
    return tables_markdown(document(view)) + "\n" + "\n".join(answers_markdown(view)) + "\n"


def _tiles(view: View) -> list[Tile]:
    tiles: list[Tile] = [(OUTCOMES.get(view.outcome, view.outcome), "the verdict", _TONES.get(view.outcome, ""))]
    for row in view.rows:
        if row.role:
            interval = f"{percent(row.interval_low)} to {percent(row.interval_high)}"
            role = f" ({row.role})" if row.role != row.name else ""
            tiles.append((percent(row.low), f"accepted of {row.name}{role}, {interval}", ""))
    if view.comparisons:
        one = view.comparisons[0]
        tiles.append(
            (signed(one.difference), f"{one.after} against {one.before}: {one.gains} gained, {one.losses} lost", "")
        )
    tiles.append((percent(view.bar), "the bar", ""))
    known = [row for row in view.rows if row.usd_per_accepted is not None]
    if known:
        least = min(known, key=lambda row: row.usd_per_accepted or 0)
        tiles.append((dollars(least.usd_per_accepted or 0), f"per accepted answer, on {least.name}", ""))
    return tiles
