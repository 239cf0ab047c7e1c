"""Statistics for small sets of yes/no questions: pure functions of counts, in plain Python.

`proportions`: one share. `paired`: two generators on the same questions. `noninferiority`: "not worse by more than".
`agreement`: two judges. `correction`: for the judges' errors. `power`: how many questions a test needs.
"""

from trainer.gate.statistics.agreement import Agreement, agreement
from trainer.gate.statistics.correction import Corrected, corrected
from trainer.gate.statistics.noninferiority import noninferiority
from trainer.gate.statistics.paired import mcnemar_exact, paired_bootstrap, score_bound, score_interval
from trainer.gate.statistics.power import questions_needed
from trainer.gate.statistics.proportions import (
    Interval,
    clopper_pearson,
    clopper_pearson_lower,
    clopper_pearson_upper,
    wilson,
    wilson_lower,
    wilson_upper,
)

__all__ = [
    "Agreement",
    "Corrected",
    "Interval",
    "agreement",
    "clopper_pearson",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "corrected",
    "mcnemar_exact",
    "noninferiority",
    "paired_bootstrap",
    "questions_needed",
    "score_bound",
    "score_interval",
    "wilson",
    "wilson_lower",
    "wilson_upper",
]
