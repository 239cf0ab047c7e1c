"""uv's own words, as it printed them, become the pair that does not go together."""

from __future__ import annotations

from trainer.preflight.conflicts import Conflict, installed_conflicts, resolver_conflict, unreachable

PINNED = {"torch": "2.13.0", "transformers": "5.19.0", "peft": "0.21.2"}


def pair(found: Conflict | None) -> tuple[str, str, str]:
    assert found is not None
    return found.who, found.wants, found.has


def test_a_layer_above_that_pins_transformers() -> None:
    said = """error: No solution found when resolving dependencies
  cause: Because nemo-automodel>=0.7.0 depends on transformers==5.18.0 and transformers==5.19.0, we can conclude that nemo-automodel>=0.7.0 cannot be used.
         And because you require nemo-automodel==0.7.0, we can conclude that your requirements are unsatisfiable.
"""  # noqa: E501
    assert pair(resolver_conflict(said, PINNED)) == (
        "nemo-automodel 0.7.0", "transformers==5.18.0", "transformers 5.19.0 is here",
    )  # fmt: skip


def test_a_range_with_holes_is_told_by_its_ends() -> None:
    said = """error: No solution found when resolving dependencies
  cause: Because llamafactory>=0.9.5 depends on one of:
             transformers>=4.55.0,<4.57.0
             transformers>4.57.0,<=5.6.0
         and transformers==5.19.0, we can conclude that llamafactory>=0.9.5 cannot be used.
         And because you require llamafactory==0.9.5, we can conclude that your requirements are unsatisfiable.
"""
    assert pair(resolver_conflict(said, PINNED)) == (
        "llamafactory 0.9.5", "transformers>=4.55.0,<=5.6.0", "transformers 5.19.0 is here",
    )  # fmt: skip


def test_an_extra_is_part_of_the_name() -> None:
    said = """No solution found: Because litgpt[extra]>=0.5.13 depends on transformers>=4.51.3,<4.57 and
    transformers==5.19.0, we can conclude that litgpt[extra]>=0.5.13 cannot be used."""
    assert pair(resolver_conflict(said, PINNED))[:2] == ("litgpt[extra] 0.5.13", "transformers>=4.51.3,<4.57")


def test_another_python_is_a_conflict_too() -> None:
    said = """error: No solution found when resolving dependencies
  cause: Because the requested Python version (>=3.11) does not satisfy Python>=3.12 and axolotl==0.21.0 depends on Python>=3.12, we can conclude that axolotl==0.21.0 cannot be used.
"""  # noqa: E501
    assert pair(resolver_conflict(said, PINNED))[:2] == ("axolotl==0.21.0", "Python>=3.12")


def test_no_network_is_no_conflict() -> None:
    said = "error: Request failed\n  cause: Failed to fetch: `https://example.org/simple/trl/`\n  cause: dns error"
    assert unreachable(said)
    assert resolver_conflict(said, PINNED) is None


def test_installed_packages_that_disagree() -> None:
    said = """Checked 133 packages in 19ms
Found 2 incompatibilities
The package `peft` requires `transformers<5`, but `5.19.0` is installed
The package `xgrammar` requires `triton ; sys_platform == 'linux'`, but it's not installed
"""
    first, second = installed_conflicts(said)
    assert (first.who, first.wants, first.has) == ("peft", "transformers<5", "`5.19.0` is installed")
    assert second.has == "it's not installed"
