"""Text that a model, a judge or a corpus wrote: shown whole, and as nothing but text.

What cannot be seen (control characters, marks that turn the direction of writing) is written out, so that two answers
that look alike are alike.
"""

from __future__ import annotations

from html import escape

from gateway.statement.formats import ENTITIES

MOST_CHARACTERS = 4000
_MARKDOWN = {**ENTITIES, "~": "#126", "$": "#36", "@": "#64", "!": "#33"}


def visible(text: str, most: int = MOST_CHARACTERS) -> str:
    """At most so many characters, and how many more there are; lines stay."""
    kept = text[:most].replace("\r\n", "\n")
    shown = "".join(one if one.isprintable() or one == "\n" else _written(one) for one in kept)
    return shown if len(text) <= most else f"{shown} … ({len(text) - most:,} more characters: see the run's folder)"


def _written(character: str) -> str:
    return "    " if character == "\t" else f"\\u{ord(character):04x}"


def line(text: str) -> str:
    """The same on one line."""
    return visible(text).replace("\n", " ")


def html(text: str, most: int = MOST_CHARACTERS) -> str:
    return escape(visible(text, most))


def markdown(text: str, most: int = MOST_CHARACTERS) -> str:
    """For a table's cell or a line: no sign of Markdown or HTML is left, and no address becomes a link."""
    words = visible(text, most).replace("&", "&amp;")
    for sign, entity in _MARKDOWN.items():
        words = words.replace(sign, f"&{entity};")
    words = words.replace("://", "&#58;//").replace("www.", "www&#46;")
    return "<br>".join(words.split("\n"))
