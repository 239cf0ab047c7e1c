"""Runs written down by hand, so that every figure of a report can be worked out on paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from gateway.replay.requests import Requests
from gateway.replay.run import BilledWindow, Run

DAY = 86400.0
BACKENDS = ("box", "cmi", "base")
BOX_NANOUSD = 199_000_000_000
DOLLAR = 1_000_000_000


def run(
    *rows: tuple[float, str | None, Mapping[str, float | bool]],
    span: float = DAY,
    windows: Sequence[BilledWindow] = (),
    policy: str = "by hand",
) -> Run:
    """Each row: (arrival, backend or None for refused, what differs from: 100 tokens in, 50 out, TTFT 1 s, good)."""
    n = len(rows)

    def column(name: str, default: float) -> list[float]:
        return [float(more.get(name, default)) for _, _, more in rows]

    arrival = np.array([at for at, _, _ in rows], float)
    refused = np.array([backend is None for _, backend, _ in rows])
    requests = Requests(
        arrival_s=arrival,
        in_tokens=np.array(column("in_tokens", 100)),
        out_tokens=np.array(column("out_tokens", 50)),
        tuned=np.ones(n, bool),
        interactive=np.array(column("interactive", True), bool),
        ttft_max=np.full(n, 10.0),
        tpot_max=np.full(n, 0.2),
        latency_max=np.full(n, math.inf),
        alias=np.zeros(n, np.int16),
        aliases=("tuned",),
        span_seconds=span,
        source="/somewhere/by-hand.csv",
    )
    sent = np.where(refused, math.nan, arrival + np.array(column("held_s", 0)))
    ttft = np.where(refused, math.nan, np.array(column("ttft_s", 1)))
    return Run(
        policy=policy,
        requests=requests,
        backends=BACKENDS,
        backend=np.array([-1 if name is None else BACKENDS.index(name) for _, name, _ in rows], np.int8),
        sent_s=sent,
        ttft_s=ttft,
        end_s=arrival + ttft + 5,
        late=np.array(column("late", False), bool),
        wrong=np.array(column("wrong", False), bool),
        per_token_nanousd=np.array(column("nanousd", 0)).astype(np.int64),
        windows=tuple(windows),
        metered_windows=len(windows),
        warm_calls=0,
        flat_nanousd_per_month={"box": BOX_NANOUSD},
        decisions=n,
        wall_seconds=0.5,
    )


def window(
    opens: float, calls: int = 20, tokens: int = 2000, copy: int = 1, nanousd: int = DOLLAR // 2
) -> BilledWindow:
    return BilledWindow("cmi", copy, opens, opens + 300, calls, tokens, nanousd)
