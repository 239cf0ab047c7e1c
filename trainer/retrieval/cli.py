"""`crossover adapter index`, `freeze` and `ask`. Imports lightly; the work is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from trainer.retrieval.chunk import Chunk
    from trainer.retrieval.opening import Aws
    from trainer.retrieval.store import VectorStore

Index = Annotated[
    str,
    typer.Option(
        "--index", metavar="INDEX", help="The index: a folder, or s3vectors://BUCKET/INDEX.", show_default=False
    ),
]
WhereText = Annotated[
    str | None,
    typer.Option(
        "--where", metavar="JSON",
        help='Only passages whose labels fit, like \'{"department": "travel", "edition": {"$gte": 2025}}\'. Operators: '
        "$eq $ne $gt $gte $lt $lte $in $nin $exists $and $or.",
    ),
]  # fmt: skip
Region = Annotated[str | None, typer.Option("--region", help="AWS region. Default: as AWS's own tools find it.")]
S3VectorsUrl = Annotated[
    str | None, typer.Option("--s3vectors-url", metavar="URL", help="S3 Vectors' endpoint. Default: the region's own.")
]
BedrockUrl = Annotated[
    str | None, typer.Option("--bedrock-url", metavar="URL", help="bedrock-runtime's endpoint. Default: the region's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_MOST_SAID = 100_000
"""Characters of an error: a hundred lines, and pages and questions give the words of some."""


def index(
    pages: Annotated[
        Path, typer.Argument(metavar="PAGES", help="Folder of Markdown pages, each with a head in YAML (id, labels).")
    ],
    index: Index,
    embedder: Annotated[
        Literal["minilm", "titan", "none"],
        typer.Option(
            help="minilm: on this machine (84 MB are fetched once, or a folder in CROSSOVER_MINILM; needs the extra "
            "`retrieval`). titan: Titan Text "
            "Embeddings V2 on Bedrock. none: words alone."
        ),
    ] = "minilm",
    mode: Annotated[
        Literal["hybrid", "vector", "bm25"] | None,
        typer.Option(
            help="hybrid: meaning and words, fused. vector: meaning alone. bm25: words alone. Default: hybrid, and "
            "bm25 with --embedder none.",
            show_default=False,
        ),
    ] = None,
    index_mode: Annotated[
        Literal["ENHANCED", "CLASSIC"],
        typer.Option(help="S3 Vectors alone: CLASSIC only in buckets made before 30 September 2026, with mode vector."),
    ] = "ENHANCED",
    language: Annotated[
        str | None, typer.Option(help="S3 Vectors alone: language of the search by words, like en. Default: none.")
    ] = None,
    make_bucket: Annotated[
        bool, typer.Option("--make-bucket", help="S3 Vectors alone: make the bucket if it is missing.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="S3 Vectors alone: delete an index of this name first.")
    ] = False,
    region: Region = None,
    s3vectors_url: S3VectorsUrl = None,
    bedrock_url: BedrockUrl = None,
    json: AsJson = False,
) -> None:
    """Make an index of a folder of pages, so that passages can be found by what they mean and say.

    A page is one chunk; one that is longer than the embedder reads becomes several. Exits 2 for pages that cannot be
    read, 1 for what failed."""
    import msgspec

    from trainer.retrieval.corpus import read_corpus
    from trainer.retrieval.opening import Aws, make_embedder
    from trainer.retrieval.split import chunks_for

    aws = Aws(region, s3vectors_url, bedrock_url)
    with _refusals("index"):
        chosen = mode or ("bm25" if embedder == "none" else "hybrid")
        if (chosen == "bm25") != (embedder == "none"):
            raise ValueError(f"--mode {chosen} does not go with --embedder {embedder}: only bm25 goes with none")
        read = read_corpus(pages)
        embeds = make_embedder(embedder, aws, _say)
        chunks = chunks_for(read, embeds)
        with _bar("embedding", len(chunks), shown=embeds is not None) as progress:
            options = {"index_mode": index_mode, "language": language, "make_bucket": make_bucket, "replace": replace}
            store = _built(index, chunks, embeds, chosen, aws, options, progress)
    if json:
        typer.echo(msgspec.json.encode({"index": index, "pages": len(read), **msgspec.to_builtins(store.manifest)}))
        return
    manifest = store.manifest
    typer.echo(
        f"{index}: {len(read)} pages, {manifest.chunks} chunks, mode {manifest.mode}, embedder {manifest.embedder}, "
        f"corpus {manifest.corpus_sha256[:12]}, labels {', '.join(manifest.filterable) or 'none'}"
    )


def freeze(
    questions: Annotated[
        Path,
        typer.Argument(metavar="QUESTIONS", help="JSON lines: id, question, reference (or null), facts, sources."),
    ],
    index: Index,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The frozen set to write.", show_default=False)],
    k: Annotated[int, typer.Option("--k", help="Passages of each question.", min=1, max=100)] = 5,
    name: Annotated[
        str | None, typer.Option(help="The set's name. Default: the name of OUT without its ending.")
    ] = None,
    instruction: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT|@FILE",
            help="System message of every prompt, as text or as @FILE. Default: answer from the passages, cite one.",
        ),
    ] = None,
    where: WhereText = None,
    region: Region = None,
    s3vectors_url: S3VectorsUrl = None,
    bedrock_url: BedrockUrl = None,
    json: AsJson = False,
) -> None:
    """Freeze questions with the passages that are found for them, so that every generator sees the same ones.

    Exits 2 for questions that cannot be read or frozen, 1 for what failed."""
    import msgspec

    from trainer.gate.frozen import write_frozen
    from trainer.retrieval.freeze import INSTRUCTION, freeze, not_retrieved
    from trainer.retrieval.opening import Aws
    from trainer.retrieval.questions import read_raw_questions

    with _refusals("freeze"):
        raw = read_raw_questions(questions)
        if out.exists() and out.samefile(questions):
            raise ValueError(f"--out {out} is the file of the questions itself: give another one")
        told = INSTRUCTION if instruction is None else _text_or_file(instruction)
        store = _opened(index, Aws(region, s3vectors_url, bedrock_url))
        with _bar("retrieving", len(raw)) as progress:
            frozen = freeze(raw, store, k, name or out.stem, told.strip(), _parsed(where), progress)
        digest = write_frozen(frozen, out)
    missed = not_retrieved(frozen)
    with_source = sum(bool(question.sources) for question in frozen.questions)
    facts = {
        "out": str(out),
        "name": frozen.name,
        "sha256": digest,
        "questions": len(frozen.questions),
        "unanswerable": sum(not question.answerable for question in frozen.questions),
        "k": k,
        "source_retrieved": with_source - len(missed),
        "source_missed": missed,
    }
    if json:
        typer.echo(msgspec.json.encode(facts))
        return
    typer.echo(
        f"{out}: {facts['questions']} questions ({facts['unanswerable']} unanswerable), up to {k} passages each, "
        f"sha256 {digest[:12]}"
    )
    typer.echo(f"a source is among the passages of {facts['source_retrieved']} of {with_source} answerable questions")
    if missed:
        typer.echo(f"nobody can answer these from their passages: {', '.join(missed)}")


def ask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A question, or words.")],
    index: Index,
    k: Annotated[int, typer.Option("--k", help="Passages to show.", min=1, max=100)] = 5,
    where: WhereText = None,
    region: Region = None,
    s3vectors_url: S3VectorsUrl = None,
    bedrock_url: BedrockUrl = None,
    json: AsJson = False,
) -> None:
    """Show the passages that an index finds for a question. Exits 2 for a bad filter, 1 for what failed."""
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from trainer.gate.report.hostile import visible
    from trainer.retrieval.chunk import labels_as_text
    from trainer.retrieval.opening import Aws

    with _refusals("ask"):
        hits = _opened(index, Aws(region, s3vectors_url, bedrock_url)).query(text, k, _parsed(where))
    if json:
        typer.echo(msgspec.json.encode(hits))
        return
    if not hits:
        typer.echo("no passage fits")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column, justify in (("score", "right"), ("id", "left"), ("labels", "left"), ("text", "left")):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for hit in hits:
        labels = ", ".join(f"{key}: {value}" for key, value in labels_as_text(hit.labels).items())
        start = " ".join(hit.text.split())
        shown = visible(start if len(start) <= 160 else start[:157] + "...")
        table.add_row(f"{hit.score:.4f}", visible(hit.id), visible(labels), shown)
    Console(markup=False, highlight=False).print(table)


def register(app: typer.Typer) -> None:
    """Join the commands to `crossover adapter`."""
    app.command()(index)
    app.command()(freeze)
    app.command()(ask)


def _built(
    address: str,
    chunks: list[Chunk],
    embedder: Any,
    mode: Any,
    aws: Aws,
    options: dict[str, Any],
    progress: Callable[[int], None],
) -> VectorStore:
    from trainer.retrieval.s3vectors import is_place, parse_place

    if is_place(address):
        from trainer.retrieval import s3vectors_index
        from trainer.retrieval.aws import client

        if embedder is None:
            raise ValueError("S3 Vectors needs an embedder: give --embedder minilm or titan")
        s3vectors = client("s3vectors", aws.region, aws.s3vectors_url)
        place = parse_place(address)
        return s3vectors_index.build(s3vectors, place, chunks, embedder, mode, progress=progress, **options)
    from trainer.retrieval.embedded import build

    store = build(chunks, embedder, mode, progress)
    store.save(Path(address))
    return store


def _opened(address: str, aws: Aws) -> VectorStore:
    from trainer.retrieval.opening import open_store

    return open_store(address, aws, _say)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _text_or_file(text: str) -> str:
    return Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text


def _parsed(where: str | None) -> dict[str, Any] | None:
    if where is None:
        return None
    import msgspec

    from trainer.retrieval.where import WhereError

    try:
        return msgspec.json.decode(where, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise WhereError(f'--where is no JSON object ({error}): write {{"label": "value"}}') from None


@contextmanager
def _bar(what: str, total: int, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A progress bar where somebody watches; where nobody does, nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)


@contextmanager
def _refusals(command: str) -> Iterator[None]:
    """Errors in one line each: 2 for what was given wrongly, 1 for what failed."""
    from trainer.data.problem import DataError
    from trainer.gate.report.hostile import visible
    from trainer.retrieval.aws import AwsError
    from trainer.retrieval.embedder import EmbedderError
    from trainer.retrieval.problem import CorpusError
    from trainer.retrieval.store import StoreError

    try:
        yield
    except (DataError, CorpusError) as error:  # each line names its file
        typer.echo(visible(str(error), _MOST_SAID), err=True)
        raise typer.Exit(2) from None
    except (StoreError, EmbedderError, AwsError, OSError) as error:
        typer.echo(visible(f"crossover adapter {command}: {error}", _MOST_SAID), err=True)
        raise typer.Exit(1) from None
    except ValueError as error:  # MismatchError and WhereError are such
        typer.echo(visible(f"crossover adapter {command}: {error}", _MOST_SAID), err=True)
        raise typer.Exit(2) from None
