"""S3 Vectors' errors on the wire: `{"message"}` with `x-amzn-ErrorType`, statuses as in botocore's service model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

STATUSES: dict[str, int] = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "InternalServerException": 500,
    "KmsDisabledException": 400,
    "KmsInvalidKeyUsageException": 400,
    "KmsInvalidStateException": 400,
    "KmsNotFoundException": 400,
    "NotFoundException": 404,
    "RequestTimeoutException": 408,
    "SerializationException": 400,
    "ServiceQuotaExceededException": 402,
    "ServiceUnavailableException": 503,
    "TooManyRequestsException": 429,
    "UnknownOperationException": 404,
    "ValidationException": 400,
}


class VectorsError(Exception):
    """An error answered in place of a result. `name` is a key of `STATUSES`; `fields`: (path, what is wrong) pairs."""

    def __init__(self, name: str, message: str, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.fields = tuple(fields)
        self.status = STATUSES[name]

    def body(self) -> dict[str, Any]:
        """The JSON body; a ValidationException lists the fields that failed."""
        body: dict[str, Any] = {"message": self.message}
        if self.fields:
            body["fieldList"] = [{"path": path, "message": message} for path, message in self.fields]
        return body


def invalid(message: str, path: str | None = None, reason: str | None = None) -> VectorsError:
    """A ValidationException; `path` names the field, `reason` what is wrong with it where the message says more."""
    return VectorsError("ValidationException", message, [(path, reason or message)] if path else ())


def not_found(what: str) -> VectorsError:
    return VectorsError("NotFoundException", f"The specified {what} could not be found")
