"""Two judges: published tables, the paradox that AC1 was made for, and what could not be judged."""

from __future__ import annotations

import pytest

from trainer.gate.statistics import agreement


def judgements(both, only_first, only_second, neither):
    first = ["accept"] * (both + only_first) + ["reject"] * (only_second + neither)
    second = ["accept"] * both + ["reject"] * only_first + ["accept"] * only_second + ["reject"] * neither
    return first, second


@pytest.mark.parametrize(
    ("table", "raw", "kappa", "ac1"),
    [
        # Feinstein and Cicchetti 1990: 85 % agree in both tables, and kappa makes one good and one poor.
        ((40, 9, 6, 45), 0.85, 0.70, None),
        ((80, 10, 5, 5), 0.85, 0.32, None),
        # Gwet 2008, 125 subjects: kappa below nothing where 94 % agree.
        ((118, 5, 2, 0), 0.944, -0.0234, 0.9408),
        # Two surgeons, 200 images (a review of AC1 for orthopaedics, PMC7222679).
        ((130, 56, 9, 5), 0.675, 0.022, None),
    ],
)
def test_published_tables(table, raw, kappa, ac1):
    found = agreement(*judgements(*table))
    assert found.n == sum(table)
    assert found.raw == pytest.approx(raw)
    assert found.kappa == pytest.approx(kappa, abs=0.006)
    if ac1 is not None:
        assert found.ac1 == pytest.approx(ac1, abs=5e-5)


def test_agreement_by_class_shows_where_the_paradox_sits():
    # Cicchetti and Feinstein 1990, on the poor table: the judges share nearly all accepts, and few rejects.
    found = agreement(*judgements(80, 10, 5, 5))
    assert found.per_class["accept"] == pytest.approx(160 / 175)
    assert found.per_class["reject"] == pytest.approx(10 / 25)


def test_what_one_could_not_judge_is_in_no_figure_but_its_own():
    first, second = judgements(10, 2, 1, 7)
    found = agreement([*first, "unjudged", "accept", "unjudged"], [*second, "reject", "unjudged", "unjudged"])
    assert found.n == 20
    assert (found.unjudged, found.unjudged_by_first, found.unjudged_by_second) == (3, 2, 2)
    bare = agreement(first, second)
    assert (found.raw, found.kappa, found.ac1) == (bare.raw, bare.kappa, bare.ac1)


@pytest.mark.parametrize("judged", [[], ["unjudged"] * 5])
def test_nothing_judged_gives_no_figure(judged):
    found = agreement(judged, judged)
    assert (found.n, found.unjudged) == (0, len(judged))
    assert found.raw is found.kappa is found.ac1 is None
    assert found.per_class == {"accept": None, "reject": None}


@pytest.mark.parametrize("outcome", ["accept", "reject"])
def test_one_class_only_has_no_kappa_and_an_ac1_of_one(outcome):
    found = agreement([outcome] * 30, [outcome] * 30)
    assert found.kappa is None
    assert found.raw == found.ac1 == 1.0


def test_judges_that_always_differ_agree_less_than_chance():
    found = agreement(["accept", "reject"] * 10, ["reject", "accept"] * 10)
    assert found.raw == 0
    assert found.kappa == pytest.approx(-1)
    assert found.ac1 == pytest.approx(-1)


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 and 1 judgements"):
        agreement(["accept", "accept"], ["accept"])
