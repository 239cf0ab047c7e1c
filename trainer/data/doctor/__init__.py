"""The data doctor: looks at rendered rows before anything is learned from them. Errors stop, warnings are listed."""

from trainer.data.doctor.examine import examine
from trainer.data.doctor.report import Finding, Report, Severity

__all__ = ["Finding", "Report", "Severity", "examine"]
