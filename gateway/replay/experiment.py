"""Many replays at once: policies, lower bounds and hindsight plans, each a task of its own, in parallel processes.

Workers are spawned (not forked: a progress bar runs a thread) and get the requests once. What comes back is binned and
summed; the record of a million requests stays where it was made.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.economics.prices import AmortizedCost, PerTokenCost, WindowCost
from gateway.policy.schema import Policy
from gateway.replay.bound import Bound, lower_bound
from gateway.replay.hindsight import NoPlanError, hindsight
from gateway.replay.requests import Requests
from gateway.replay.results import Result, result
from gateway.replay.run import Run
from gateway.replay.setting import Setting
from gateway.replay.timeline import Timeline, timeline
from gateway.replay.world import simulate

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

Kind: TypeAlias = Literal["policy", "bound", "hindsight"]
Progress: TypeAlias = Callable[[int, float], None]
"""(task, share of it done)."""
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    """As tables show it."""
    policy: Policy
    requests: int
    """Index into the lists of requests."""
    kind: Kind = "policy"
    strategy: str | None = None
    """In place of the policy's own."""
    error_budget: float = 0.01
    """For a plan in hindsight: the share of bad requests it must keep to."""
    learning: bool = False
    """For a policy: the router is shown what a gateway would have learned, not the backends' true state."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task gives; what its kind has not is None."""

    result: Result | None = None
    timeline: Timeline | None = None
    bound: Bound | None = None
    kept: bool | None = None
    """Of a plan in hindsight: whether it kept to the budget."""
    note: str | None = None
    """Why there is nothing."""


def perform(
    tasks: Sequence[Task], requests: Sequence[Requests], jobs: int = 1, progress: Progress | None = None
) -> list[Outcome]:
    """The outcome of each task, in their order. `jobs` processes at once; 1: all in this one."""
    if jobs <= 1 or len(tasks) <= 1:
        return [_perform(task, requests, _shown(progress, number)) for number, task in enumerate(tasks)]
    context = multiprocessing.get_context("spawn")
    news: Queue[tuple[int, float]] = context.Queue()
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)), mp_context=context, initializer=_begin, initargs=(list(requests), news)
    )
    try:
        futures = [pool.submit(_work, number, task) for number, task in enumerate(tasks)]
        pending: set[Future[Outcome]] = set(futures)
        while pending:
            _, pending = wait(pending, POLL_SECONDS, FIRST_COMPLETED)
            _tell(news, progress)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# -- in a worker ------------------------------------------------------------------------------------------------------

_requests: Sequence[Requests] = ()
_news: Queue[tuple[int, float]] | None = None


def _begin(requests: Sequence[Requests], news: Queue[tuple[int, float]]) -> None:
    global _requests, _news  # a worker's own: the requests would otherwise travel with every task
    _requests, _news = requests, news
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the workers without a word: the parent speaks


def _work(number: int, task: Task) -> Outcome:
    def tell(share: float) -> None:
        if _news is not None:
            _news.put((number, share))

    return _perform(task, _requests, tell)


def _perform(task: Task, requests: Sequence[Requests], progress: Callable[[float], None] | None) -> Outcome:
    setting = Setting.of(task.policy)
    mine = requests[task.requests]
    match task.kind:
        case "bound":
            return Outcome(bound=lower_bound(mine, setting, progress))
        case "hindsight":
            try:
                plan = hindsight(mine, setting, bad_share=task.error_budget, progress=progress)
            except NoPlanError as error:
                return Outcome(note=str(error))
            return _outcome(plan.run, setting, plan.kept)
        case "policy":
            router = setting.router(**({"strategy": task.strategy} if task.strategy else {}))
            run = simulate(mine, router, setting, name=task.name, learning=task.learning, progress=progress)
            return _outcome(run, setting, None)


def _outcome(run: Run, setting: Setting, kept: bool | None) -> Outcome:
    box = next(((place.name, place.speed) for place in setting.places if isinstance(place.cost, AmortizedCost)), None)
    return Outcome(result(run, capacity(setting)), timeline(run, box), kept=kept)


def capacity(setting: Setting) -> dict[str, float]:
    """Output tokens/s with its batch full, of each backend that is paid by time; of one copy of an imported model."""
    found = {}
    for place in setting.places:
        if not isinstance(place.cost, PerTokenCost):
            streams = place.speed.batch
            if isinstance(place.cost, WindowCost):
                streams = min(streams, place.cost.concurrency_per_copy)
            found[place.name] = streams / place.speed.step(streams)
    return found


def _shown(progress: Progress | None, number: int) -> Callable[[float], None] | None:
    return None if progress is None else lambda share: progress(number, share)


def _tell(news: Queue[tuple[int, float]], progress: Progress | None) -> None:
    while True:
        try:
            number, share = news.get_nowait()
        except Empty:
            return
        if progress is not None:
            progress(number, share)
