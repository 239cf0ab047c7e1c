"""The body of an admin request, which comes over ASGI: within limits of size and time like any other."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from gateway.server.errors import ApiError
from gateway.server.http1 import BodyBroken, BodyTooLarge
from gateway.server.request import body_broken, body_late, body_too_large


async def admin_body(request: Request, limit_bytes: int, seconds: float) -> bytes:
    """The whole of it. Raises `ApiError` 413, 408 or 400."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit_bytes:
        raise body_too_large(int(told), limit_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > limit_bytes:
                    raise body_too_large(size, limit_bytes)
                parts.append(part)
    except TimeoutError:
        raise body_late(seconds) from None
    except BodyTooLarge as error:
        raise body_too_large(error.size, error.limit) from None
    except BodyBroken as error:
        raise body_broken(error) from None
    except ClientDisconnect:
        raise ApiError(400, "The connection was closed before the whole body had come.") from None
    return b"".join(parts)
