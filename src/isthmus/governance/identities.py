"""Identities of people outside Isthmus: at an OpenID provider, and at issuers of GA4GH Passports.

An identity is a pair of issuer and subject that an agreement writes beside a person. It opens a session or gives a
passport its owner; it signs nothing: requests, approvals and agreements are signed by Ed25519 keys alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.crypto.jwt import read_keys
from isthmus.model.errors import Refused
from isthmus.model.record import record

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement, Person

_SECURE = re.compile(r"(https://[\w.-]+|http://(127\.0\.0\.1|localhost|\[::1\]))(:\d{1,5})?(/[^\s?#]*)?\Z", re.ASCII)


@record
class Login:
    """Who someone is at an issuer: its URL and their `sub` there, compared byte by byte."""

    issuer: str
    subject: str


@record
class PassportIssuer:
    """An issuer of passports or visas, and its public keys as a JSON Web Key Set: nothing is fetched.

    `audience`: what a passport's `aud` must name where it has one. `links`: whether it is trusted to say that identities of
    different issuers are one person.
    """

    issuer: str
    keys: Mapping[str, Any]
    audience: str | None = None
    links: bool | None = None


def person_of(agreement: Agreement, login: Login) -> Person:
    """The one person whom an agreement knows under a verified identity.

    Raises:
        Refused: E-LOGIN, nobody or more than one.
    """
    found = [person for person in agreement.people if login in (person.logins or ())]
    if len(found) != 1:
        hint = "ask for your issuer and subject to be written under `logins` of your entry, in the agreement's next version"
        raise Refused("E-LOGIN", "the agreement knows nobody under this identity", hint)
    return found[0]


def identity_problems(agreement: Agreement) -> Iterator[tuple[str, str]]:
    """Places and problems of logins and passport issuers.

    Raises:
        Invalid: E-JWKS.
    """
    named = Counter(login for person in agreement.people for login in person.logins or ())
    for person in agreement.people:
        place = f"people.{person.person}.logins"
        for login in person.logins or ():
            if named[login] > 1:
                yield place, "one identity stands for two people, or twice for one"
            if not login.subject or len(login.subject) > 255:  # OpenID Connect Core 2
                yield place, "a subject has 1 to 255 characters"
            yield from _issuer(login.issuer, place)
    issuers = (agreement.duties.passport_issuers if agreement.duties else None) or ()
    if len({entry.issuer for entry in issuers}) != len(issuers):
        yield "duties.passport_issuers", "an issuer is named twice"
    for entry in issuers:
        place = "duties.passport_issuers"
        yield from _issuer(entry.issuer, place)
        read_keys(entry.keys, f"{place}.keys")


def secure(url: str) -> bool:
    """Whether a URL is https, or http to this machine itself; with neither user, query nor fragment."""
    return _SECURE.match(url) is not None


def _issuer(url: str, place: str) -> Iterator[tuple[str, str]]:
    if not secure(url):
        yield place, "an issuer is an https URL without query or fragment, as its tokens write it"
