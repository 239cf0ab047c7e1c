"""The store in memory: exact search, filters before it, one order always, and indexes that are not mixed up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.retrieval.pages import CHUNKS
from tests.trainer.retrieval.tiny_bert import make_tiny_bert
from trainer.retrieval.chunk import Chunk
from trainer.retrieval.embedded import EmbeddedStore, build, open_index
from trainer.retrieval.manifest import MismatchError, Mode
from trainer.retrieval.minilm.embedder import MiniLm
from trainer.retrieval.store import StoreError
from trainer.retrieval.where import WhereError


@pytest.fixture
def by_words() -> EmbeddedStore:
    return build(CHUNKS, None, "bm25")


def _ids(store: EmbeddedStore, text: str, k: int = 10, **where: object) -> list[str]:
    return [hit.id for hit in store.query(text, k, where or None)]


def test_words_find_the_page_that_holds_them_with_its_text_and_labels(by_words: EmbeddedStore) -> None:
    (hit,) = by_words.query("How much is paid for dinner?", 1)
    assert (hit.id, hit.text, hit.labels) == ("travel-01", CHUNKS[1].text, CHUNKS[1].labels)
    assert hit.score > 0


def test_words_alone_find_nothing_where_no_page_has_them(by_words: EmbeddedStore) -> None:
    assert by_words.query("zebra", 5) == []


@pytest.mark.parametrize("mode", ["hybrid", "vector"])
def test_vectors_rank_every_page_and_its_own_text_first(embedder: MiniLm, mode: Mode) -> None:
    store = build(CHUNKS, embedder, mode)
    for chunk in CHUNKS:
        hits = store.query(chunk.text, 10)
        assert hits[0].id == chunk.id
        assert len(hits) == len(CHUNKS)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    if mode == "vector":
        assert store.query(CHUNKS[0].text, 1)[0].score == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("mode", ["hybrid", "vector", "bm25"])
def test_a_filter_comes_before_the_search_and_costs_no_result(embedder: MiniLm, mode: Mode) -> None:
    chunks = [Chunk(f"noise-{n:03}", "dinner dinner dinner paid", {"kind": "noise"}) for n in range(150)]
    chunks += [Chunk(f"rare-{n}", f"dinner of page {n} among many other words", {"kind": "rare"}) for n in range(3)]
    store = build(chunks, None if mode == "bm25" else embedder, mode)
    assert set(_ids(store, "dinner paid", 3)) <= {chunk.id for chunk in chunks[:150]}
    assert sorted(_ids(store, "dinner paid", 3, kind="rare")) == ["rare-0", "rare-1", "rare-2"]
    assert len(_ids(store, "dinner paid", 100, kind={"$ne": "rare"})) == 100


def test_a_filter_that_fits_nothing_finds_nothing(by_words: EmbeddedStore) -> None:
    assert _ids(by_words, "dinner", edition={"$lt": 1900}) == []


def test_equal_scores_are_in_the_order_of_ids_whatever_the_order_of_indexing(embedder: MiniLm) -> None:
    twins = [Chunk(name, "the same dinner", {}) for name in ("c", "a", "d", "b")]
    for mode, embeds in (("bm25", None), ("hybrid", embedder), ("vector", embedder)):
        orders = [_ids(build(order, embeds, mode), "dinner") for order in (twins, twins[::-1])]
        assert orders == [["a", "b", "c", "d"]] * 2


def test_hybrid_is_the_fusion_of_the_two_orders(embedder: MiniLm) -> None:
    hybrid, vector, words = (
        build(CHUNKS, None if mode == "bm25" else embedder, mode) for mode in ("hybrid", "vector", "bm25")
    )
    question = "Is the yard's gate locked in the evening?"
    places = [{each: place for place, each in enumerate(_ids(store, question), 1)} for store in (words, vector)]
    for hit in hybrid.query(question, 10):
        assert hit.score == pytest.approx(sum(1 / (60 + place[hit.id]) for place in places if hit.id in place))


def test_a_bad_query_is_refused(by_words: EmbeddedStore) -> None:
    for text, k in ((" ", 5), ("dinner", 0), ("dinner", 101)):
        with pytest.raises(ValueError, match=r"empty|k is"):
            by_words.query(text, k)
    with pytest.raises(WhereError, match="no chunk of the index has this label"):
        by_words.query("dinner", 1, {"colour": "red"})


def test_what_cannot_be_indexed_is_refused(embedder: MiniLm) -> None:
    with pytest.raises(StoreError, match="no chunks"):
        build([], None, "bm25")
    with pytest.raises(StoreError, match="two chunks have the id 'leave-01'"):
        build([CHUNKS[0], CHUNKS[0]], None, "bm25")
    with pytest.raises(ValueError, match="only `bm25` works without one"):
        build(CHUNKS, None, "hybrid")


def test_a_saved_index_answers_as_it_did_in_memory(tmp_path: Path, embedder: MiniLm) -> None:
    store = build(CHUNKS, embedder, "hybrid")
    store.save(tmp_path / "index")
    opened = open_index(tmp_path / "index", embedder)
    assert opened.manifest == store.manifest
    assert opened.query("dinner on the train", 4) == store.query("dinner on the train", 4)
    assert opened.missing(["travel-01", "gone", "yard-01"]) == ["gone"]


def test_the_manifest_names_what_decides_an_answer(embedder: MiniLm) -> None:
    manifest = build(CHUNKS, embedder, "hybrid").manifest
    flat = manifest.as_text()
    assert flat["embedder"] == embedder.name
    assert embedder.name.startswith("minilm:")
    assert (flat["dimensions"], flat["normalised"], flat["mode"], flat["rrf_k"]) == ("32", "true", "hybrid", "60")
    assert flat["filterable"] == "audience,department,edition,public"
    relabelled = [Chunk(CHUNKS[0].id, CHUNKS[0].text, {"department": "other"}), *CHUNKS[1:]]
    hashes = {build(each, None, "bm25").manifest.corpus_sha256 for each in (CHUNKS, CHUNKS[::-1], relabelled)}
    assert len(hashes) == 2  # an order changes nothing, a label does


def test_another_embedder_than_the_index_s_is_refused_with_both_names(tmp_path: Path, embedder: MiniLm) -> None:
    build(CHUNKS, embedder, "vector").save(tmp_path / "index")
    other = MiniLm(make_tiny_bert(tmp_path / "other", seed=1))
    with pytest.raises(MismatchError, match=f"{other.name}.*{embedder.name}.*or make the index again"):
        open_index(tmp_path / "index", other)
    without = open_index(tmp_path / "index", None)
    with pytest.raises(MismatchError, match="is opened without one"):
        without.query("dinner", 1)


def test_an_index_that_was_made_again_is_noticed_by_the_next_query(tmp_path: Path) -> None:
    build(CHUNKS, None, "bm25").save(tmp_path / "index")
    opened = open_index(tmp_path / "index", None)
    build(CHUNKS, None, "bm25").save(tmp_path / "index")
    assert opened.query("dinner", 1)  # the same again is no other index
    build(CHUNKS[:2], None, "bm25").save(tmp_path / "index")
    with pytest.raises(MismatchError, match=r"corpus_sha256 is .* when it was opened: open it again"):
        opened.query("dinner", 1)


@pytest.mark.parametrize("name", ["chunks", "vectors"])
def test_a_changed_or_missing_file_of_an_index_is_found_when_it_is_opened(
    tmp_path: Path, embedder: MiniLm, name: str
) -> None:
    build(CHUNKS, embedder, "hybrid").save(tmp_path / "index")
    (file,) = (tmp_path / "index").glob(f"{name}-*")
    content = file.read_bytes()
    file.write_bytes(content[:-3] + b"xyz")
    with pytest.raises(StoreError, match=r"has the hash .* and the manifest says"):
        open_index(tmp_path / "index", embedder)
    file.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        open_index(tmp_path / "index", embedder)


def test_a_folder_without_an_index_and_one_with_other_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no index"):
        open_index(tmp_path / "nowhere", None)
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds files and no index"):
        build(CHUNKS, None, "bm25").save(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read as an index's manifest"):
        open_index(tmp_path, None)


def test_a_new_index_takes_the_old_one_s_files_away(tmp_path: Path, embedder: MiniLm) -> None:
    build(CHUNKS, embedder, "hybrid").save(tmp_path / "index")
    build(CHUNKS[:2], None, "bm25").save(tmp_path / "index")
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "index").iterdir()) == ["chunks", "manifest.json"]


def test_vectors_are_exact_over_many_chunks(embedder: MiniLm) -> None:
    chunks = [Chunk(f"p-{n:04}", f"page {n} of the dinner {n * n}", {}) for n in range(200)]
    store = build(chunks, embedder, "vector")
    assert store.vectors is not None
    query = embedder.embed(["the dinner"])[0]
    brute = sorted(range(200), key=lambda n: (-round(float(np.dot(store.vectors[n], query)), 6), n))[:20]
    assert _ids(store, "the dinner", 20) == [f"p-{n:04}" for n in brute]


@pytest.mark.parametrize("left", ["chunks-0123456789abcdef.json", ".vectors-0123456789abcdef.npy.77.unfinished"])
def test_an_indexing_that_was_killed_is_begun_again_in_the_same_folder(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_bytes(b"[")
    build(CHUNKS, None, "bm25").save(tmp_path)
    assert open_index(tmp_path, None).query("dinner", 1)
    assert not (tmp_path / left).exists()


def test_another_program_s_manifest_and_files_of_like_names_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a web application"}')
    (tmp_path / "chunks-of-mine.json").write_text("mine")
    with pytest.raises(StoreError, match="is no index's manifest: give a folder of its own"):
        build(CHUNKS, None, "bm25").save(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == '{"name": "a web application"}'
    build(CHUNKS, None, "bm25").save(tmp_path / "index")
    (tmp_path / "index" / "chunks-of-mine.json").write_text("mine")
    build(CHUNKS[:2], None, "bm25").save(tmp_path / "index")
    assert (tmp_path / "index" / "chunks-of-mine.json").read_text() == "mine"


def test_two_that_index_into_one_folder_leave_one_whole_index(tmp_path: Path) -> None:
    stores = [build([Chunk(f"p{n}", f"dinner {n}", {})], None, "bm25") for n in range(8)]
    with ThreadPoolExecutor(len(stores)) as pool:
        for _ in range(10):
            list(pool.map(lambda store: store.save(tmp_path / "index"), stores))
            assert open_index(tmp_path / "index", None).query("dinner", 1)


def test_an_index_for_other_constants_than_this_program_s_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("trainer.retrieval.bm25.K1", 9.0)
        build(CHUNKS, None, "bm25").save(tmp_path)
    with pytest.raises(MismatchError, match=r"'k1': '9.0'.* this program searches .*'k1': '1.2'"):
        open_index(tmp_path, None)
