"""HTTP to the provider with limits: an answer must not be large, and its body must come in time."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from httpx2 import Request, Response

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 10.0
MOST_BYTES = 1_000_000


class LimitedTransport(httpx2.BaseTransport):
    """Requests by TLS with this context. A body that is late raises ReadTimeout, one that is large ReadError.

    Headers have a limit of size, and a limit of time for each read: a provider that sends them bit by bit takes long.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._inner = httpx2.HTTPTransport(verify=tls, trust_env=False)

    def handle_request(self, request: Request) -> Response:
        """One request."""
        ends_at = time.monotonic() + WHOLE_SECONDS
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101 -- for mypy
        stream = _LimitedStream(response.stream, ends_at)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _LimitedStream(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, ends_at: float) -> None:
        self._inner = inner
        self._ends_at = ends_at

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for chunk in self._inner:
            received += len(chunk)
            if received > MOST_BYTES:
                raise httpx2.ReadError(f"The answer has more than {MOST_BYTES} octets")
            if time.monotonic() > self._ends_at:
                raise httpx2.ReadTimeout(f"The answer took more than {WHOLE_SECONDS:.0f} seconds")
            yield chunk

    def close(self) -> None:
        self._inner.close()
