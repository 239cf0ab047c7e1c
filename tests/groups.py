"""Modules marked `xdist_group` run in one worker each: they share something dear, such as a browser.

pytest-xdist 3.8 tells groups by a suffix that it writes into each test's id, which pytest 9.2 does not let it do any
more: without a word every test goes its own way, and what a module makes once is made in every worker. Here the group
is read off the module itself.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadGroupScheduling

_GROUP = re.compile(r'xdist_group\("([^"]+)"\)')
_ROOT = Path(__file__).parents[1]


class ByGroup(LoadGroupScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.partition("::")[0]) or nodeid


@cache
def group_of(module: str) -> str | None:
    """`module`: its path from the root. None: its tests go where there is room."""
    found = _GROUP.search((_ROOT / module).read_text())
    return None if found is None else found[1]
