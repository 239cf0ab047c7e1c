"""The demo's traffic: recorded arrivals, thinned, and the same in every run."""

import json
from pathlib import Path

from gateway.demo.traffic import DATA, arrivals, plan, questions


def test_arrivals_are_the_recorded_ones_in_order() -> None:
    times = arrivals()
    assert len(times) > 1000
    assert times == sorted(times)
    assert times[0] == 0.0
    assert "CC-BY-4.0" in (DATA / "DATA.md").read_text()


def test_a_plan_keeps_about_the_rate_that_was_asked_for_and_only_recorded_moments() -> None:
    times = arrivals()
    for rate in (0.5, 1.6, 3.0):
        planned = plan(times, 60.0, rate)
        assert abs(len(planned) - 60 * rate) <= 2
        assert {p.at_seconds for p in planned} <= set(times)
        assert all(p.at_seconds < 60 for p in planned)


def test_a_plan_is_the_same_every_time_and_mixes_models_and_forms() -> None:
    planned = plan(arrivals(), 60.0, 1.6)
    assert planned == plan(arrivals(), 60.0, 1.6)
    tuned = sum(p.question.alias == "tuned" for p in planned) / len(planned)
    assert 0.55 < tuned < 0.65
    assert {p.stream for p in planned} == {True, False}


def test_more_is_never_planned_than_was_recorded() -> None:
    recorded = sum(time < 30 for time in arrivals())
    assert len(plan(arrivals(), 30.0, 1000.0)) == recorded


def test_every_section_that_the_training_data_names_is_in_the_handbook() -> None:
    handbook = (DATA / "handbook.md").read_text()
    data = Path(__file__).parents[2] / "trainer" / "data" / "handbook_chat.jsonl"
    for line in data.read_text().splitlines():
        answer = json.loads(line)["messages"][-1]["content"]
        section = answer.rpartition("(Handbook ")[2].rstrip(")")
        assert f"**{section} " in handbook, answer


def test_no_question_of_the_demo_is_in_the_training_data() -> None:
    data = (Path(__file__).parents[2] / "trainer" / "data" / "handbook_chat.jsonl").read_text()
    assert [text for text in questions()["tuned"] if f'"{text}"' in data] == []
