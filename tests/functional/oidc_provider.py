"""An OpenID provider for tests, a process of its own on 127.0.0.1: `python oidc_provider.py`, prints its address.

It serves discovery, keys, the code flow with PKCE and one form on which a person says who they are. Two switches are
there for tests alone: `POST /switch` with `fault=NAME` makes the next tokens wrong in one way, `POST /rotate` signs with a new key.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

CLIENT = "isthmus-console"
EVIL = "https://evil.example.org"

# What each fault does to the claims of an ID token.
CLAIMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "issuer": lambda c: {**c, "iss": EVIL},
    "audience": lambda c: {**c, "aud": "another-client"},
    "audiences": lambda c: {**c, "aud": [c["aud"], "another-client"]},
    "azp": lambda c: {**c, "azp": "another-client"},
    "nonce": lambda c: {**c, "nonce": "another"},
    "no-nonce": lambda c: {k: v for k, v in c.items() if k != "nonce"},
    "expired": lambda c: {**c, "iat": c["iat"] - 7200, "exp": c["exp"] - 7200},
    "future": lambda c: {**c, "iat": c["iat"] + 3600, "exp": c["exp"] + 3600},
    "old": lambda c: {**c, "iat": c["iat"] - 3600},
    "no-subject": lambda c: {**c, "sub": ""},
    "roles": lambda c: {**c, "roles": ["auditor"], "groups": ["custodian"], "email": "grace@example.org"},
}
AUTO = "auto"  # no fault: the form sends itself, for a browser without hands
FAULTS = (*CLAIMS, "signature", "none", "hmac", "stranger", "no-token", "pkce", "iss-answer", "denied", "state")


class State:
    """Keys, codes handed out, and the fault in force."""

    def __init__(self) -> None:
        self.issuer, self.fault, self.count = "", "", 0
        self.codes: dict[str, dict[str, str]] = {}
        self.rotate()

    def rotate(self) -> None:
        from joserfc.jwk import RSAKey

        self.count += 1
        self.key = RSAKey.generate_key(2048, {"kid": f"key-{self.count}"})

    def token(self, subject: str, asked: dict[str, str]) -> str:
        from joserfc import jwt
        from joserfc.jwk import RSAKey

        now = int(time.time())  # noqa: TID251
        claims = {"iss": self.issuer, "sub": subject, "aud": asked["client_id"], "iat": now, "exp": now + 300}
        claims = CLAIMS.get(self.fault, dict)({**claims, "nonce": asked.get("nonce", "")})
        if self.fault in {"none", "hmac"}:
            return _forged(claims, self.fault, self.key.as_pem(private=False), self.key.kid)
        key = self.key
        if self.fault in {"signature", "stranger"}:
            key = RSAKey.generate_key(2048, {"kid": self.key.kid if self.fault == "signature" else "nobody"})
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def _forged(claims: dict[str, Any], fault: str, public: bytes, kid: str) -> str:
    import hmac

    head = {"alg": "none" if fault == "none" else "HS256", "kid": kid}
    body = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(claims).encode())}"
    mac = b"" if fault == "none" else hmac.new(public, body.encode(), hashlib.sha256).digest()
    return f"{body}.{_b64(mac)}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Handler(BaseHTTPRequestHandler):
    state: State

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        issuer = self.state.issuer
        match parts.path:
            case "/.well-known/openid-configuration":
                self._json(
                    200,
                    {
                        "issuer": issuer,
                        "authorization_endpoint": f"{issuer}/authorize",
                        "token_endpoint": f"{issuer}/token",
                        "jwks_uri": f"{issuer}/keys",
                        "response_types_supported": ["code"],
                        "code_challenge_methods_supported": ["S256"],
                        "authorization_response_iss_parameter_supported": True,
                    },
                )
            case "/keys":
                self._json(200, {"keys": [{**self.state.key.as_dict(private=False), "use": "sig"}]})
            case "/authorize":
                self._page(html.escape(parts.query, quote=True))
            case _:
                self._json(404, {})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {k: v[0] for k, v in parse_qs(raw).items()}
        match urlsplit(self.path).path:
            case "/authorize":
                self._signed_in(form)
            case "/token":
                self._exchange(form)
            case "/switch":
                self.state.fault = form.get("fault", "")
                self._json(200, {})
            case "/rotate":
                self.state.rotate()
                self._json(200, {})
            case _:
                self._json(404, {})

    def _signed_in(self, form: dict[str, str]) -> None:
        asked = {k: v[0] for k, v in parse_qs(form["asked"]).items()}
        back = {"state": asked["state"], "iss": self.state.issuer}
        if self.state.fault == "denied":
            back["error"] = "access_denied"
        else:
            code = secrets.token_urlsafe(16)
            self.state.codes[code] = {**asked, "subject": form["subject"]}
            back["code"] = code
        back |= {"iss-answer": {"iss": EVIL}, "state": {"state": "another"}}.get(self.state.fault, {})
        self.send_response(303)
        self.send_header("Location", asked["redirect_uri"] + "?" + urlencode(back))
        self.end_headers()

    def _exchange(self, form: dict[str, str]) -> None:
        asked = self.state.codes.pop(form.get("code", ""), None)
        verifier = "another" if self.state.fault == "pkce" else form.get("code_verifier", "")
        proved = asked and _b64(hashlib.sha256(verifier.encode()).digest()) == asked.get("code_challenge")
        if not asked or not proved or form.get("redirect_uri") != asked["redirect_uri"]:
            self._json(400, {"error": "invalid_grant"})
        elif self.state.fault == "no-token":
            self._json(200, {"access_token": "x", "token_type": "Bearer"})
        else:
            token = self.state.token(asked["subject"], asked)
            self._json(200, {"access_token": "x", "token_type": "Bearer", "id_token": token})

    def _json(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _page(self, asked: str) -> None:
        body = (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Sign in</title><h1>Leeds sign-in</h1>"
            f'<form method=post action=/authorize><input type=hidden name=asked value="{asked}">'
            "<label>Subject <input name=subject value=ada-1></label> <button>Sign in</button></form>"
            + ("<script>document.forms[0].submit()</script>" if self.state.fault == AUTO else "")
        )
        self._send(200, "text/html; charset=utf-8", body.encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def serve() -> None:
    state = State()
    Handler.state = state
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.issuer = f"http://localhost:{server.server_port}"  # another site than the console's 127.0.0.1
    print(state.issuer, flush=True)
    server.serve_forever()


# ---- for the tests that start it


class Running:
    """The provider's process: its issuer, and its two switches."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def post(self, path: str, **form: str) -> None:
        with urlopen(Request(self.issuer + path, urlencode(form).encode())) as answer:
            answer.read()

    def fault(self, name: str) -> None:
        assert name in {"", AUTO, *FAULTS}
        self.post("/switch", fault=name)

    def rotate(self) -> None:
        self.post("/rotate")


@contextmanager
def running() -> Iterator[Running]:
    process = subprocess.Popen([sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Running(process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    serve()
