"""The page's files: a list, read once at the start. What is not on the list is not there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "static"
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class File(msgspec.Struct, frozen=True):
    """`etag` is strong: equal tags are equal bytes."""

    body: bytes
    kind: str
    etag: str

    def is_what(self, if_none_match: str | None) -> bool:
        """The caller's copy, by its If-None-Match header, is this one."""
        if if_none_match is None:
            return False
        known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        return "*" in known or self.etag in known


def read_files(folder: Path = FOLDER) -> Mapping[str, File]:
    """By path under `folder`, '/' between. Raises OSError when one cannot be read."""
    return {
        path.relative_to(folder).as_posix(): _file(path.read_bytes(), path.suffix)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in KINDS
    }


def _file(body: bytes, suffix: str) -> File:
    return File(body, KINDS[suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


MESSAGE = re.compile(rb"<!-- message -->")


def with_message(page: File, message: str) -> bytes:
    """The login page with what went wrong; `message` is one of ours and never what somebody sent."""
    told = f'<p class="login-error" id="login-error" role="alert">{message}</p>'.encode()
    return MESSAGE.sub(lambda _: told, page.body)
