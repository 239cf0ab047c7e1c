"""The store on S3 Vectors against the sandbox over a socket: the same answers, the same filters, and its refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gateway.sandbox.bedrock.server import serve_in_thread
from gateway.sandbox.bedrock.settings import SandboxSettings
from tests.trainer.retrieval.pages import CHUNKS, write_pages
from trainer.retrieval import s3vectors_index
from trainer.retrieval.aws import AwsError, client
from trainer.retrieval.chunk import Chunk
from trainer.retrieval.cli import register
from trainer.retrieval.embedded import EmbeddedStore
from trainer.retrieval.embedded import build as build_embedded
from trainer.retrieval.embedder import EmbedderError
from trainer.retrieval.manifest import MismatchError
from trainer.retrieval.minilm.embedder import MiniLm
from trainer.retrieval.s3vectors import Place, S3VectorsStore, manifest_text, open_s3vectors, parse_place
from trainer.retrieval.s3vectors_index import build
from trainer.retrieval.store import StoreError
from trainer.retrieval.titan import MODEL, Titan
from trainer.retrieval.where import WhereError

PLACE = Place("pages-bucket", "handbook")
QUESTION = "What is paid for dinner on the road?"


def _log_in(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    patch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    patch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)


def _settings() -> SandboxSettings:
    titan = {"kind": "embedding", "input_usd_per_1m": "0.02", "latency_seconds": 0}
    return SandboxSettings.model_validate({"models": [titan]})


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    _log_in(monkeypatch)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_in_thread(_settings()) as served:
        yield served.url


@pytest.fixture
def s3vectors(url: str) -> Any:
    httpx.post(f"{url}/_sandbox/reset").raise_for_status()
    return client("s3vectors", "us-east-1", url)


def _built(s3vectors: Any, embedder: MiniLm | Titan, chunks: list[Chunk] = CHUNKS, **more: Any) -> S3VectorsStore:
    return build(s3vectors, PLACE, chunks, embedder, **{"make_bucket": True, **more})


def test_vectors_rank_as_they_do_in_memory_with_the_same_scores(s3vectors: Any, embedder: MiniLm) -> None:
    there, here = _built(s3vectors, embedder, mode="vector"), build_embedded(CHUNKS, embedder, "vector")
    ours, theirs = here.query(QUESTION, 10), there.query(QUESTION, 10)
    assert [(hit.id, hit.text, hit.labels) for hit in theirs] == [(hit.id, hit.text, hit.labels) for hit in ours]
    assert [hit.score for hit in theirs] == pytest.approx([hit.score for hit in ours], abs=2e-6)


@pytest.mark.parametrize(
    "where",
    [
        {"department": "travel"}, {"department": "travel", "edition": {"$gt": 2024}},
        {"edition": {"$gte": 2025, "$lt": 2026}},
        {"audience": "drivers"}, {"audience": {"$ne": "drivers"}}, {"audience": {"$nin": ["drivers", "staff"]}},
        {"public": {"$exists": False}}, {"public": True}, {"edition": {"$in": [2024, 2025.0]}}, {"edition": "2026"},
        {"$or": [{"department": "yard"}, {"$and": [{"edition": {"$lte": 2024}}, {"public": True}]}]},
    ],
)  # fmt: skip
def test_every_filter_chooses_the_chunks_that_the_local_evaluator_chooses(
    filtered: tuple[S3VectorsStore, EmbeddedStore], where: dict[str, Any]
) -> None:
    there, here = filtered
    assert [hit.id for hit in there.query(QUESTION, 10, where)] == [hit.id for hit in here.query(QUESTION, 10, where)]


@pytest.fixture(scope="module")
def filtered(embedder: MiniLm) -> Iterator[tuple[S3VectorsStore, EmbeddedStore]]:
    """The same chunks in both stores; a sandbox of its own, which no other test resets."""
    with pytest.MonkeyPatch.context() as patch, serve_in_thread(_settings()) as served:
        _log_in(patch)
        account = client("s3vectors", "us-east-1", served.url)
        yield _built(account, embedder, mode="vector"), build_embedded(CHUNKS, embedder, "vector")


def test_hybrid_finds_by_words_what_vectors_alone_do_not(s3vectors: Any, embedder: MiniLm) -> None:
    chunks = [*CHUNKS, *(Chunk(f"noise-{n}", f"paid dinner on the road {n}", {"department": "none"}) for n in range(9))]
    store = _built(s3vectors, embedder, chunks)
    assert store.manifest.mode == "hybrid"
    assert store.manifest.details["index_mode"] == "ENHANCED"
    hits = store.query("cabin", 3)
    assert hits[0].id == "travel-02"
    assert hits[0].score > 1 / 61
    assert [hit.id for hit in store.query("cabin", 3, {"department": "yard"})] == ["yard-01"]
    assert store.query("cabin " * 400, 1)[0].id == "travel-02"  # longer than the service takes to search words by


def test_the_text_cannot_be_filtered_by_and_is_never_a_label(s3vectors: Any, embedder: MiniLm) -> None:
    store = _built(s3vectors, embedder)
    assert all({"text", "manifest"}.isdisjoint(hit.labels) for hit in store.query(QUESTION, 4))
    with pytest.raises(WhereError, match="no chunk of the index has this label"):
        store.query(QUESTION, 4, {"text": "x"})
    index = s3vectors.get_index(**PLACE.parameters)["index"]
    assert set(index["metadataConfiguration"]["nonFilterableMetadataKeys"]) == {"text", "manifest"}
    assert (index["dimension"], index["distanceMetric"]) == (embedder.dimensions, "cosine")


def test_an_index_is_opened_from_what_it_says_of_itself(s3vectors: Any, embedder: MiniLm) -> None:
    built = _built(s3vectors, embedder)
    opened = open_s3vectors(s3vectors, PLACE, embedder)
    assert opened.manifest == built.manifest
    assert opened.query(QUESTION, 4) == built.query(QUESTION, 4)
    assert opened.missing(["travel-01", "gone"]) == ["gone"]


def test_a_classic_bucket_holds_both_modes_and_a_new_one_only_the_enhanced(s3vectors: Any, embedder: MiniLm) -> None:
    old = Place("classic-bucket", "handbook")
    classic = build(s3vectors, old, CHUNKS, embedder, "vector", "CLASSIC", make_bucket=True)
    assert s3vectors.get_index(**old.parameters)["index"]["indexMode"] == "CLASSIC"
    assert classic.query(QUESTION, 2, {"department": "travel"})[0].labels["department"] == "travel"
    hybrid = build(s3vectors, Place("classic-bucket", "other"), CHUNKS, embedder)
    assert hybrid.query("cabin", 1)[0].id == "travel-02"
    with pytest.raises(StoreError, match=r"ValidationException.*CLASSIC is only for vector buckets created before"):
        _built(s3vectors, embedder, mode="vector", index_mode="CLASSIC")
    with pytest.raises(StoreError, match="a CLASSIC index searches by vectors alone"):
        _built(s3vectors, embedder, index_mode="CLASSIC")


def test_an_index_of_another_corpus_or_embedder_is_noticed_by_the_next_query(s3vectors: Any, embedder: MiniLm) -> None:
    store = _built(s3vectors, embedder)
    _built(s3vectors, embedder, CHUNKS[:2], replace=True)
    with pytest.raises(MismatchError, match=r"corpus_sha256 .* and it was opened with .*: open it again"):
        store.query(QUESTION, 2)
    with pytest.raises(MismatchError, match="corpus_sha256"):
        store.query(QUESTION, 2, {"department": "yard"})  # a filter that nothing in the new index fits
    _built(s3vectors, embedder, mode="vector", replace=True)
    with pytest.raises(StoreError, match="not full-text searchable"):
        store.query(QUESTION, 2)


def test_vectors_that_we_did_not_write_are_noticed(s3vectors: Any, embedder: MiniLm) -> None:
    store = _built(s3vectors, embedder, mode="vector")
    alien = {"key": "alien", "data": {"float32": embedder.embed([QUESTION])[0].tolist()}, "metadata": {"text": "x"}}
    s3vectors.put_vectors(**PLACE.parameters, vectors=[alien])
    with pytest.raises(MismatchError, match="holds a vector that no index of ours wrote"):
        store.query(QUESTION, 1)


def test_the_query_s_embedder_must_be_the_index_s(s3vectors: Any, embedder: MiniLm, url: str) -> None:
    _built(s3vectors, embedder)
    with pytest.raises(MismatchError, match=r"amazon.titan-embed-text-v2:0.*minilm:"):
        open_s3vectors(s3vectors, PLACE, Titan(client("bedrock-runtime", "us-east-1", url)))


def test_many_chunks_are_put_in_batches(s3vectors: Any, embedder: MiniLm, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [Chunk(f"p-{n:04}", f"page {n}", {}) for n in range(1, 1003)]
    sizes: list[int] = []
    put = s3vectors.put_vectors
    monkeypatch.setattr(s3vectors, "put_vectors", lambda **more: sizes.append(len(more["vectors"])) or put(**more))
    store = _built(s3vectors, embedder, chunks, mode="vector")
    assert sizes == [500, 500, 2]
    assert store.missing(["p-0001", "p-1002", "p-1003"]) == ["p-1003"]
    monkeypatch.setattr(s3vectors_index, "PUT_BYTES", 20_000)
    sizes.clear()
    _built(s3vectors, embedder, chunks[:100], mode="vector", replace=True)
    assert len(sizes) > 1
    assert sum(sizes) == 100


def test_throttling_is_waited_out(s3vectors: Any, embedder: MiniLm, url: str) -> None:
    _break(url, "throttle", "PutVectors", 2)
    assert _built(s3vectors, embedder).query(QUESTION, 1)


def test_what_the_service_would_refuse_is_said_for_all_chunks_before_anything_is_made(
    s3vectors: Any, embedder: MiniLm
) -> None:
    chunks = [
        Chunk("long", "word " * 9000, {}), Chunk("labels", "x", {"a": "y" * 2100}),
        Chunk("many", "x", {f"l{n}": n for n in range(49)}), Chunk("i" * 1025, "x", {}),
    ]  # fmt: skip
    with pytest.raises(StoreError) as error:
        _built(s3vectors, embedder, chunks)
    for said in ("'long' has 4", "'labels' has 2,1", "'many' has 49 labels", "an id of 1025 characters"):
        assert said in str(error.value)
    assert s3vectors.list_vector_buckets()["vectorBuckets"] == []
    with pytest.raises(StoreError, match="no chunks"):
        _built(s3vectors, embedder, [])
    with pytest.raises(StoreError, match="mode bm25 has no vectors"):
        _built(s3vectors, embedder, mode="bm25")


def test_refusals_name_the_place_the_service_s_word_and_the_mend(s3vectors: Any, embedder: MiniLm) -> None:
    with pytest.raises(StoreError, match=r"s3vectors://pages-bucket/handbook: NotFoundException: .*: make it first"):
        build(s3vectors, PLACE, CHUNKS, embedder)
    with pytest.raises(StoreError, match=r"opening .*NotFoundException"):
        open_s3vectors(s3vectors, PLACE, embedder)
    _built(s3vectors, embedder)
    with pytest.raises(StoreError, match=r"ConflictException: .*: choose another name, or replace it"):
        _built(s3vectors, embedder)


def test_an_empty_index_is_not_ours(s3vectors: Any, embedder: MiniLm) -> None:
    s3vectors.create_vector_bucket(vectorBucketName=PLACE.bucket)
    s3vectors.create_index(**PLACE.parameters, dataType="float32", dimension=2, distanceMetric="cosine")
    with pytest.raises(StoreError, match="holds no vectors: make the index with `crossover adapter index`"):
        open_s3vectors(s3vectors, PLACE, embedder)


def test_nobody_listening_no_region_and_a_bad_place_are_plain_errors(
    embedder: MiniLm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.retrieval.aws.ATTEMPTS", 1)
    with pytest.raises(StoreError, match="opening s3vectors://pages-bucket/handbook: Could not connect"):
        open_s3vectors(client("s3vectors", "us-east-1", "http://127.0.0.1:9"), PLACE, embedder)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(AwsError, match="no AWS region is set: give --region, or AWS_REGION"):
        client("s3vectors", None, None)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert client("s3vectors", None, None).meta.region_name == "eu-west-1"
    assert client("s3vectors", "us-west-2", None).meta.region_name == "us-west-2"
    for text in ("s3vectors://bucket", "s3vectors://B/index", "s3vectors://bucket/i/j"):
        with pytest.raises(StoreError, match="is no index of S3 Vectors"):
            parse_place(text)


def test_titan_embeds_in_order_and_counts_what_it_was_billed_for(url: str) -> None:
    titan = Titan(client("bedrock-runtime", "us-east-1", url))
    texts = [f"page {n}" for n in range(20)]
    vectors = titan.embed(texts)
    assert vectors.shape == (20, 1024)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)
    assert np.array_equal(titan.embed(texts[7:8])[0], vectors[7])
    assert titan.tokens > 0


def test_an_index_with_titan_s_vectors_answers(s3vectors: Any, url: str) -> None:
    titan = Titan(client("bedrock-runtime", "us-east-1", url))
    store = _built(s3vectors, titan)
    assert store.manifest.embedder == MODEL
    assert store.manifest.dimensions == 1024
    assert store.query(CHUNKS[0].text, 1)[0].id == CHUNKS[0].id


def test_titan_s_refusal_is_an_error_of_the_embedder(url: str) -> None:
    with pytest.raises(EmbedderError, match=r"embedding a text of 0 characters with amazon.titan.*ValidationException"):
        Titan(client("bedrock-runtime", "us-east-1", url)).embed([""])


def test_the_commands_reach_s3_vectors_and_titan(tmp_path: Path, s3vectors: Any, url: str) -> None:
    app = typer.Typer()
    register(app)
    there = ["--index", "s3vectors://cli-bucket/handbook", "--region", "us-east-1", "--s3vectors-url", url]
    there += ["--bedrock-url", url, "--json"]
    pages = str(write_pages(tmp_path / "pages"))
    made = CliRunner().invoke(app, ["index", pages, "--embedder", "titan", "--make-bucket", *there])
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert (told["store"], told["mode"], told["dimensions"]) == ("s3vectors", "hybrid", 1024)
    asked = CliRunner().invoke(app, ["ask", "dinner", "--where", '{"department": "travel"}', *there])
    assert json.loads(asked.stdout)[0]["id"] == "travel-01"
    again = CliRunner().invoke(app, ["index", pages, "--embedder", "titan", *there])
    assert again.exit_code == 1
    assert "ConflictException" in again.stderr


def test_what_stays_throttled_or_is_not_allowed_says_so(
    s3vectors: Any, embedder: MiniLm, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _built(s3vectors, embedder)
    _break(url, "denied", "QueryVectors", 1)
    with pytest.raises(StoreError, match=r"AccessDeniedException: .*: allow s3vectors:QueryVectors .*GetVectors"):
        store.query(QUESTION, 1)
    assert store.query(QUESTION, 1)
    monkeypatch.setattr("trainer.retrieval.aws.ATTEMPTS", 1)
    impatient = open_s3vectors(client("s3vectors", "us-east-1", url), PLACE, embedder)
    _break(url, "throttle", "QueryVectors", 1)
    with pytest.raises(StoreError, match=r"querying s3vectors://pages-bucket/handbook: TooManyRequestsException"):
        impatient.query(QUESTION, 1)


@pytest.mark.parametrize(
    ("kind", "said"), [("garbage", "the answer has no `vectors`"), ("close", "Connection was closed")]
)
def test_an_answer_that_is_none_is_a_plain_error(
    s3vectors: Any, embedder: MiniLm, url: str, monkeypatch: pytest.MonkeyPatch, kind: str, said: str
) -> None:
    _built(s3vectors, embedder)
    monkeypatch.setattr("trainer.retrieval.aws.ATTEMPTS", 1)
    store = open_s3vectors(client("s3vectors", "us-east-1", url), PLACE, embedder)
    _break(url, kind, "QueryVectors", 1)
    with pytest.raises(StoreError, match=f"querying s3vectors://pages-bucket/handbook: .*{said}"):
        store.query(QUESTION, 1)


def _break(url: str, kind: str, operation: str, count: int) -> None:
    fault = {"kind": kind, "operation": operation, "count": count}
    httpx.post(f"{url}/_sandbox/s3vectors/faults", json=fault).raise_for_status()


def test_an_index_whose_making_was_killed_is_not_opened_as_if_it_were_whole(
    s3vectors: Any, embedder: MiniLm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3vectors_index, "PUT_AT_A_TIME", 2)
    put, calls = s3vectors.put_vectors, list[int]()

    def killed_at_the_second(**more: Any) -> Any:
        calls.append(len(more["vectors"]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return put(**more)

    monkeypatch.setattr(s3vectors, "put_vectors", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        _built(s3vectors, embedder)
    with pytest.raises(StoreError, match=r"was not finished: of its 4 chunks the last is not there.*--replace"):
        open_s3vectors(s3vectors, PLACE, embedder)
    _built(s3vectors, embedder, replace=True)
    assert open_s3vectors(s3vectors, PLACE, embedder).query(QUESTION, 4)


def test_a_language_that_the_service_does_not_know_is_said_before_the_old_index_is_deleted(
    s3vectors: Any, embedder: MiniLm
) -> None:
    _built(s3vectors, embedder)
    with pytest.raises(StoreError, match=r"the language is 'english': S3 Vectors searches words in en, fr"):
        _built(s3vectors, embedder, language="english", replace=True)
    assert open_s3vectors(s3vectors, PLACE, embedder).query(QUESTION, 1)


def test_a_manifest_of_another_store_in_a_vector_is_none_of_ours(s3vectors: Any, embedder: MiniLm) -> None:
    _built(s3vectors, embedder, mode="vector")
    other = manifest_text(build_embedded(CHUNKS, embedder, "vector").manifest)
    vector = {"float32": embedder.embed(["x"])[0].tolist()}
    s3vectors.delete_vectors(**PLACE.parameters, keys=[chunk.id for chunk in CHUNKS])
    s3vectors.put_vectors(**PLACE.parameters, vectors=[{"key": "k", "data": vector, "metadata": {"manifest": other}}])
    with pytest.raises(StoreError, match="holds a vector without our manifest"):
        open_s3vectors(s3vectors, PLACE, embedder)
