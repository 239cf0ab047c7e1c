"""The gateway's own HTTP/1.1 client for the hot path: asyncio and httptools, bytes in and bytes out.

`Client.send` opens one exchange with an `Address` and gives a `Response` once the head of the answer is there. The
client follows no redirect, keeps no cookie, uses no proxy and decodes no content: what the peer sent is what is given.
A stream's body can be pushed: `Response.push` gives it to a `Receiver` within the loop's read, chunks untouched where
they are whole. docs/decisions/0011-upstream-client.md.
"""

from gateway.backends.http1.address import Address
from gateway.backends.http1.client import Client
from gateway.backends.http1.deadlines import Deadlines
from gateway.backends.http1.limits import Limits
from gateway.backends.http1.request import HeadTemplate
from gateway.backends.http1.response import Receiver, Response

__all__ = ["Address", "Client", "Deadlines", "HeadTemplate", "Limits", "Receiver", "Response"]
