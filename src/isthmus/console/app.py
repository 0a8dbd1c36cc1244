"""The console's web application: login at an OpenID provider, sessions, and pages to look at.

Every page is a view model under an action of `governance/roles.py`, shown as HTML or, under the same path with `.json`,
as it is. A session opens pages; it signs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from isthmus.console.headers import Headers
from isthmus.console.sessions import IDLE, WHOLE, Session, Vault, same
from isthmus.governance.agreement import Agreement, Person
from isthmus.governance.identities import person_of
from isthmus.governance.roles import MAY, Action, may, permit
from isthmus.interop.oidc import PATIENCE, Attempt, Provider, Registration, begin, finish
from isthmus.model.errors import Exit, IsthmusError, Refused

Model = Mapping[str, Any]

STATUS = {Exit.USAGE: 400, Exit.UNVERIFIED: 401, Exit.REFUSED: 403, Exit.UNREACHABLE: 503, Exit.WAITING: 503}


@dataclass(frozen=True, slots=True)
class View:
    """A page: what it is called, the action it takes, and its model for a person."""

    title: str
    action: Action
    model: Callable[[Person], Model]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the console works with.

    Attributes:
        in_force: raises once the agreement may not be used any more.
        views: by name.
    """

    agreement: Agreement
    provider: Provider
    registration: Registration
    views: Mapping[str, View]
    in_force: Callable[[datetime], None]
    clock: Callable[[], datetime]
    randomness: Callable[[int], bytes]


def make_app(desk: Desk) -> Starlette:
    """The application, ready to be served at the address that the registration's redirect names."""
    address = urlsplit(desk.registration.redirect)
    console = _Console(desk)
    routes = [
        Route("/", console.start),
        Route("/login", console.login),
        Route("/callback", console.callback),
        Route("/logout", console.logout, methods=["POST"]),
        Route("/me", console.me),
        Route("/me.json", console.me),
        Route("/style.css", _style),
        Route("/{name}.json", console.page),
        Route("/{name}", console.page),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Headers, scheme=address.scheme),
            Middleware(TrustedHostMiddleware, allowed_hosts=[address.hostname or ""], www_redirect=False),
        ],
        exception_handlers={IsthmusError: console.refused, HTTPException: console.missing},
    )


