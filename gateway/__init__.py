"""Crossover: an OpenAI-compatible gateway that knows what each token costs."""

__version__ = "0.1.0"
