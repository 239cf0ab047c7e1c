"""Traces: csv files as people write them, and the gateway's own ledger."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gateway.metering.ledger import Ledger
from gateway.metering.records import OperationRecord
from gateway.replay.trace import TraceError, read_trace


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


def test_columns_are_found_by_name_and_others_ignored(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "client,out_tokens,arrival_s,in_tokens\nanna,7,0.5,100\nbert,9,1.5,200\n"))
    assert trace.arrival_s.tolist() == [0.5, 1.5]
    assert (trace.in_tokens.tolist(), trace.out_tokens.tolist()) == ([100, 200], [7, 9])
    assert trace.alias is None


def test_a_compressed_file_is_known_by_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(gzip.compress(b"arrival_s,in_tokens,out_tokens\n1,2,3\n"))
    assert read_trace(path).out_tokens.tolist() == [3]


def test_requests_are_put_in_the_order_of_arrival(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "arrival_s,in_tokens,out_tokens,alias\n5,1,1,late\n2,2,2,early\n"))
    assert trace.in_tokens.tolist() == [2, 1]
    assert trace.alias is not None
    assert [trace.aliases[index] for index in trace.alias] == ["early", "late"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arrival_s,in_tokens\n1,2\n", "line 1: the header is 'arrival_s,in_tokens', without out_tokens"),
        ("1,2,3\n4,5,6\n", "line 1: the header is '1,2,3', without arrival_s, in_tokens, out_tokens"),
        ("", "line 1: the header is ''"),
        ("arrival_s,in_tokens,out_tokens\n1,2,3\n2,many,3\n", "line 3: in_tokens is 'many': write a number"),
        ("arrival_s,in_tokens,out_tokens\n1,2,3\n\n2,5,-3\n", "line 4: out_tokens is -3: it must be finite"),
        ("arrival_s,in_tokens,out_tokens\n1,2,nan\n", "line 2: out_tokens is nan"),
        ("arrival_s,in_tokens,out_tokens\n1,2,3\n4,5\n", "line 3: has 2 fields, out_tokens is number 3"),
        ("arrival_s,in_tokens,out_tokens\n", "has a header and no request"),
        ("arrival_s,in_tokens,out_tokens,alias\n1,2,3,a\n1,2,3,\n", "line 3: alias is empty"),
    ],
)
def test_an_error_names_the_file_the_line_and_the_value(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path / "none.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01" * 10)
    with pytest.raises(TraceError, match="is not text"):
        read_trace(binary)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"arrival_s,in_tokens,out_tokens\n1,2,3\n" * 50)[:40])
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(cut)


def operation(number: int, **changed: object) -> OperationRecord:
    fields: dict[str, object] = {
        "id": f"op-{number}", "key": "application", "alias": "tuned", "operation": "chat", "stream": True,
        "started_at": 1_700_000_000.0 + number, "outcome": "ok", "status": 200, "backend": "box",
        "reason": "cheapest_in_time", "attempts": 1, "input_tokens": 100 + number, "output_tokens": 10 + number,
        "certainty": "exact", "ttft_seconds": 0.5, "seconds": 2.0, "in_time": True,
    }  # fmt: skip
    return OperationRecord(**(fields | changed))  # type: ignore[arg-type]


def test_our_own_ledger_is_a_trace_and_what_says_nothing_of_the_traffic_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    for record in (
        operation(0),
        operation(1, alias="base"),
        operation(2, certainty="missing", input_tokens=0, output_tokens=0, outcome="upstream_error"),
        operation(3, operation="embeddings"),
        operation(4, certainty="estimated"),
    ):
        ledger.put(record)
    ledger.close()
    trace = read_trace(tmp_path / "ledger.sqlite3")
    assert trace.arrival_s.tolist() == [0, 1, 4]
    assert trace.out_tokens.tolist() == [10, 11, 14]
    assert trace.alias is not None
    assert [trace.aliases[index] for index in trace.alias] == ["tuned", "base", "tuned"]
    assert trace.skipped == 2


def test_a_ledger_without_traffic_is_said(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.sqlite3").close()
    with pytest.raises(TraceError, match="none of its 0 operations has known usage"):
        read_trace(tmp_path / "ledger.sqlite3")
