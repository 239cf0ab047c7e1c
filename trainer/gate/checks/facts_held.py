"""Which facts of a question an answer holds, whatever else it says."""

from __future__ import annotations

import re

from trainer.gate.checks.citations import without_citations
from trainer.gate.checks.normal import digitised, normal
from trainer.gate.schema import Question


def missing_facts(question: Question, text: str) -> list[str]:
    """The first spelling of each fact of which the text has none."""
    said = digitised(normal(without_citations(text)))
    return [spellings[0] for spellings in question.facts if not any(_holds(said, one) for one in spellings)]


def _holds(said: str, spelling: str) -> bool:
    """Whole words and whole numbers: `25` is in neither `250`, `2.25` nor `25.5`; `Monday` is in `Mondays`."""
    wanted = digitised(normal(spelling))
    if not wanted:
        return False
    before = r"(?<![\w])(?<!\d[.,:/-])" if wanted[0].isalnum() else ""
    plural = "s?" if wanted[-1].isalpha() else ""
    after = rf"{plural}(?![\w])(?![.,:/-]\d)" if wanted[-1].isalnum() else ""
    return re.search(before + re.escape(wanted) + after, said) is not None
