"""A document as one HTML page that holds all it needs: no script, no font, no request; light, dark and print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import TypeAlias

from gateway.report import svg
from gateway.statement.charts import charts
from gateway.statement.figures import Statement
from gateway.statement.table import LEFT, Column, Document, Section, Table, percent, tables_for_people, texts
from gateway.statement.words import per_1m, usd

STYLE = """
:root{--page:#fff;--ink:#1f2328;--dim:#59636e;--edge:#d1d9e0;--soft:#f6f8fa;--good:#1a7f37;--bad:#cf222e;
color-scheme:light dark}
@media screen and (prefers-color-scheme:dark){:root{--page:#0d1117;--ink:#f0f6fc;--dim:#9198a1;--edge:#30363d;
--soft:#151b23;--good:#3fb950;--bad:#f85149}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:2rem 1.25rem 4rem;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:1.75rem;margin:0 0 .25rem}
h2{font-size:1.25rem;margin:2.75rem 0 .5rem;padding-top:.5rem;border-top:1px solid var(--edge)}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
p{margin:.35rem 0}.words,.note{color:var(--dim)}.note{font-size:.85rem;max-width:75ch}
nav{margin:1rem 0}nav a{color:inherit;margin-right:1rem;font-size:.9rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(136px,1fr));gap:.7rem;margin:1.25rem 0}
.tile{border:1px solid var(--edge);border-radius:8px;padding:.6rem .75rem;background:var(--soft)}
.tile b{display:block;font-size:1.35rem;line-height:1.3;font-weight:600;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:.82rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem;margin:.35rem 0}
th,td{padding:.3rem .6rem;text-align:left;border-bottom:1px solid var(--edge);vertical-align:top}
th{color:var(--dim);font-weight:500;font-size:.82rem;vertical-align:bottom}td{white-space:nowrap}
.n{text-align:right}
td:first-child,th:first-child{padding-left:0}.total td{font-weight:600}
.good{color:var(--good)}.bad{color:var(--bad)}
figure{margin:1rem 0}figcaption{font-weight:600;margin-bottom:.35rem}
figure svg{width:100%;height:auto;display:block}figure svg.narrow{display:none}
summary{cursor:pointer;color:var(--dim);margin-top:.75rem}ul{margin:.35rem 0;padding-left:1.2rem}
@media (max-width:560px){figure svg.wide{display:none}figure svg.narrow{display:block}body{padding:1.25rem .9rem}}
@media print{html{font-size:10.5px}body{max-width:none;padding:0;font-size:10.5px}
nav,summary{display:none}h2{break-after:avoid}
figure,tr,.tile{break-inside:avoid}.scroll{overflow:visible}td:not(.n){white-space:normal}figure svg{max-width:640px}}
"""
# The charts' own colours, for the page: its background is the page's, and paper is never dark.
CHART_STYLE = svg.STYLE.replace("@media (prefers-color-scheme:dark)", "@media screen and (prefers-color-scheme:dark)")


Tile: TypeAlias = tuple[str, str, str]
"""A figure, what it is, and its tone: good, bad or nothing."""
Parts: TypeAlias = Callable[[str], Iterable[str]]
"""Of a section's name: what else stands there, as HTML."""


def page(document: Document, statement: Statement) -> str:
    return html_page(document, _tiles(statement), lambda section: charts(statement, section))


def html_page(
    document: Document, tiles: Iterable[Tile], figures: Parts, *, below: Parts = lambda _: (), style: str = ""
) -> str:
    """`figures` come before a section's tables, `below` after them. `style`: CSS beside the page's own."""
    return "\n".join(_page(document, tiles, figures, below, style)) + "\n"


def _page(document: Document, tiles: Iterable[Tile], figures: Parts, below: Parts, style: str) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>{escape(document.title)}: {escape(document.words[0])}</title>"
    yield f"<style>{CHART_STYLE}{STYLE}{style}</style>\n</head>\n<body>"
    yield f"<header><h1>{escape(document.title)}</h1>"
    yield from (f'<p class="words">{escape(line)}</p>' for line in document.words)
    yield "</header>"
    yield from _shown_tiles(tiles)
    links = (f'<a href="#{section.name}">{escape(section.title)}</a>' for section in document.sections)
    yield f"<nav>{''.join(links)}</nav>\n<main>"
    for section in document.sections:
        yield from _section(section, document, figures, below)
    yield "</main>\n<footer>"
    yield from (f'<p class="note">{escape(line)}</p>' for line in document.footnotes)
    yield "</footer>\n</body>\n</html>"


def _tiles(one: Statement) -> list[Tile]:
    tiles: list[Tile] = [(usd(one.nanousd), "spent in the period", "")]
    if (month := one.nanousd_per_month) is not None:
        tiles.append((usd(month), "a month at this rate", ""))
    reached = [crossing for crossing in one.crossings if crossing.reachable and crossing.utilization is not None]
    tiles += [
        (per_1m(path.reservation_usd_per_1m), f"per 1M output tokens on {path.name}", "")
        for path in one.paths
        if path.cost_kind == "amortized" and path.reservation_usd_per_1m is not None
    ]
    for crossing in sorted(reached, key=lambda one: not one.same_weights)[:1]:
        side = "above" if crossing.above else "below"
        words = f"of {crossing.box}'s capacity, {side} the crossover with {crossing.against} at "
        simulated = ", simulated" if crossing.simulated else ""
        tone = "good" if crossing.cheaper == crossing.box else "bad"
        tiles.append(
            (percent(crossing.utilization or 0), words + percent(float(crossing.crossover or 0)) + simulated, tone)
        )
    own = {path.name: path.custom_weights for path in one.all_paths}
    for saving in one.savings.against[:2] if one.savings is not None else ():
        if saving.saved_nanousd is None:
            continue
        gain = saving.saved_nanousd >= 0
        words = f"{'saved against' if gain else 'more than'} {saving.priced_as} alone"
        words += "" if own.get(saving.priced_as, True) else ", base weights"
        words += ", simulated" if saving.simulated else ""
        tiles.append((usd(abs(saving.saved_nanousd)), words, "good" if gain else "bad"))
    if (bad := one.all_judged.bad_ratio) is not None:
        tone = "good" if bad <= one.error_budget else "bad"
        tiles.append((percent(bad), f"late or wrong, of {percent(one.error_budget)} allowed", tone))
    return tiles


def _shown_tiles(tiles: Iterable[Tile]) -> Iterator[str]:
    yield '<div class="tiles">'
    for value, words, tone in tiles:
        yield f'<div class="tile"><b class="{tone}">{escape(value)}</b><span>{escape(words)}</span></div>'
    yield "</div>"


def _section(section: Section, document: Document, figures: Parts, below: Parts) -> Iterator[str]:
    yield f'<section id="{section.name}">\n<h2>{escape(section.title)}</h2>'
    if len(section.words) > 1:
        yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in section.words)}</ul>"
    else:
        yield from (f"<p>{escape(line)}</p>" for line in section.words)
    drawn = list(figures(section.name))
    yield from drawn
    for table in tables_for_people(section):
        if table.folded and drawn:
            yield f"<details><summary>{escape(table.title)}, as a table</summary>"
            yield from _table(table, document, titled=False)
            yield "</details>"
        else:
            yield from _table(table, document)
    yield from below(section.name)
    yield "</section>"


