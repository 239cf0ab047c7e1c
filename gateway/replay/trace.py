"""A trace: when each request came and how long its prompt and its answer were; from a csv file or from our own ledger.

csv (also .csv.gz) with a header; the columns `arrival_s` (seconds from any start), `in_tokens`, `out_tokens` must be
there, `alias` (which model name was asked for) may be; others are ignored.
"""

from __future__ import annotations

import csv
import gzip
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("arrival_s", "in_tokens", "out_tokens")
SQLITE_MAGIC = b"SQLite format 3\x00"
GZIP_MAGIC = b"\x1f\x8b"


class TraceError(ValueError):
    """The file cannot be read as a trace; the message names the file, the line, the value and the mend."""


@dataclass(frozen=True)
class Trace:
    """Arrays of one entry a request, (n,), in order of arrival."""

    source: str
    """The file's name."""
    arrival_s: NDArray[np.float64]
    in_tokens: NDArray[np.float64]
    out_tokens: NDArray[np.float64]
    alias: NDArray[np.int16] | None = None
    """Index into `aliases`; None: the trace names none."""
    aliases: tuple[str, ...] = ()
    skipped: int = 0
    """Operations of a ledger that say nothing of the traffic to serve: no usage known, or not a generation."""

    def __len__(self) -> int:
        return len(self.arrival_s)


def read_trace(path: str | Path) -> Trace:
    """By what the file is, not by its name: a ledger (SQLite), gzip, or csv. Raises TraceError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE_MAGIC))
        if start == SQLITE_MAGIC:
            return _from_ledger(path)
        return _from_csv(path, compressed=start.startswith(GZIP_MAGIC))
    except (OSError, EOFError) as error:
        raise TraceError(f"{path}: cannot be read: {_reason(error)}: check the path and the file") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: is not text: give a csv with the columns {', '.join(COLUMNS)}") from None


# -- csv --------------------------------------------------------------------------------------------------------------


def _from_csv(path: Path, *, compressed: bool) -> Trace:
    with _open(path, compressed) as file:
        header = [name.strip() for name in next(csv.reader(file), [])]
        places = _places(path, header)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "no data": said below, in the file's terms
                table = np.loadtxt(file, delimiter=",", usecols=places, comments=None, quotechar='"', ndmin=2)
        except ValueError:
            table = None
    if table is None or not np.isfinite(table).all() or (table < 0).any():
        with _open(path, compressed) as file:
            raise _first_wrong(path, file, places)
    if not len(table):
        raise TraceError(f"{path}: has a header and no request: export again")
    names = None
    if "alias" in header:
        with _open(path, compressed) as file:
            names = _aliases(path, file, header.index("alias"))
    return _trace(str(path), table, names)


def _open(path: Path, compressed: bool) -> TextIO:
    if compressed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _places(path: Path, header: Sequence[str]) -> tuple[int, ...]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise TraceError(
            f"{path}, line 1: the header is {','.join(header)[:80]!r}, without {', '.join(missing)}: "
            f"name the columns {', '.join(COLUMNS)}"
        )
    return tuple(header.index(name) for name in COLUMNS)


def _rows(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields), without the header and blank lines."""
    reader = csv.reader(file)
    next(reader, None)
    for row in reader:
        if row:
            yield reader.line_num, row


def _first_wrong(path: Path, file: TextIO, places: Sequence[int]) -> TraceError:
    for line, row in _rows(file):
        for name, place in zip(COLUMNS, places, strict=True):
            if place >= len(row):
                return TraceError(f"{path}, line {line}: has {len(row)} fields, {name} is number {place + 1}: add it")
            try:
                value = float(row[place])
            except ValueError:
                return TraceError(f"{path}, line {line}: {name} is {row[place][:40]!r}: write a number")
            if not isfinite(value) or value < 0:
                return TraceError(f"{path}, line {line}: {name} is {row[place][:40]}: it must be finite and at least 0")
    return TraceError(f"{path}: cannot be read as csv: write it again with one request a line")


def _aliases(path: Path, file: TextIO, place: int) -> list[str]:
    names = []
    for line, row in _rows(file):
        name = row[place].strip() if place < len(row) else ""
        if not name:
            raise TraceError(f"{path}, line {line}: alias is empty: name one, or leave the whole column out")
        names.append(name)
    return names


# -- the gateway's own ledger -----------------------------------------------------------------------------------------


def _from_ledger(path: Path) -> Trace:
    """Generations whose tokens are known. Embeddings, and what was refused or failed before any usage, are skipped."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (all_of_them,) = connection.execute("SELECT count(*) FROM operations").fetchone()
            rows = connection.execute(
                "SELECT started_at, input_tokens, output_tokens, alias FROM operations "
                "WHERE operation != 'embeddings' AND certainty != 'missing' AND input_tokens + output_tokens > 0 "
                "ORDER BY started_at, id"
            ).fetchall()
    except sqlite3.Error as error:
        raise TraceError(f"{path}: is not a ledger of this gateway ({error}): give the file of `ledger.path`") from None
    if not rows:
        raise TraceError(f"{path}: none of its {all_of_them} operations has known usage: serve some traffic first")
    table = np.array([row[:3] for row in rows], float)
    table[:, 0] -= table[0, 0]
    return _trace(str(path), table, [row[3] for row in rows], skipped=all_of_them - len(rows))


def _trace(source: str, table: NDArray[np.float64], names: list[str] | None, skipped: int = 0) -> Trace:
    order = np.argsort(table[:, 0], kind="stable")
    arrival, in_tokens, out_tokens = (np.ascontiguousarray(column) for column in table[order].T)
    if names is None:
        return Trace(source, arrival, in_tokens, out_tokens, skipped=skipped)
    known = {name: index for index, name in enumerate(dict.fromkeys(names))}
    alias = np.array([known[name] for name in names], np.int16)[order]
    return Trace(source, arrival, in_tokens, out_tokens, alias, tuple(known), skipped)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
