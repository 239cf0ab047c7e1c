"""How often retrieval finds the right page: recall@1, @3, @5 and the mean reciprocal rank, in both stores.

    python -m benchmarks.retrieval [--data FILE] [--no-minilm]

FILE is in SQuAD's format: each paragraph is a page, and each question's right page is the paragraph it was written
for. XQuAD's English part (240 paragraphs, 1,190 questions; CC BY-SA 4.0) is such a file: it is not shipped, and can be
had from github.com/google-deepmind/xquad (xquad.en.json). Without FILE it is the project's own handbook: its pages,
and its answerable questions with the pages they name.

Embedded store: words alone (BM25), meaning alone (MiniLM), both fused. S3 Vectors: MiniLM's vectors in the project's
stand-in, over a socket, and Titan's. The stand-in's search is exact, AWS's is approximate; its Titan vectors are
SIMULATED and know nothing of meaning, so their recall says nothing about Titan, and is shown apart.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import page, write_results
from gateway.bench.machine import in_one_line, machine
from gateway.sandbox.bedrock.server import serve_in_thread
from gateway.sandbox.bedrock.settings import SandboxSettings
from trainer.export.bounded_json import read_json
from trainer.gate.handbook.rows import current
from trainer.retrieval import s3vectors_index
from trainer.retrieval.aws import client
from trainer.retrieval.chunk import Chunk, page_of
from trainer.retrieval.corpus import read_corpus
from trainer.retrieval.embedded import build
from trainer.retrieval.embedder import Embedder
from trainer.retrieval.manifest import Mode
from trainer.retrieval.opening import Aws, make_embedder
from trainer.retrieval.questions import read_raw_questions
from trainer.retrieval.s3vectors import Place
from trainer.retrieval.split import chunks_for
from trainer.retrieval.store import VectorStore

HANDBOOK = Path(__file__).parents[1] / "trainer" / "gate" / "handbook"
DEPTH = 10
AT = (1, 3, 5)
MOST_BYTES = 100 << 20


@dataclass(frozen=True)
class Asked:
    """A question, and the ids of the pages any of which is right."""

    text: str
    pages: frozenset[str]


@dataclass(frozen=True)
class Data:
    name: str
    source: str
    pages: list[Chunk]
    questions: list[Asked]


def squad(file: Path) -> Data:
    """Paragraphs and questions of a file in SQuAD's format. Raises ValueError where it is none."""
    content = read_json(file, MOST_BYTES)
    pages: list[Chunk] = []
    questions: list[Asked] = []
    try:
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                name = f"p{len(pages):05}"
                pages.append(Chunk(name, paragraph["context"], {"title": article.get("title", "")}))
                questions += [Asked(each["question"], frozenset({name})) for each in paragraph["qas"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not in SQuAD's format: {error!r}") from None
    return Data(file.name, sha256(file.read_bytes()).hexdigest(), pages, questions)


def handbook() -> Data:
    pages = current(read_corpus(HANDBOOK / "pages"))  # the questions are about this edition
    files = [file for name in ("questions", "holdout") if (file := HANDBOOK / f"{name}.jsonl").exists()]
    raw = [question for file in files for question in read_raw_questions(file)]
    questions = [Asked(each.question, frozenset(each.sources)) for each in raw if each.sources]
    digest = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return Data("the project's own handbook", digest, pages, questions)


def measure(store: VectorStore, questions: Sequence[Asked]) -> dict[str, Any]:
    """Recall and the mean reciprocal rank (0 beyond `DEPTH`), and milliseconds of each query."""
    places: list[int | None] = []
    milliseconds: list[float] = []
    for asked in questions:
        began = time.perf_counter()
        hits = store.query(asked.text, DEPTH)
        milliseconds.append((time.perf_counter() - began) * 1e3)
        found = (place for place, hit in enumerate(hits, 1) if not asked.pages.isdisjoint({hit.id, page_of(hit.id)}))
        places.append(next(found, None))
    return {
        **{f"recall@{at}": sum(place is not None and place <= at for place in places) / len(places) for at in AT},
        "mrr": sum(1 / place for place in places if place) / len(places),
        "ms_a_query": sorted(milliseconds)[len(milliseconds) // 2],
        "places": places,
    }


def embedded(data: Data, embedder: Embedder | None) -> list[dict[str, Any]]:
    rows = []
    modes: tuple[Mode, ...] = ("bm25", "vector", "hybrid") if embedder else ("bm25",)
    for mode in modes:
        used = None if mode == "bm25" else embedder
        chunks = chunks_for(data.pages, used)
        began = time.perf_counter()
        store = build(chunks, used, mode)
        seconds = time.perf_counter() - began
        rows.append(
            {"store": "embedded", "mode": mode, "embedder": used.name if used else "none", "chunks": len(chunks)}
        )
        rows[-1] |= {"index_seconds": seconds, **measure(store, data.questions)}
    return rows


def in_s3vectors(data: Data, embedder: Embedder, url: str, place: Place) -> list[dict[str, Any]]:
    rows = []
    account = client("s3vectors", "us-east-1", url)
    chunks = chunks_for(data.pages, embedder)
    modes: tuple[Mode, ...] = ("vector", "hybrid")
    for mode in modes:
        began = time.perf_counter()
        store = s3vectors_index.build(
            account,
            Place(place.bucket, f"{place.index}-{mode}"),
            chunks,
            embedder,
            mode,
            make_bucket=True,
        )
        seconds = time.perf_counter() - began
        rows.append({"store": "S3 Vectors (stand-in)", "mode": mode, "embedder": embedder.name, "chunks": len(chunks)})
        rows[-1] |= {"index_seconds": seconds, **measure(store, data.questions)}
    return rows


def show(console: Console, title: str, rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    columns = ("store", "mode", "embedder", *(f"recall@{at}" for at in AT), "MRR", "ms a query", "s to index")
    for name in columns:
        table.add_column(name, justify="left" if name in ("store", "mode", "embedder") else "right")
    for row in rows:
        recalls = (f"{row[f'recall@{at}']:.3f}" for at in AT)
        speeds = (f"{row['ms_a_query']:.1f}", f"{row['index_seconds']:.1f}")
        table.add_row(row["store"], row["mode"], row["embedder"], *recalls, f"{row['mrr']:.3f}", *speeds)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FILE", help="a file in SQuAD's format; default: the handbook")
    parser.add_argument("--no-minilm", action="store_true", help="words alone: no weights are fetched")
    parser.add_argument("--out", default="retrieval", help="name of the raw figures' file; default: retrieval")
    arguments = parser.parse_args()
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")  # the stand-in takes any
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "secret")
    try:
        data = squad(arguments.data) if arguments.data else handbook()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    facts = machine()
    console = page()
    console.print(f"{data.name}: {len(data.pages)} pages, {len(data.questions)} questions. {in_one_line(facts)}.")
    embedder = None if arguments.no_minilm else make_embedder("minilm", Aws(), console.print)
    rows = embedded(data, embedder)
    simulated: list[dict[str, Any]] = []
    settings = {"models": [{"kind": "embedding", "input_usd_per_1m": "0.02", "latency_seconds": 0}]}
    with serve_in_thread(SandboxSettings.model_validate(settings)) as served:
        if embedder is not None:
            rows += in_s3vectors(data, embedder, served.url, Place("benchmark", "minilm"))
        titan = make_embedder("titan", Aws("us-east-1", bedrock_url=served.url), console.print)
        assert titan is not None
        simulated = in_s3vectors(data, titan, served.url, Place("benchmark", "titan"))
    show(console, "Retrieval", rows)
    show(console, "With SIMULATED Titan vectors: they know nothing of meaning, this is no figure of Titan's", simulated)
    console.print("ms a query: the median, embedding the question included. The stand-in is Python over a socket.")
    results = {
        "machine": facts, "data": data.name, "questions_sha256": data.source, "pages": len(data.pages),
        "questions": len(data.questions), "rows": rows, "simulated_titan": simulated,
    }  # fmt: skip
    console.print(f"Raw figures in {write_results(arguments.out, results)}")


if __name__ == "__main__":
    main()
