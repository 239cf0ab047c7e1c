"""Titan Text Embeddings V2 on Amazon Bedrock: 1,024 dimensions, each vector of the length 1.

Wire: AWS, "Amazon Titan Text Embeddings models" (InvokeModel): {"inputText", "dimensions", "normalize"} in,
{"embedding", "inputTextTokenCount"} out; one text a call, up to 8,192 tokens and 50,000 characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from trainer.retrieval.aws import AwsError, call
from trainer.retrieval.embedder import EmbedderError, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "amazon.titan-embed-text-v2:0"
DIMENSIONS = 1024
LONGEST_BYTES = 20_000
"""Of UTF-8, far below 8,192 tokens in most languages. Its tokenizer is not public: rarer signs may be refused."""
CALLS_AT_A_TIME = 8
_HELD = 256
"""Answers that wait in memory to be taken in order."""


class _Embedded(msgspec.Struct):
    embedding: list[float]
    inputTextTokenCount: int


class Titan:
    """Embeds with calls to Bedrock; `tokens` counts what they were billed for. Needs numpy."""

    def __init__(self, client: Any) -> None:
        """`client`: botocore's, of `bedrock-runtime`."""
        self._client = client
        self.tokens = 0

    @property
    def name(self) -> str:
        return MODEL

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    @property
    def normalised(self) -> bool:
        return True

    @property
    def longest(self) -> int:
        return LONGEST_BYTES

    def length(self, text: str) -> int:
        return len(text.encode())

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        try:
            import numpy as np
        except ImportError:
            raise EmbedderError("vectors need numpy: pip install 'crossover[retrieval]'") from None
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        with ThreadPoolExecutor(min(CALLS_AT_A_TIME, max(1, len(texts)))) as pool:
            try:
                for start in range(0, len(texts), _HELD):
                    for number, answer in enumerate(pool.map(self._embed, texts[start : start + _HELD]), start):
                        vectors[number] = answer.embedding
                        self.tokens += answer.inputTextTokenCount
                        if progress:
                            progress(1)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if not np.isfinite(vectors).all():
            raise EmbedderError(f"{MODEL} answered with a vector that is not finite: embed again")
        return vectors

    def _embed(self, text: str) -> _Embedded:
        body = msgspec.json.encode({"inputText": text, "dimensions": DIMENSIONS, "normalize": True})
        what = f"embedding a text of {len(text):,} characters with {MODEL}"
        try:
            answer = call(
                self._client.invoke_model, what, "body", modelId=MODEL, body=body, contentType="application/json",
                accept="application/json",
            )  # fmt: skip
            embedded = msgspec.json.decode(call(answer["body"].read, what), type=_Embedded)
        except (AwsError, msgspec.MsgspecError, OSError) as error:
            raise EmbedderError(str(error)) from None
        if len(embedded.embedding) != DIMENSIONS:
            raise EmbedderError(f"{what} gave {len(embedded.embedding)} dimensions, not {DIMENSIONS}")
        return embedded
