"""What differs between the operations of the `openai` wire: the path, the usage object, how a stream ends and fails.

The body itself is passed on as it came, whatever the dialect."""

from gateway.backends.dialects.dialect import DIALECTS, Dialect, Relay

__all__ = ["DIALECTS", "Dialect", "Relay"]
