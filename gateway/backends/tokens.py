"""Guessing how many tokens a text has, without a tokenizer: bytes per token, learned from exact usage."""

from __future__ import annotations


class BytesPerToken:
    """A running ratio. Seeded with 4 bytes a token (English prose); each exact answer moves it a little."""

    __slots__ = ("ratio",)
    SEED = 4.0
    WEIGHT = 0.05

    def __init__(self) -> None:
        self.ratio = self.SEED

    def estimate(self, text_bytes: int) -> int:
        """Tokens in a text of so many UTF-8 bytes; at least 1."""
        return max(1, round(text_bytes / self.ratio))

    def learn(self, text_bytes: int, tokens: int) -> None:
        """A text of so many bytes had exactly so many tokens."""
        if tokens > 0 and text_bytes > 0:
            seen = min(20.0, max(0.25, text_bytes / tokens))
            self.ratio += self.WEIGHT * (seen - self.ratio)
