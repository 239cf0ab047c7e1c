"""A replay as the points of its chart: what is drawn of it, with its whiskers and the bound as a curve."""

from __future__ import annotations

from gateway.replay.comparison import Replayed
from gateway.replay.cost_plot import Point, Scatter
from gateway.replay.results import Result

BOUND_POINTS = 120


def scatter(replay: Replayed) -> Scatter:
    points = [_point(replay, one) for one in replay.results]
    if replay.hindsight is not None:
        best = replay.hindsight
        points.append(Point(best.policy, best.bad, best.usd_per_month, hollow=True))
    bound: list[tuple[float, float]] = []
    if replay.bound is not None:  # at every bad share, close together where the cube root spreads them
        shares = [(k / BOUND_POINTS) ** 3 for k in range(BOUND_POINTS + 1)]
        bound = [(share, replay.bound.usd_per_month(share)) for share in shares]
    whiskers = None
    if any(point.usd_low is not None for point in points):
        days = len(replay.results[0].daily.usd)
        whiskers = f"Whiskers: 95% interval of the difference from {replay.baseline}, paired over {days} days."
    return Scatter(replay.title, tuple(points), replay.error_budget, tuple(bound), whiskers)


def _point(replay: Replayed, one: Result) -> Point:
    compared = replay.comparison(one)
    if compared is None or compared.usd_interval is None:
        return Point(one.policy, one.bad, one.usd_per_month)
    # Around the point itself: the days that the interval is over may leave out a rest of the span.
    interval = compared.usd_interval
    low, high = (one.usd_per_month + end - interval.mean for end in (interval.low, interval.high))
    return Point(one.policy, one.bad, one.usd_per_month, max(low, 1e-9), high)
