"""What stops a gate. A single answer that cannot be had, or judged, does not: it is an outcome of its own."""

from __future__ import annotations


class GateError(Exception):
    """The gate cannot go on. The message names the value, the limit and the mend."""


class ChatError(Exception):
    """One request to a model got no answer that can be used. The message never holds a key."""


class RefusedError(GateError):
    """The address will answer no request like this one: the key, the model name or the address is wrong."""


class IdentityError(GateError):
    """Something else answered than what is to be gated."""


class GivenUpError(GateError):
    """So many requests failed in a row that the rest was not asked."""


class CanaryError(GateError):
    """A judge said the wrong thing of an answer that is known to be right or wrong."""


class RunLogError(GateError):
    """The log of a run cannot be read or written."""


class CalibrationError(GateError):
    """The file of labelled answers cannot be used."""


class LedgerUnreadableError(GateError):
    """The gateway's ledger cannot be read."""