def _table(table: Table, document: Document, *, titled: bool = True) -> Iterator[str]:
    if table.title and titled:
        yield f"<h3>{escape(table.title)}</h3>"
    shown = [(place, column) for place, column in enumerate(table.columns) if column.kind != "bar"]
    yield '<div class="scroll"><table>'
    if any(column.head for _, column in shown):
        heads = (f'<th scope="col"{_side(column.kind)}>{escape(column.head)}</th>' for _, column in shown)
        yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    rows = texts(table, document.marks)
    for number, row in enumerate(rows):
        total = ' class="total"' if table.total and number == len(rows) - 1 else ""
        yield f"<tr{total}>{''.join(_cells(row, shown))}</tr>"
    yield "</tbody></table></div>"
    yield from (f'<p class="note">{escape(line)}</p>' for line in table.words)


def _cells(row: Sequence[str], shown: Sequence[tuple[int, Column]]) -> Iterator[str]:
    for place, column in shown:
        kind = column.kind
        tone = {"+": "good", "-": "bad"}.get(row[place][:1], "") if kind == "signed" else ""
        yield f"<td{_side(kind, tone)}>{escape(row[place])}</td>"


def _side(kind: str, tone: str = "") -> str:
    names = [*([] if kind in LEFT else ["n"]), *([tone] if tone else [])]
    return f' class="{" ".join(names)}"' if names else ""