class _Console:
    """Handlers and the two vaults: people who are logged in, and attempts of those who are away at the provider."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._tls = desk, desk.registration.redirect.startswith("https:")
        self._sessions: Vault[Session] = Vault(desk.randomness, IDLE, WHOLE)
        self._attempts: Vault[Attempt] = Vault(desk.randomness, PATIENCE, PATIENCE)
        self._pages = Environment(
            loader=PackageLoader("isthmus.console", "pages"), autoescape=True, undefined=StrictUndefined
        )
        self._pages.filters.update(day=_day, moment=_moment)

    async def start(self, request: Request) -> Response:
        """The first page: the first view that the person's roles allow, or the way in."""
        session = self._session(request)
        if session is None:
            return self._html("welcome.html", None, {"provider": self._desk.registration.issuer})
        person = self._person(session)
        return RedirectResponse(
            "/" + next((n for n, v in self._desk.views.items() if may(person.roles, v.action)), "me"), 303
        )

    async def login(self, request: Request) -> Response:
        """Off to the provider."""
        now = self._now()
        attempt, url = await run_in_threadpool(
            begin, self._desk.provider, self._desk.registration, self._desk.randomness, now
        )
        response = RedirectResponse(url, 303)
        self._give(response, "login", self._attempts.put(attempt, now))
        return response

    async def callback(self, request: Request) -> Response:
        """Back from the provider: an identity, a person of the agreement, a new session."""
        now = self._now()
        attempt = self._attempts.take(request.cookies.get(self._name("login")), now)
        if attempt is None:
            raise Refused("E-LOGIN-TIME", "this browser did not begin a login here, or too long ago", "sign in again")
        answer = dict(request.query_params)
        login = await run_in_threadpool(
            finish, self._desk.provider, self._desk.registration, attempt, answer, self._desk.clock()
        )
        person = person_of(self._desk.agreement, login)
        self._sessions.take(request.cookies.get(self._name("session")), now)
        session = Session(person.person, self._desk.randomness(16).hex())
        response = RedirectResponse("/", 303)
        self._give(response, "session", self._sessions.put(session, now))
        self._forget(response, "login")
        return response

    async def logout(self, request: Request) -> Response:
        """The session ends; the form's secret shows that the person's own page asked."""
        session = self._wanted(request)
        async with request.form(max_fields=5, max_files=0) as form:
            if not same(form.get("form"), session.form):
                raise Refused("E-FORM", "the form is not of this session", "go back, reload the page and try again")
        self._sessions.take(request.cookies.get(self._name("session")), self._now())
        response = RedirectResponse("/", 303)
        self._forget(response, "session")
        return response

    async def me(self, request: Request) -> Response:
        """Who the agreement says this is."""
        session = self._wanted(request)
        person = self._person(session)
        model = {
            "person": person.person,
            "party": person.party,
            "roles": list(person.roles),
            "may": sorted({action for role in person.roles for action in MAY[role]}),
        }
        return self._shown(request, "me", "You", session, model)

    async def page(self, request: Request) -> Response:
        """One view."""
        session = self._wanted(request)
        name = request.path_params["name"]
        view = self._desk.views.get(name)
        if view is None:
            raise HTTPException(404)
        person = self._person(session)
        permit(person.roles, view.action)
        return self._shown(request, name, view.title, session, await run_in_threadpool(view.model, person))

    async def refused(self, request: Request, error: Exception) -> Response:
        """An error of ours: code, message and hint, in the form that was asked for."""
        if not isinstance(error, IsthmusError):
            raise error
        status = 401 if error.code == "E-SESSION" else STATUS.get(error.exit, 500)
        if request.url.path.endswith(".json"):
            return JSONResponse(error.to_dict(), status)
        response = self._html("error.html", self._session(request), error.to_dict())
        response.status_code = status
        return response

    async def missing(self, request: Request, error: Exception) -> Response:
        """An address that is not there."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        told = {"code": f"{status}", "message": "there is no such page", "hint": ""}
        response = self._html("error.html", self._session(request), told)
        response.status_code = status
        return response

    def _now(self) -> datetime:
        """The time, while the agreement is in force."""
        now = self._desk.clock()
        self._desk.in_force(now)
        return now

    def _session(self, request: Request) -> Session | None:
        return self._sessions.look(request.cookies.get(self._name("session")), self._desk.clock())

    def _wanted(self, request: Request) -> Session:
        self._now()
        session = self._session(request)
        if session is None:
            raise Refused("E-SESSION", "nobody is signed in, or not any more", "sign in at /login")
        return session

    def _person(self, session: Session) -> Person:
        return next(p for p in self._desk.agreement.people if p.person == session.person)

    def _shown(self, request: Request, name: str, title: str, session: Session, model: Model) -> Response:
        if request.url.path.endswith(".json"):
            return JSONResponse({"schema": f"isthmus/console-{name}/1", **model})
        return self._html(f"{name}.html", session, {"title": title, "at": name, **model})

    def _html(self, page: str, session: Session | None, model: Model) -> HTMLResponse:
        me = self._person(session) if session else None
        places = {n: v.title for n, v in self._desk.views.items() if me and may(me.roles, v.action)}
        known = {"agreement": self._desk.agreement, "me": me, "places": places, "at": "", "title": ""}
        text = self._pages.get_template(page).render({**known, "form": session.form if session else "", **model})
        return HTMLResponse(text)

    def _name(self, what: str) -> str:
        """`__Host-` binds a cookie to this very host and to TLS (RFC 6265bis 4.1.3.2); on loopback there is no TLS."""
        return f"__Host-isthmus-{what}" if self._tls else f"isthmus-{what}"

    def _give(self, response: Response, what: str, value: str) -> None:
        response.set_cookie(self._name(what), value, secure=self._tls, httponly=True, samesite="lax", path="/")

    def _forget(self, response: Response, what: str) -> None:
        response.delete_cookie(self._name(what), secure=self._tls, httponly=True, samesite="lax", path="/")


def _day(iso: str) -> str:
    """A day that nobody in the UK or the US reads as another."""
    return f"{datetime.fromisoformat(iso):%d %b %Y}"


def _moment(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%d %b %Y, %H:%M}"


async def _style(request: Request) -> Response:
    text = resources.files("isthmus.console").joinpath("pages", "style.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css")
