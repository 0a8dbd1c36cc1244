"""The browser's way back to a program on this machine: one request on 127.0.0.1 at a free port (RFC 8252 7.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from isthmus.interop.oidc import PATIENCE
from isthmus.model.errors import Unavailable

PATH = "/callback"
_DONE = b"<!doctype html><html lang=en><meta charset=utf-8><title>Isthmus</title><p>You can close this page and go back to the terminal.</p>"


class Loopback:
    """Listens inside its `with`, until the browser has come back or too much time has passed."""

    def __init__(self) -> None:
        self._answer: dict[str, str] | None = None
        self._state = ""
        self._server = HTTPServer(("127.0.0.1", 0), _handler(self._take))
        self.redirect = f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def wait(self, state: str, clock: Callable[[], datetime]) -> dict[str, str]:
        """The query that the browser brought for this attempt; whatever else knocks is sent away.

        Raises:
            Unavailable: E-LOGIN-TIME, nobody came.
        """
        began, self._state = clock(), state
        self._server.timeout = 1.0
        while self._answer is None:
            if clock() - began > PATIENCE:
                raise Unavailable("E-LOGIN-TIME", "nobody came back from the provider in time", "sign in again")
            self._server.handle_request()
        return self._answer

    def _take(self, target: str) -> bool:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        if parts.path != PATH or query.get("state") != self._state:
            return False
        self._answer = query
        return True


def _handler(take: Callable[[str], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # a connection that says nothing does not block the one that does

        def do_GET(self) -> None:
            done = take(self.path)
            self.send_response(200 if done else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", "default-src 'none'")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(_DONE if done else b"")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited; the query holds the code
            pass

    return Handler
