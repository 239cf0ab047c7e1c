"""The pure state machine, without a server and without waiting."""

from __future__ import annotations

from gateway.sandbox.bedrock.imported import ImportedModel, Limits, Refused


def machine(**changes: int) -> ImportedModel:
    limits = {"cold_start_ns": 60, "idle_ns": 300, "max_copies": 2, "concurrency_per_copy": 2}
    return ImportedModel(Limits(**(limits | changes)))


def test_the_first_call_starts_the_only_copy() -> None:
    model = machine()
    assert model.state(0) == "cold"
    assert model.admit(0) is Refused.NOT_READY
    assert model.admit(59) is Refused.NOT_READY
    assert model.state(59) == "restoring"
    assert model.next_ready_ns(59) == 60
    assert model.admit(60) == 1
    assert model.copies_started == 1


def test_a_restored_copy_that_nobody_called_goes_cold() -> None:
    model = machine()
    model.admit(0)
    assert model.state(359) == "warm"
    assert model.state(360) == "cold"


def test_idle_time_counts_from_the_last_served_call() -> None:
    model = machine(cold_start_ns=0)
    for arrival in (0, 200):
        number = model.admit(arrival)
        assert number == 1
        model.served(number, arrival)
        model.release(number)
    assert model.state(499) == "warm"
    assert model.state(500) == "cold"


def test_a_call_that_was_not_served_keeps_nothing_warm() -> None:
    model = machine(cold_start_ns=0)
    assert model.admit(0) == 1
    model.release(1)
    assert model.state(300) == "cold"


def test_a_copy_with_a_call_in_flight_stays() -> None:
    model = machine(cold_start_ns=0)
    assert model.admit(0) == 1
    model.served(1, 0)
    assert model.state(1000) == "warm"
    model.release(1)
    assert model.state(1000) == "cold"


def test_a_further_copy_starts_when_a_call_queues_one_at_a_time_up_to_the_maximum() -> None:
    model = machine()
    model.admit(0)
    assert [model.admit(60) for _ in range(2)] == [1, 1]
    assert [model.admit(61) for _ in range(3)] == [Refused.FULL] * 3
    assert model.copies_started == 2
    assert [model.admit(121) for _ in range(3)] == [2, 2, Refused.FULL]
    assert model.copies_started == 2


def test_the_lowest_copy_with_room_takes_the_call() -> None:
    model = machine(concurrency_per_copy=1)
    model.admit(0)
    model.admit(60)
    model.admit(61)
    assert model.admit(121) == 2
    model.release(1)
    model.release(2)
    assert model.admit(122) == 1


def test_a_model_that_went_cold_starts_a_new_copy() -> None:
    model = machine(cold_start_ns=0)
    assert model.admit(0) == 1
    model.served(1, 0)
    model.release(1)
    assert model.admit(300) == 2
