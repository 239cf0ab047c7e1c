"""Bedrock's errors on the wire: `{"message"}` with `x-amzn-ErrorType`, statuses as in botocore's service model."""

from __future__ import annotations

from typing import Any

STATUSES: dict[str, int] = {
    "AccessDeniedException": 403,
    "ConflictException": 400,
    "IncompleteSignatureException": 403,
    "InternalServerException": 500,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
    "ValidationException": 400,
}


class BedrockError(Exception):
    """An error answered before any byte of the result. `name` is a key of `STATUSES`."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.status = STATUSES[name]

    def body(self) -> dict[str, Any]:
        """The JSON body; ModelErrorException and ModelStreamErrorException say what the model itself answered."""
        body: dict[str, Any] = {"message": self.message}
        if self.name == "ModelErrorException":
            body |= {"originalStatusCode": 500, "resourceName": "model"}
        if self.name == "ModelStreamErrorException":
            body |= {"originalStatusCode": 500, "originalMessage": self.message}
        return body


class StreamError(Exception):
    """An exception frame in mid-stream. `name` is lower camel case, as the event stream has it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"message": self.message}
        if self.name == "modelStreamErrorException":
            body |= {"originalStatusCode": 500, "originalMessage": self.message}
        return body


class BadChecksum(Exception):
    """End the stream with a frame whose checksum does not match."""


class Dropped(Exception):
    """Drop the connection, with nothing more said."""


class TextUnavailable(Exception):
    """The text source failed before its first piece; another source may be tried."""


def invalid(message: str) -> BedrockError:
    """A ValidationException."""
    return BedrockError("ValidationException", message)
