"""Placing text on a chart so that nothing overlaps. Coordinates are SVG's: y grows downwards; units are its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

Point = tuple[float, float]

CLASH = 1e6
"""The cost of touching something: more than any sum of the costs of merely standing badly."""
BEAM = 24
"""How many of the best partial placings are carried on to the next label."""


@dataclass(frozen=True, slots=True)
class Rect:
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Rect) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, point: Point) -> bool:
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom

    def grown(self, by: float) -> Rect:
        return Rect(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def nearest(self, point: Point) -> Point:
        """The point of this rectangle nearest to `point`."""
        return min(max(point[0], self.left), self.right), min(max(point[1], self.top), self.bottom)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """An upper estimate: a reader's font is not known here, so the widths are those of a wide one (DejaVu Sans)."""

    def em(character: str) -> float:
        if character in " .,:;'|!()/ijlftr":
            return 0.41
        if character in "mwMW%@" or ord(character) >= 0x2E80:
            return 1.0
        return 0.76 if character.isupper() else 0.64

    return size * sum(em(character) for character in text) * (1.1 if bold else 1.0)


def wrap(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """Lines of whole words no wider than `width`; a longer word has a line to itself."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size, bold) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def shorten(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text itself, or its start and an ellipsis where it is wider than `width`."""
    kept = len(text)
    while kept > 1 and text_width(text[:kept] + "…" * (kept < len(text)), size, bold) > width:
        kept -= 1
    return text if kept == len(text) else text[:kept].rstrip() + "…"


def spread(centers: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """New centers, in the same order down the page, nearest to the old ones with no two heights overlapping.

    Kept within low..high as long as the heights fit there at all; otherwise they run over `high`.
    """
    clusters: list[tuple[list[int], float]] = []  # members from top to bottom, and the top edge of the first
    for index in sorted(range(len(centers)), key=lambda one: (centers[one], one)):
        members, top = [index], centers[index] - heights[index] / 2
        while True:
            extent = sum(heights[one] for one in members)
            top = max(low, min(top, high - extent))
            if not clusters or clusters[-1][1] + sum(heights[one] for one in clusters[-1][0]) <= top:
                break
            members = clusters.pop()[0] + members
            above, tops = 0.0, []
            for one in members:  # where the cluster's top would be if this member stood at its own place
                tops.append(centers[one] - heights[one] / 2 - above)
                above += heights[one]
            top = sum(tops) / len(tops)
        clusters.append((members, top))
    placed = [0.0] * len(centers)
    for members, top in clusters:
        for index in members:
            placed[index] = top + heights[index] / 2
            top += heights[index]
    return placed


def beside(
    dots: Sequence[Point], sizes: Sequence[tuple[float, float]], curves: Sequence[Point], bounds: Rect, gap: float
) -> list[Rect]:
    """A rectangle of each size (width, height) near its dot: off the other labels, every dot, and the edges.

    Of the free places the ones that cover the fewest points of `curves`, lie nearest and seem no other dot's win: the
    smallest total that a beam search over the labels, from left to right, comes upon. The same input always gives the
    same places.
    """
    order = sorted(range(len(dots)), key=lambda index: dots[index])
    places = [_places(dot, size, dots, curves, bounds, gap) for dot, size in zip(dots, sizes, strict=True)]
    clash = cache(partial(_clashes, gap=gap))
    beam: list[tuple[float, tuple[Rect, ...]]] = [(0.0, ())]
    for turn, index in enumerate(order):
        longer = []
        for total, chosen in beam:
            others = [(dots[order[k]], chosen[k]) for k in range(turn)]
            for alone, place in places[index]:
                touched = sum(clash(place, dots[index], other, theirs) for theirs, other in others)
                longer.append((total + alone + CLASH * touched, (*chosen, place)))
        beam = sorted(longer, key=lambda one: one[0])[:BEAM]
    chosen = beam[0][1]
    return [chosen[order.index(index)] for index in range(len(dots))]


def _places(
    dot: Point,
    size: tuple[float, float],
    dots: Sequence[Point],
    curves: Sequence[Point],
    bounds: Rect,
    gap: float,
) -> list[tuple[float, Rect]]:
    """Rings of places around a dot, each with what it costs when no other label is there."""
    near = [point for point in curves if math.dist(point, dot) < 10 * gap + sum(size)]
    away = [point for point in dots if point != dot]
    places = []
    for ring in range(8):
        for step in range(20):
            angle = math.tau * step / 20 - math.pi / 4  # the first place: above, to the right
            x = dot[0] + math.cos(angle) * (gap * (1 + ring) + size[0] / 2)
            y = dot[1] + math.sin(angle) * (gap * (1 + ring) + size[1] / 2)
            place = Rect(x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2)
            leader = along(dot, place.nearest(dot))
            outside = not (bounds.holds((place.left, place.top)) and bounds.holds((place.right, place.bottom)))
            touched = sum(place.grown(gap * 0.8).holds(point) for point in (*away, dot))
            touched += sum(min(math.dist(point, one) for one in leader) < gap * 0.7 for point in away)
            far = math.dist(dot, place.nearest(dot))
            strange = any(math.dist(point, place.nearest(point)) < 1.1 * far for point in away)
            covered = sum(place.holds(point) for point in near)
            cost = CLASH * (2 * outside + touched) + 2.0 * covered + 2.0 * far / gap + 25.0 * strange
            places.append((cost, place))
    return places


def _clashes(place: Rect, dot: Point, other: Rect, theirs: Point, *, gap: float) -> int:
    """How often two labels, with their leaders (the lines to their dots), would touch each other."""
    leader, line = (dot, place.nearest(dot)), (theirs, other.nearest(theirs))
    found = int(place.grown(gap / 3).overlaps(other)) + int(_cross(leader, line))
    found += any(other.grown(gap / 3).holds(point) for point in along(*leader))
    return found + any(place.grown(gap / 3).holds(point) for point in along(*line))


def along(start: Point, end: Point) -> list[Point]:
    """Points every 4 units or so of a segment, both ends included."""
    steps = max(1, round(math.dist(start, end) / 4))
    across, down = (end[0] - start[0]) / steps, (end[1] - start[1]) / steps
    return [(start[0] + across * k, start[1] + down * k) for k in range(steps + 1)]


def _cross(one: tuple[Point, Point], two: tuple[Point, Point]) -> bool:
    def side(line: tuple[Point, Point], point: Point) -> float:
        (ax, ay), (bx, by) = line
        return (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)

    return side(one, two[0]) * side(one, two[1]) < 0 and side(two, one[0]) * side(two, one[1]) < 0
