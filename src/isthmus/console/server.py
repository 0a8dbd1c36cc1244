"""The console as a process: a hub's isthmus.toml in, pages on 127.0.0.1 out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import httpx2
import uvicorn

from isthmus.console.app import Desk, make_app
from isthmus.console.views import views
from isthmus.federation.config import Config, LoginConfig, read_config, resolve
from isthmus.federation.named import opened_store, read_agreement
from isthmus.federation.revocations import Revocations
from isthmus.federation.store import Store
from isthmus.governance.agreement import Agreement, check_in_force
from isthmus.governance.identities import secure
from isthmus.governance.signing import check_signatures
from isthmus.interop.loopback import PATH
from isthmus.interop.oidc import Provider, Registration
from isthmus.model.errors import Invalid

Clock = Callable[[], datetime]
Randomness = Callable[[int], bytes]


def serve(path: Path, environ: Mapping[str, str], port: int, clock: Clock, randomness: Randomness) -> None:
    """Serve until interrupted. A TLS proxy stands before it where people come from other machines.

    Raises:
        Invalid, Untrusted, Refused, Unavailable: configuration, agreement or store cannot be used.
    """
    config = read_config(path, environ)
    stated, agreement = config.login(), check_signatures(read_agreement(config, config.hub().agreement))
    with opened_store(config, environ) as store, httpx2.Client() as http:
        desk = Desk(
            agreement=agreement,
            provider=Provider(stated.issuer, http, clock),
            registration=registration(config, environ, console_redirect(stated, port)),
            views=views(agreement, store),
            in_force=in_force(agreement, store),
            clock=clock,
            randomness=randomness,
        )
        uvicorn.run(
            make_app(desk),
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,  # a query holds codes
            proxy_headers=False,
            server_header=False,
        )


def registration(config: Config, environ: Mapping[str, str], redirect: str) -> Registration:
    """This program as the provider knows it.

    Raises:
        Invalid: E-CONFIG. Unavailable: E-SECRET.
    """
    stated = config.login()
    secret = None if stated.client_secret is None else resolve(stated.client_secret, config.base, environ)
    if secret is not None and secret == stated.client_secret:
        hint = "client_secret = 'env:NAME' or 'file:PATH'"
        raise Invalid("E-CONFIG", "a secret is stated as a reference", hint, "login.client_secret")
    return Registration(stated.issuer, stated.client_id, redirect, secret)


def console_redirect(stated: LoginConfig, port: int) -> str:
    """Where the provider sends browsers back to.

    Raises:
        Invalid: E-CONFIG, an address that is not https.
    """
    address = stated.address or f"http://127.0.0.1:{port}"
    if not secure(address) or address.count("/") != 2:
        hint = "address = 'https://console.example.org', without a path"
        raise Invalid("E-CONFIG", "the console's address is not https", hint, "login.address")
    return address + PATH


def in_force(agreement: Agreement, store: Store) -> Callable[[datetime], None]:
    """What refuses once the agreement has expired or a party revoked it, as the hub has written down."""

    def check(now: datetime) -> None:
        check_in_force(agreement, now)
        Revocations(agreement, store).check()

    return check
