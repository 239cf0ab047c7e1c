"""Three verdicts out of seven rungs: a wall makes a no, and what was not asked never makes a yes."""

from __future__ import annotations

from trainer.preflight.ladder import verdicts
from trainer.preflight.resolve import LAYER_LAGS
from trainer.preflight.rung import Report, Rung, Wall

GOOD = [Rung(name, "passed", "fine") for name in ("resolve", "import", "config", "tiny model", "kernel", "servable")]


def answers(rungs: list[Rung]) -> dict[str, str]:
    return {verdict.name: verdict.answer for verdict in verdicts(rungs)}


def replaced(rung: Rung) -> list[Rung]:
    return [rung if each.name == rung.name else each for each in GOOD]


def wall(name: str, package: str = "torchao 0.13.0") -> Wall:
    return Wall(name, (package,), "It breaks.", "Error: it broke", "remove it")


def test_all_rungs_passed() -> None:
    assert answers(GOOD) == {"servable": "yes", "trainable": "yes", "exportable": "not asked"}


def test_a_wall_and_its_mend_are_the_reason() -> None:
    verdict = next(
        v for v in verdicts(replaced(Rung("import", "failed", "", 0, (wall("x"),)))) if v.name == "trainable"
    )
    assert (verdict.answer, verdict.why) == ("no", "It breaks. Mend: remove it")


def test_a_rung_that_was_not_climbed_makes_no_yes() -> None:
    assert answers(replaced(Rung("tiny model", "not asked", "peft does not import")))["trainable"] == "not asked"
    assert answers(replaced(Rung("servable", "not asked", "no vLLM")))["servable"] == "not asked"


def test_without_an_index_the_rungs_that_were_climbed_still_prove_it() -> None:
    assert answers(replaced(Rung("resolve", "not asked", "no index")))["trainable"] == "yes"


def test_a_layer_above_that_lags_does_not_stop_this_trainer_but_fails_the_question() -> None:
    rungs = replaced(Rung("resolve", "failed", "", 0, (wall(LAYER_LAGS, "unsloth 2026.10.7"),)))
    trainable = next(verdict for verdict in verdicts(rungs) if verdict.name == "trainable")
    assert trainable.answer == "yes"
    assert "unsloth 2026.10.7" in trainable.why
    assert not Report({}, tuple(rungs), verdicts(rungs), 1.0).good


def test_only_what_is_required_decides() -> None:
    rungs = [*GOOD, Rung("exportable", "failed", "", 0, (wall("rope-theta"),))]
    assert Report({}, tuple(rungs), verdicts(rungs), 1.0).good
    assert not Report({}, tuple(rungs), verdicts(rungs), 1.0, ("trainable", "exportable")).good
