"""Transitions between generations, a canary's exact share, and which generation lags. Pure."""

from __future__ import annotations

from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.deployment import (
    Canary,
    Deployment,
    DeploymentError,
    Served,
    Split,
    Standing,
    canaried,
    lags,
    newest,
    promoted,
    published,
    rolled_back,
)

BASE = Served("base", None)
ONE, TWO, THREE = (Served(f"handbook@v000{n}", f"handbook@v000{n}") for n in (1, 2, 3))
SHARES = st.one_of(
    st.floats(1e-6, 1 - 1e-6), st.integers(1, 99).map(lambda n: n / 100), st.sampled_from([0.1, 0.3, 1 / 3, 0.999])
)


@given(share=SHARES, requests=st.integers(0, 3000))
def test_after_any_number_of_requests_the_canary_had_its_share_to_the_request(share: float, requests: int) -> None:
    split = Split(share)
    met = 0
    for count in range(1, requests + 1):
        met += split.canary()
        assert floor(share * count - 1e-9) <= met <= ceil(share * count + 1e-9)


def test_a_tenth_is_every_tenth() -> None:
    split = Split(0.1)
    assert [number for number in range(1, 41) if split.canary()] == [10, 20, 30, 40]


def test_publishing_keeps_what_was_live_for_a_rollback() -> None:
    after = published(Deployment(ONE), TWO, 5.0, 1)
    assert after == Deployment(TWO, ONE, None, 5.0, 1)
    assert published(after, TWO, 9.0, 2) == after, "said twice, it changes nothing"
    assert rolled_back(after, 9.0, 2) == Deployment(ONE, None, None, 9.0, 2)


def test_a_second_rollback_does_not_bring_the_bad_one_back() -> None:
    back = rolled_back(published(Deployment(ONE), TWO, 5.0, 1), 9.0, 2)
    with pytest.raises(DeploymentError, match="publish the version"):
        rolled_back(back, 10.0, 3)


def test_a_canary_is_grown_promoted_or_ended() -> None:
    small = canaried(Deployment(ONE), TWO, 0.1, 5.0)
    assert small.canary == Canary(TWO, 0.1)
    assert small.live == ONE
    assert canaried(small, TWO, 0.5, 6.0).canary == Canary(TWO, 0.5)
    assert promoted(small, 7.0, 1) == Deployment(TWO, ONE, None, 7.0, 1)
    assert published(small, TWO, 7.0, 1) == promoted(small, 7.0, 1)
    assert rolled_back(small, 7.0, 1) == Deployment(ONE, None, None, 7.0)


def test_a_canary_alone_makes_no_generation_the_newest() -> None:
    assert canaried(Deployment(ONE), TWO, 0.1, 5.0).turn == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda d: canaried(d, THREE, 0.1, 1.0), "promote it or roll it back"),
        (lambda d: published(d, THREE, 1.0, 1), "promote it or roll it back"),
        (lambda d: published(d, ONE, 1.0, 1), "roll back to end the canary"),
        (lambda d: canaried(d, ONE, 0.1, 1.0), "live already"),
        (lambda d: canaried(d, TWO, 1.0, 1.0), "less than 1"),
        (lambda d: promoted(Deployment(ONE), 1.0, 1), "no canary"),
        (lambda d: published(Deployment(ONE), Served(ONE.model, "handbook@v0009"), 1.0, 1), "immutable"),
        (lambda d: published(Deployment(ONE), Served("other", ONE.generation), 1.0, 1), "immutable"),
    ],
)
def test_a_transition_that_makes_no_sense_is_refused_with_the_mend(wrong: object, said: str) -> None:
    with pytest.raises(DeploymentError, match=said):
        wrong(canaried(Deployment(ONE), TWO, 0.1, 5.0))  # type: ignore[operator]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.integers(1, 4)), st.tuples(st.just("canary"), st.integers(1, 4)),
            st.just(("promote", 0)), st.just(("rollback", 0)),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_whatever_is_done_shares_add_up_and_names_are_told_apart(steps: list[tuple[str, int]]) -> None:
    deployment = Deployment(BASE)
    for turn, (step, number) in enumerate(steps, start=1):
        served = Served(f"h@v{number}", f"h@v{number}")
        try:
            match step:
                case "publish":
                    deployment = published(deployment, served, turn, turn)
                case "canary":
                    deployment = canaried(deployment, served, 0.25, turn)
                case "promote":
                    deployment = promoted(deployment, turn, turn)
                case _:
                    deployment = rolled_back(deployment, turn, turn)
        except DeploymentError:
            continue
        shares = deployment.shares()
        assert sum(shares.values()) == pytest.approx(1.0)
        assert deployment.previous != deployment.live
        assert len(deployment.all) <= 3
        assert shares[deployment.live] > 0


def test_what_was_made_live_last_is_the_newest_whatever_its_number() -> None:
    rolled_back_box = Standing("handbook@v0001", False, turn=3)
    assert newest([rolled_back_box, Standing("handbook@v0002", False, turn=2)]) == "handbook@v0001"


def test_without_any_publication_the_policy_tells() -> None:
    assert newest([Standing("v2", False), Standing("v1", True), Standing(None, False)]) == "v2"
    assert newest([Standing("v2", True), Standing("v1", True)]) is None
    assert newest([]) is None


def test_a_target_lags_unless_it_may_or_has_no_generation() -> None:
    said = lags(Standing("handbook@v0001", False), "handbook@v0002")
    assert said is not None
    assert "handbook@v0001" in said
    assert "handbook@v0002" in said
    assert lags(Standing("handbook@v0001", True), "handbook@v0002") is None
    assert lags(Standing("handbook@v0002", False), "handbook@v0002") is None
    assert lags(Standing(None, False), "handbook@v0002") is None
    assert lags(Standing("handbook@v0001", False), None) is None


def test_what_may_lag_leads_nobody_unless_all_may() -> None:
    box = Standing("handbook@v0001", False)
    assert newest([box, Standing("handbook@v0003", True, turn=3)]) == "handbook@v0001"
    assert newest([Standing("v1", True, turn=1), Standing("v2", True, turn=2)]) == "v2"


def test_a_rollback_that_expects_another_generation_takes_nothing_back() -> None:
    live = Deployment(TWO, ONE, None, 5.0, 1)
    beside = canaried(live, THREE, 0.1, 6.0)
    assert rolled_back(beside, 7.0, 2, THREE.generation).canary is None
    with pytest.raises(DeploymentError, match="look at what serves"):
        rolled_back(live, 8.0, 2, THREE.generation)
    with pytest.raises(DeploymentError, match="handbook@v0003 back"):
        rolled_back(beside, 8.0, 2, TWO.generation)


def test_a_name_that_still_answers_requests_keeps_its_generation() -> None:
    other = Served(THREE.model, "handbook@v0009")
    with pytest.raises(DeploymentError, match="immutable"):
        published(Deployment(ONE), other, 1.0, 1, draining=[THREE])
    with pytest.raises(DeploymentError, match="immutable"):
        canaried(Deployment(ONE), other, 0.1, 1.0, draining=[THREE])
