"""Names of requests."""

from gateway.server.ids import new_id


def test_no_two_are_alike_and_all_sort_by_time() -> None:
    ids = [new_id() for _ in range(70_000)]
    assert len(set(ids)) == len(ids)
    assert {len(one) for one in ids} == {23}
    assert [one[:11] for one in ids] == sorted(one[:11] for one in ids)
