"""The hub's console against a provider's process: who comes in, what they see, and how a session ends."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from oidc_provider import CLIENT, Running, running

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW, draft, key_of
from reviewed_alliance import AGREEMENT, ASKER, KEEPER, PASSES, asked, case, envelope, person, request
from starlette.testclient import TestClient
from wires import now

from isthmus.console.app import Desk, make_app
from isthmus.console.sessions import IDLE, WHOLE, Vault
from isthmus.console.views import views
from isthmus.federation.hub_cases import ANSWER, VOTE, HubCases
from isthmus.federation.hub_runs import new_row
from isthmus.federation.node import Ledger
from isthmus.federation.request import charter_of
from isthmus.federation.store import RunRow, open_store
from isthmus.governance.agreement import Agreement, PersonRole, agreement_digest
from isthmus.governance.identities import Login
from isthmus.governance.standing_rules import StandingTerms, make_rule, sign_rule
from isthmus.interop.oidc import Provider, Registration
from isthmus.ledger.bundle import SCHEMA
from isthmus.model.canonical import canonical, digest
from isthmus.model.errors import Refused

ADDRESS = "http://127.0.0.1:8080"
RESULT: dict[str, Any] = {"analyses": {}}
PARTS: dict[str, Any] = {
    **dict.fromkeys(("transcript_digest", "checkpoint", "seal"), ""),
    **{part: {} for part in ("charter", "study", "signatures")},
    **{part: [] for part in ("agreement", "entries", "inclusion")},
    "schema": SCHEMA,
    "mode": "federated",
}
ALL = {"runs", "reviews", "people", "ledger"}


@pytest.fixture(scope="module")
def provider_process() -> Iterator[Running]:
    with running() as started:
        yield started


class Console:
    """A console whose clock can be moved, and browsers."""

    def __init__(
        self,
        process: Running,
        folder: Path,
        roles: tuple[PersonRole, ...] = ("researcher",),
        agreement: Agreement | None = None,
        **desk: Any,
    ) -> None:
        self.ahead = timedelta()
        self.process = process
        process.fault("")
        self.agreement = known(process.issuer, roles) if agreement is None else agreement
        self.store = open_store(folder / "hub.db")
        self.outside = httpx2.Client()
        stated: dict[str, Any] = {
            "agreement": self.agreement,
            "provider": Provider(process.issuer, self.outside, self.clock),
            "registration": Registration(process.issuer, CLIENT, f"{ADDRESS}/callback"),
            "views": views(self.agreement, self.store),
            "in_force": lambda _: None,
            "clock": self.clock,
            "randomness": secrets.token_bytes,
        }
        self.app = make_app(Desk(**{**stated, **desk}))

    def clock(self) -> Any:
        return now() + self.ahead

    def browser(self, address: str = ADDRESS) -> TestClient:
        return TestClient(self.app, base_url=address, follow_redirects=False)

    def back(self, browser: TestClient, subject: str = "ada-1") -> str:
        """Away to the provider and signed in there: the path and query that the browser comes back with."""
        away = urlsplit(browser.get("/login").headers["location"])
        form = {"asked": away.query, "subject": subject}
        answer = self.outside.post(f"{away.scheme}://{away.netloc}{away.path}", data=form)
        back = urlsplit(answer.headers["location"])
        return f"{back.path}?{back.query}"

    def signed_in(self, subject: str = "ada-1", address: str = ADDRESS) -> TestClient:
        browser = self.browser(address)
        answer = browser.get(self.back(browser, subject))
        assert answer.status_code == 303, answer.text
        return browser


def known(issuer: str, roles: tuple[PersonRole, ...]) -> Agreement:
    made = draft()
    ada = Login(issuer=issuer, subject="ada-1")
    people = (replace(p, logins=(ada,), roles=roles) if p.person == "dr ada" else p for p in made.people)
    return replace(made, people=tuple(people))


@pytest.fixture
def console(provider_process: Running, tmp_path: Path) -> Iterator[Console]:
    made = Console(provider_process, tmp_path)
    yield made
    made.store.close()
    made.outside.close()


# ---- coming in


def test_nobody_sees_anything_without_signing_in(console: Console) -> None:
    browser = console.browser()
    assert "Sign in" in browser.get("/").text
    for path in ("/runs", "/people", "/ledger", "/me", "/runs.json", "/me.json", "/nowhere"):
        answer = browser.get(path)
        assert answer.status_code == 401, path
        assert "dr ada" not in answer.text
    assert browser.get("/me.json").json()["code"] == "E-SESSION"


def test_a_person_of_the_agreement_comes_in(console: Console) -> None:
    browser = console.signed_in()
    assert browser.get("/").headers["location"] == "/runs"
    me = browser.get("/me.json").json()
    assert (me["person"], me["party"], me["roles"]) == ("dr ada", "leeds-nhs", ["researcher"])
    assert "dr ada" in browser.get("/me").text


def test_whom_the_agreement_does_not_know_stays_out(console: Console) -> None:
    browser = console.browser()
    answer = browser.get(console.back(browser, "grace-1"))
    assert answer.status_code == 403
    assert "E-LOGIN" in answer.text
    assert "grace-1" not in answer.text
    assert browser.get("/me").status_code == 401


def test_a_token_brings_no_roles(console: Console, provider_process: Running) -> None:
    provider_process.fault("roles")
    browser = console.signed_in()
    assert browser.get("/ledger").status_code == 403


@pytest.mark.parametrize("fault", ["nonce", "signature", "audience", "issuer", "expired", "state"])
def test_a_wrong_answer_opens_no_session(console: Console, provider_process: Running, fault: str) -> None:
    browser = console.browser()
    provider_process.fault(fault)
    assert browser.get(console.back(browser)).status_code == 401
    assert browser.get("/me").status_code == 401


def test_a_callback_is_worth_nothing_in_another_browser(console: Console) -> None:
    """Login CSRF: a victim's browser is sent to the attacker's callback."""
    attacker, victim = console.browser(), console.browser()
    back = console.back(attacker)
    answer = victim.get(back)
    assert (answer.status_code, "E-LOGIN-TIME" in answer.text) == (403, True)
    victim.get("/login")
    assert victim.get(back).status_code == 401  # an attempt of its own has another state


def test_a_session_that_was_prepared_is_not_taken_over(console: Console) -> None:
    """Session fixation: the name of a session is made at login, whatever the browser brought."""
    browser = console.browser()
    browser.cookies.set("isthmus-session", "f" * 64, domain="127.0.0.1")
    browser.get(console.back(browser))
    assert browser.cookies.get("isthmus-session", domain="127.0.0.1") not in {None, "f" * 64}
    other = console.browser()
    other.cookies.set("isthmus-session", "f" * 64, domain="127.0.0.1")
    assert other.get("/me").status_code == 401


def test_signing_in_again_ends_the_session_before(console: Console) -> None:
    browser = console.signed_in()
    before = browser.cookies["isthmus-session"]
    browser.get(console.back(browser))
    other = console.browser()
    other.cookies.set("isthmus-session", before, domain="127.0.0.1")
    assert other.get("/me").status_code == 401


# ---- going out


def test_signing_out_needs_the_form_of_the_session(console: Console) -> None:
    browser = console.signed_in()
    for form in ({}, {"form": "x"}, {"form": "é"}):
        assert browser.post("/logout", data=form).status_code == 403
    assert browser.get("/logout").status_code == 404
    secret = re.search(r'name="form" value="(\w+)"', browser.get("/me").text)
    assert secret is not None
    name = browser.cookies["isthmus-session"]
    assert browser.post("/logout", data={"form": secret[1]}).status_code == 303
    browser.cookies.set("isthmus-session", name, domain="127.0.0.1")
    assert browser.get("/me").status_code == 401


def test_a_session_ends_when_idle(console: Console) -> None:
    browser = console.signed_in()
    console.ahead = IDLE - timedelta(seconds=5)
    assert browser.get("/me").status_code == 200
    console.ahead += IDLE - timedelta(seconds=5)
    assert browser.get("/me").status_code == 200  # it was used
    console.ahead += IDLE
    assert browser.get("/me").status_code == 401


def test_a_session_ends_at_the_end_of_the_day(console: Console) -> None:
    busy = console.signed_in()
    for _ in range(int(WHOLE / timedelta(minutes=10)) - 1):
        console.ahead += timedelta(minutes=10)
        assert busy.get("/me").status_code == 200
    console.ahead += timedelta(minutes=10)
    assert busy.get("/me").status_code == 401


def test_an_agreement_that_ended_closes_the_console(provider_process: Running, tmp_path: Path) -> None:
    ended: list[str] = []

    def check(_: Any) -> None:
        if ended:
            raise Refused("E-REVOKED", "a party revoked the agreement")

    console = Console(provider_process, tmp_path, in_force=check)
    browser = console.signed_in()
    ended.append("now")
    assert browser.get("/runs").status_code == 403
    assert browser.get("/login").status_code == 403
    console.store.close()


# ---- what is seen


@pytest.mark.parametrize(
    ("roles", "seen"),
    [
        (("researcher",), {"runs"}),
        (("output_checker",), {"runs", "reviews"}),
        (("engineer",), {"runs"}),
        (("manager",), {"runs", "reviews", "people"}),
        (("custodian",), ALL),
        (("auditor",), ALL),
        (("engineer", "manager"), {"runs", "reviews", "people"}),
    ],
)
def test_a_role_sees_its_pages_and_no_other(
    provider_process: Running, tmp_path: Path, roles: tuple[PersonRole, ...], seen: set[str]
) -> None:
    console = Console(provider_process, tmp_path, roles)
    browser = console.signed_in()
    assert {name for name in ALL if browser.get(f"/{name}").status_code == 200} == seen
    assert {name for name in ALL if browser.get(f"/{name}.json").status_code == 200} == seen
    menu = set(re.findall(r'<li><a href="/(\w+)"', browser.get("/me").text))
    assert menu == {*seen, "me"}
    console.store.close()


def test_runs_people_and_ledger_are_shown_as_they_stand(provider_process: Running, tmp_path: Path) -> None:
    console = Console(provider_process, tmp_path, ("auditor",))
    note = '{"sites": {"leeds": {"state": "answered"}}, "error": {"code": "E-RULE", "message": "<b>no</b>"}}'
    row = RunRow(
        run="run-1",
        study="sha256:" + "a" * 64,
        number=1,
        created=NOW.isoformat(),
        state="refused",
        note=note,
        request=b"{}",
        charter=b"{}",
    )
    console.store.add_run(row)
    Ledger(console.store, "hub", lambda: NOW).append("waiting", {"run": "run-1"})
    browser = console.signed_in()
    (run,) = browser.get("/runs.json").json()["runs"]
    assert (run["run"], run["state"], run["sites"], run["code"]) == (
        "run-1",
        "Refused",
        {"leeds": "answered"},
        "E-RULE",
    )
    page = browser.get("/runs").text
    assert "&lt;b&gt;no" in page
    assert "<b>no" not in page
    assert browser.get("/ledger.json").json()["entries"][0]["event"] == "waiting"
    people = browser.get("/people.json").json()["people"]
    assert [p["login"] for p in people if p["person"] == "dr ada"] == [True]
    console.store.close()


def test_a_checker_sees_what_asks_them_and_no_sealed_vote(provider_process: Running, tmp_path: Path) -> None:
    known_as = {
        name: (Login(issuer=provider_process.issuer, subject=f"{name}-1"),) for name in ("cleo", "cora", "dr ada")
    }
    agreement = replace(AGREEMENT, people=tuple(replace(p, logins=known_as.get(p.person)) for p in AGREEMENT.people))
    console = Console(provider_process, tmp_path, agreement=agreement)
    sent = replace(request(), agreement=agreement_digest(agreement))
    row = new_row(charter_of(sent, agreement), asked(sent), NOW.isoformat())
    console.store.add_run(row)
    bundle = canonical({**PARTS, "result": RESULT})
    console.store.finish(row.run, (bundle, bundle), '{"sites": {}}', "egress")
    vote = envelope("cleo", case(sent, digest(RESULT)), "reject", "result")
    HubCases(console.store, agreement).kept.put(row.run, VOTE, "cleo", vote)
    for name, mine in (("cleo", False), ("cora", True)):
        browser = console.signed_in(f"{name}-1")
        (shown,) = browser.get("/reviews.json").json()["cases"]
        assert (shown["title"], shown["state"], shown["mine"]) == ("Does age matter?", "Results in egress review", mine)
        page = browser.get("/reviews").text
        assert ("asks you" in page) == mine
        assert "cora" in shown["waiting"]
        for text in (page, browser.get("/runs").text, browser.get("/runs.json").text):
            assert "reject" not in text
            assert "too short" not in text
        assert "Results in egress review" in browser.get("/runs").text
    assert console.signed_in("dr ada-1").get("/reviews").status_code == 403
    console.store.close()


def test_standing_rules_show_what_they_cover_and_what_they_answered(provider_process: Running, tmp_path: Path) -> None:
    known_as = {KEEPER: (Login(issuer=provider_process.issuer, subject="keeper-1"),)}
    agreement = replace(AGREEMENT, people=tuple(replace(p, logins=known_as.get(p.person)) for p in AGREEMENT.people))
    console = Console(provider_process, tmp_path, agreement=agreement)
    browser = console.signed_in("keeper-1")
    assert "by a standing rule" in browser.get("/reviews").text
    assert browser.get("/reviews.json").json()["standing"] == []
    sent = replace(request(), agreement=agreement_digest(agreement))
    row = new_row(charter_of(sent, agreement), asked(sent), NOW.isoformat())
    console.store.add_run(row)
    terms = StandingTerms(
        dataset="trial", purpose="DUO:0000007", kinds=("count", "glm"), variables=("age", "<b>sex"), people=(ASKER,),
        monthly=9, expires="2027-01-01",
    )  # fmt: skip
    rule = make_rule(terms, agreement, PASSES["pack"], person(KEEPER), NOW)
    answer = {"verdict": "approved", "since": NOW.isoformat(), "by": [KEEPER], "standing": digest(rule)}
    signed = sign_rule(rule, key_of(KEEPER))
    kept = HubCases(console.store, agreement).kept
    kept.put(row.run, ANSWER, "leeds", {"answer": answer, "rule": signed})
    kept.put(row.run, ANSWER, "oslo", {"answer": answer, "rule": {**signed, "payload": ""}})  # a site's word alone
    kept.put(row.run, ANSWER, "boston", {"answer": {"verdict": "approved"}, "rule": None})
    (shown,) = browser.get("/reviews.json").json()["standing"]
    assert (shown["by"], shown["party"], shown["expires"], shown["monthly"]) == (KEEPER, "leeds-nhs", "2027-01-01", 9)
    (answered,) = shown["answered"]
    assert (answered["title"], answered["site"], answered["state"]) == ("Does age matter?", "leeds", "Running")
    page = browser.get("/reviews").text
    assert "01 Jan 2027" in page
    assert "&lt;b&gt;sex" in page
    console.store.close()


def test_an_agreement_without_review_says_so(provider_process: Running, tmp_path: Path) -> None:
    console = Console(provider_process, tmp_path, ("manager",))
    browser = console.signed_in()
    assert "asks nobody to decide" in browser.get("/reviews").text
    assert browser.get("/reviews.json").json()["cases"] == []
    console.store.close()


# ---- what every answer carries


def test_cookies_and_headers_keep_others_out(console: Console) -> None:
    browser = console.browser()
    away = browser.get("/login")
    back = browser.get(console.back(browser))
    for answer in (away, back):
        (cookie, *_) = answer.headers.get_list("set-cookie")
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie  # on loopback
    for path in ("/", "/me", "/me.json", "/style.css", "/nowhere"):
        headers = browser.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert "strict-transport-security" not in headers
    assert "style=" not in browser.get("/me").text


def test_behind_tls_cookies_are_bound_to_the_host(provider_process: Running, tmp_path: Path) -> None:
    address = "https://console.example.org"
    registration = Registration(provider_process.issuer, CLIENT, f"{address}/callback")
    console = Console(provider_process, tmp_path, registration=registration)
    browser = console.signed_in(address=address)
    assert "__Host-isthmus-session" in browser.cookies
    cookie = console.browser(address).get("/login").headers["set-cookie"]
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"))
    assert "Domain" not in cookie
    assert "strict-transport-security" in browser.get("/").headers
    console.store.close()


def test_another_host_name_is_not_answered(console: Console) -> None:
    """DNS rebinding: a page elsewhere whose name points at 127.0.0.1."""
    assert console.browser("http://evil.example.org:8080").get("/").status_code == 400


def test_a_vault_forgets_and_holds_so_many() -> None:
    vault: Vault[int] = Vault(secrets.token_bytes, IDLE, WHOLE)
    name = vault.put(1, NOW)
    assert (vault.look(name, NOW), vault.look(None, NOW), vault.look("", NOW), vault.look(name[:-1], NOW)) == (
        1,
        None,
        None,
        None,
    )
    assert (vault.take(name, NOW), vault.take(name, NOW)) == (1, None)
