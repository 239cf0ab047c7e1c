"""The `/_sandbox` endpoints: the bill, the state, the clock, faults. They are no part of AWS's wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from gateway.sandbox.bedrock.faults import Fault
from gateway.sandbox.bedrock.state import Sandbox
from gateway.sandbox.s3vectors.faults import VectorsFault
from gateway.sandbox.s3vectors.service import OPERATIONS

Answer = tuple[int, dict[str, Any]]


def answer(sandbox: Sandbox, method: str, path: str, query: str, body: bytes) -> Answer:
    """Status and JSON of an administrative request."""
    handler = _HANDLERS.get((method, path.removeprefix("/_sandbox")))
    if handler is None:
        known = ", ".join(f"{verb} /_sandbox{place}" for verb, place in _HANDLERS)
        return 404, {"message": f"{method} {path} is unknown. Known: {known}"}
    try:
        data = json.loads(body) if body else {}
        if not isinstance(data, dict):
            raise ValueError(f"the body must be a JSON object, not {type(data).__name__}")
        return 200, handler(sandbox, data, query)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return 400, {"message": faults}
    except ValueError as error:
        return 400, {"message": str(error)}


def _bill(sandbox: Sandbox, _: dict[str, Any], query: str) -> dict[str, Any]:
    return sandbox.bill(with_calls="calls=1" in query.split("&"))


def _state(sandbox: Sandbox, _: dict[str, Any], __: str) -> dict[str, Any]:
    return sandbox.state()


def _advance(sandbox: Sandbox, data: dict[str, Any], _: str) -> dict[str, Any]:
    seconds = data.get("advance_seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError("advance_seconds: a number of simulated seconds is needed")
    sandbox.advance(seconds)
    return {"now_seconds": sandbox.clock.now_ns() / 1e9}


def _reset(sandbox: Sandbox, _: dict[str, Any], __: str) -> dict[str, Any]:
    sandbox.reset()
    return sandbox.state()


def _add_fault(sandbox: Sandbox, data: dict[str, Any], _: str) -> dict[str, Any]:
    fault = Fault.model_validate(data)
    if fault.model is not None and fault.model not in sandbox.models:
        raise ValueError(f"model {fault.model!r} is unknown. Known: {', '.join(sandbox.models)}")
    sandbox.faults.add(fault)
    return {"faults": sandbox.faults.listed()}


def _clear_faults(sandbox: Sandbox, _: dict[str, Any], __: str) -> dict[str, Any]:
    sandbox.faults.clear()
    return {"faults": []}


def _vectors(sandbox: Sandbox, _: dict[str, Any], __: str) -> dict[str, Any]:
    return sandbox.s3vectors.report()


def _add_vectors_fault(sandbox: Sandbox, data: dict[str, Any], _: str) -> dict[str, Any]:
    fault = VectorsFault.model_validate(data)
    if fault.operation is not None and fault.operation not in OPERATIONS:
        raise ValueError(f"operation {fault.operation!r} is unknown. Known: {', '.join(sorted(OPERATIONS))}")
    sandbox.s3vectors.faults.add(fault)
    return {"faults": sandbox.s3vectors.faults.listed()}


def _clear_vectors_faults(sandbox: Sandbox, _: dict[str, Any], __: str) -> dict[str, Any]:
    sandbox.s3vectors.faults.clear()
    return {"faults": []}


_HANDLERS: dict[tuple[str, str], Callable[[Sandbox, dict[str, Any], str], dict[str, Any]]] = {
    ("GET", "/bill"): _bill,
    ("GET", "/state"): _state,
    ("POST", "/clock"): _advance,
    ("POST", "/reset"): _reset,
    ("POST", "/faults"): _add_fault,
    ("DELETE", "/faults"): _clear_faults,
    ("GET", "/s3vectors"): _vectors,
    ("POST", "/s3vectors/faults"): _add_vectors_fault,
    ("DELETE", "/s3vectors/faults"): _clear_vectors_faults,
}
