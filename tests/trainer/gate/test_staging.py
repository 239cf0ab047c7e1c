"""A version that nobody has judged is brought to where only the gate asks: never into applications' traffic."""

from __future__ import annotations

import asyncio

import pytest

from tests.trainer.publish.conftest import ONE, TWO, Start, bench
from trainer.gate.staging import stage, unstage
from trainer.publish.errors import PublishError

__all__ = ["bench"]


async def test_it_is_loaded_and_applications_go_on_with_what_was_live(bench: Start) -> None:
    async with bench(gated=False) as one:
        assert await asyncio.to_thread(stage, one.place, TWO, None, one.said.append)
        assert await one.loaded() == {ONE, TWO}
        assert await one.served.answered_by() == ONE
        assert not await asyncio.to_thread(stage, one.place, TWO, None, one.said.append), "it is there already"
        await asyncio.to_thread(unstage, one.place, TWO, None, one.said.append)
        assert await one.loaded() == {ONE}
        assert one.events(TWO) == [], "only a verdict is noted"


@pytest.mark.parametrize(
    ("alias", "said"), [("tuned", "what applications ask for"), ("candidate", "has no alias candidate")]
)
async def test_an_alias_of_the_gates_own_is_needed(bench: Start, alias: str, said: str) -> None:
    async with bench(gated=False) as one:
        with pytest.raises(PublishError, match=said):
            await asyncio.to_thread(stage, one.place, TWO, alias, one.said.append)
        assert await one.loaded() == {ONE}
        assert await one.served.answered_by() == ONE
