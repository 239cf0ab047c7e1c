"""The pieces that every chart is drawn with: the page, its style for light and dark, lines of text, paths.

A file holds its chart twice, laid out for a wide page and for a phone; its own style shows the one that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from gateway.report.labels import Point

WIDTH = 800
SIZES = {"wide": 15.0, "narrow": 23.0}
"""The font size of each layout, in SVG units: on a phone 800 units are shown about 350 pixels wide."""
TONES = 6
STYLE = """
svg:root{max-width:100%;height:auto}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:currentColor}
.page{fill:#fff}.ink{color:#1f2328}.dim{color:#59636e}.grid{stroke:#d1d9e0}.halo{stroke:#fff}
.title{font-size:1.3em;font-weight:600}.bold{font-weight:600}.small{font-size:.86em}.tiny{font-size:.8em}
.grid{fill:none;stroke-width:1}.minor{stroke-opacity:.5}.line{fill:none;stroke:currentColor;stroke-linejoin:round}
.band{fill:currentColor;fill-opacity:.13}.dashed{stroke-dasharray:9 5}
.leader{stroke:currentColor;stroke-width:1;fill:none}
.halo{paint-order:stroke;stroke-width:.3em;stroke-linejoin:round}.dot{fill:currentColor;stroke:currentColor;stroke-width:2}
.hollow{fill:#fff}
.t0{color:#0969da}.t1{color:#bc4c00}.t2{color:#1a7f37}.t3{color:#8250df}.t4{color:#bf3989}.t5{color:#7d4e00}
.narrow{display:none}
@media (max-width:560px){.wide{display:none}.narrow{display:inline}}
@media (prefers-color-scheme:dark){.page,.hollow{fill:#0d1117}.ink{color:#f0f6fc}.dim{color:#9198a1}
.grid{stroke:#30363d}.halo{stroke:#0d1117}.band{fill-opacity:.2}
.t0{color:#58a6ff}.t1{color:#f0883e}.t2{color:#3fb950}.t3{color:#bc8cff}.t4{color:#f778ba}.t5{color:#d4a72c}}
"""


def document(title: str, description: str, height: float, drawings: Iterable[str]) -> str:
    """A whole SVG file. `description`: the chart in words, for those who cannot see it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{text(title)}</title>',
            f'<desc id="desc">{text(description)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
            *drawings,
            "</svg>\n",
        ]
    )


def tone(number: int) -> str:
    """The class of the colour of the so-manieth curve."""
    return f"t{number % TONES}"


def path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def line(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    """One line of text, its baseline at y."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def text(words: str) -> str:
    """Escaped for XML, which cannot hold control characters at all."""
    return escape("".join(character if character.isprintable() else " " for character in words))
