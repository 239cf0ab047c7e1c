"""Rung 7: would Bedrock Custom Model Import read the merged model as it is meant? The export's own checks, on the base.

A merge changes the values of weights and nothing else, so what is wrong with the base's folder is wrong with the merge.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.export.cmi import check
from trainer.export.config_checks import check_config
from trainer.export.finding import Finding, errors
from trainer.preflight.rung import EXPORTABLE, Rung, Wall


def climb_export(config: Mapping[str, Any], folder: Path | None) -> Rung:
    """The rung. `folder`: the base model's, which is checked whole; None where only a config.json was given.

    A config.json alone can fail and never pass: nobody saw the weights or the tokenizer.
    """
    started = time.monotonic()
    findings = check(folder) if folder is not None else list(check_config(dict(config)))
    seconds = time.monotonic() - started
    wrong = errors(findings)
    notes = tuple(_sentence(finding) for finding in findings if finding.severity == "warning")
    if wrong:
        walls = tuple(_wall(finding) for finding in wrong)
        return Rung(EXPORTABLE, "failed", f"stopped at: {walls[0].name}", seconds, walls, notes)
    if folder is None:
        said = "only a config.json was given, which is fine: name the model's folder, with weights and tokenizer"
        return Rung(EXPORTABLE, "not asked", said, seconds, notes=notes)
    return Rung(
        EXPORTABLE, "passed", "Custom Model Import would read the merged model as it is meant", seconds, notes=notes
    )


def _wall(finding: Finding) -> Wall:
    return Wall(finding.code, (), f"{_upper(finding.why)}.", finding.what, finding.mend)


def _sentence(finding: Finding) -> str:
    return f"{finding.what}: {finding.why}. Mend: {finding.mend}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
