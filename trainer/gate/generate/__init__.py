"""Asking the generators: the frozen questions to each, and what each answer cost."""

from trainer.gate.generate.cost import priced
from trainer.gate.generate.generate import generate, generator_identity

__all__ = ["generate", "generator_identity", "priced"]
