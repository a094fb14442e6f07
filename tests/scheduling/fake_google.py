"""Google, as far as we talk to it: consent, tokens, and the primary calendars of a few people, with its refusals."""

import base64
import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

from litestar import Litestar, Request, Response, route
from msgspec import Struct, field

from tests.whatsapp.loopback import serving

CLIENT = {"client_id": "plixa.apps.example.com", "client_secret": "a secret for tests"}
PREFIX = "https://www.googleapis.com/auth/"
EVENTS = "/calendar/v3/calendars/primary/events"
OURS = re.compile(r"[a-v0-9]{5,1024}")
NOT_WITH_SYNC_TOKEN = {"iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax", "updatedMin"}

Asked = Request[Any, Any, Any]
Answer = Response[Any]


class Refusal(Exception):
    """What is answered instead."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.reason, self.headers = status, reason, headers or {}


class Account(Struct):
    """Somebody's primary calendar: every event there ever was, and the order in which they changed."""

    email: str
    zone: str = "America/Sao_Paulo"
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    oldest: int = 0
    """Sync tokens from before are expired."""


class Allowed(Struct):
    """What a code or a token stands for."""

    email: str
    scopes: list[str]
    challenge: str = ""
    redirect_uri: str = ""
    has_refresh: bool = True
    refresh_token: str = ""


class FakeGoogle:
    """All of it, in memory; ``failures`` are answered first, in turn, ``after`` those that lose an answer whose effect was had."""

    def __init__(self) -> None:
        self.url = ""
        self.forget()

    def forget(self) -> None:
        """Nobody ever was here."""
        self.accounts: dict[str, Account] = {}
        self.codes: dict[str, Allowed] = {}
        self.refreshing: dict[str, Allowed] = {}
        self.accessing: dict[str, Allowed] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.revoked: list[str] = []
        self.failures: list[Refusal] = []
        self.after: list[Refusal] = []
        self.calls: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.page_size = 2500
        self.refreshes = 0
        self._clock = datetime.now(UTC)

    @contextmanager
    def listening(self) -> Iterator["FakeGoogle"]:
        """On a port of its own."""
        with serving(create_app(self)) as self.url:
            yield self

    # people -------------------------------------------------------------------------------------------------------

    def account(self, email: str) -> Account:
        return self.accounts.setdefault(email, Account(email))

    def consent(self, url: str, email: str, scopes: set[str] | None = None, *, has_refresh: bool = True) -> dict[str, str]:
        """Somebody allows what the address asks, or only some ``scopes`` of it: the query of the way back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["client_id"] == CLIENT["client_id"]
        assert (asked["response_type"], asked["access_type"], asked["prompt"]) == ("code", "offline", "consent")
        assert asked["code_challenge_method"] == "S256"
        given = [scope for scope in asked["scope"].split() if scopes is None or scope.removeprefix(PREFIX) in scopes]
        code = secrets.token_urlsafe(16)
        self.codes[code] = Allowed(email, given, asked["code_challenge"], asked["redirect_uri"], has_refresh)
        return {"code": code, "state": asked["state"], "scope": " ".join(given)}

    def put(self, email: str, start: Any, end: Any, **more: Any) -> str:
        """The owner adds an event, or changes the one of that ``id``."""
        number = more.pop("id", secrets.token_hex(13))
        event = self.account(email).events.get(number, {"status": "confirmed"})
        self.touch(email, {**event, "id": number, "start": told(start), "end": told(end), **more})
        return str(number)

    def remove(self, email: str, number: str) -> None:
        """The owner deletes an event: hardly anything is told of it from then on."""
        self.touch(email, {"id": number, "status": "cancelled"}, bare=True)

    def withdraw(self, email: str) -> None:
        """The owner takes back what they allowed."""
        for tokens in (self.refreshing, self.accessing):
            for token in [token for token, allowed in tokens.items() if allowed.email == email]:
                del tokens[token]

    def expire_access(self) -> None:
        """Every access token ends before its time."""
        self.accessing.clear()

    def shown(self, email: str) -> list[dict[str, Any]]:
        """The events there are."""
        return [event for event in self.account(email).events.values() if event["status"] != "cancelled"]

    def push(self, channel: str, state: str = "exists", **headers: str) -> dict[str, str]:
        """The headers of a notification; its body is empty."""
        known = self.channels[channel]
        about = {"X-Goog-Channel-ID": channel, "X-Goog-Channel-Token": known["token"], "X-Goog-Resource-ID": known["resourceId"]}
        return about | {"X-Goog-Resource-State": state, "X-Goog-Message-Number": "1"} | headers

    # the wire -----------------------------------------------------------------------------------------------------

    def answer(self, request: Asked, form: dict[str, str], body: dict[str, Any]) -> Any:
        """What a request comes to; raises Refusal."""
        path = request.url.path
        if path in ("/token", "/revoke"):
            return self.token(form) if path == "/token" else self.revoke(form["token"])
        account, rest = self.enter(request), path.removeprefix(EVENTS)
        known: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", ""): lambda: self.list(account, dict(request.query_params)),
            ("POST", ""): lambda: self.insert(account, body),
            ("POST", "/watch"): lambda: self.watch(account, body),
            ("POST", "/calendar/v3/channels/stop"): lambda: self.stop(account, body),
            ("PATCH", rest): lambda: self.patch(account, rest.removeprefix("/"), body),
            ("DELETE", rest): lambda: self.delete(account, rest.removeprefix("/")),
        }
        return known[request.method, rest]()

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        if {name: form.get(name) for name in CLIENT} != CLIENT:
            raise Refusal(401, "invalid_client")
        if form["grant_type"] == "refresh_token":
            self.refreshes += 1
            allowed = self.refreshing.get(form["refresh_token"])
            if allowed is None:
                raise Refusal(400, "invalid_grant")
            return self.grant(allowed)
        found = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if found is None or (found.redirect_uri, found.challenge) != (form["redirect_uri"], challenge):
            raise Refusal(400, "invalid_grant")
        answer = self.grant(found)
        if found.has_refresh:
            found.refresh_token = answer["refresh_token"] = f"1//{secrets.token_urlsafe(40)}"
            self.refreshing[found.refresh_token] = found
        claims = base64.urlsafe_b64encode(json.dumps({"email": found.email}).encode()).decode().rstrip("=")
        return answer | {"id_token": f"e30.{claims}.signature"}

    def grant(self, allowed: Allowed) -> dict[str, Any]:
        access = f"ya29.{secrets.token_urlsafe(60)}"
        self.accessing[access] = allowed
        return {"access_token": access, "expires_in": 3599, "scope": " ".join(allowed.scopes), "token_type": "Bearer"}

    def revoke(self, token: str) -> dict[str, Any]:
        allowed = self.refreshing.get(token) or self.accessing.get(token)
        if allowed is None:
            raise Refusal(400, "invalid_token")
        self.revoked.append(allowed.email)
        self.withdraw(allowed.email)
        return {}

    def enter(self, request: Asked) -> Account:
        """Whose calendar a request is about."""
        self.calls.append((request.method, request.url.path.removeprefix("/calendar/v3")))
        if self.failures:
            raise self.failures.pop(0)
        allowed = self.accessing.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if allowed is None:
            raise Refusal(401, "authError")
        if f"{PREFIX}calendar.events.owned" not in allowed.scopes:
            raise Refusal(403, "insufficientPermissions")
        return self.account(allowed.email)

    def list(self, account: Account, query: dict[str, str]) -> dict[str, Any]:
        if query.get("singleEvents") != "true" or int(query["maxResults"]) > 2500:
            raise Refusal(400, "badRequest")
        since, head = query.get("syncToken"), len(account.changed)
        if since is None:
            edges = (query.get("timeMin"), query.get("timeMax"))
            events = [event for event in self.shown(account.email) if within(account, event, *edges)]
        elif query.keys() & NOT_WITH_SYNC_TOKEN:
            raise Refusal(400, "badRequest")
        elif int(since) < account.oldest:
            raise Refusal(410, "fullSyncRequired")
        else:
            events = [account.events[number] for number in dict.fromkeys(account.changed[int(since) :])]
        begin = int(query.get("pageToken", "0"))
        page = {"timeZone": account.zone, "items": events[begin : begin + self.page_size]}
        if begin + self.page_size < len(events):
            return page | {"nextPageToken": str(begin + self.page_size)}
        return page | {"nextSyncToken": str(head)}

    def insert(self, account: Account, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        if OURS.fullmatch(body["id"]) is None or body["start"].keys() & {"date"} != body["end"].keys() & {"date"}:
            raise Refusal(400, "invalid")
        if body["id"] in account.events:
            raise Refusal(409, "duplicate")
        return self.write(account, body)

    def patch(self, account: Account, number: str, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        known = account.events.get(number)
        if known is None or (known["status"] == "cancelled" and "status" not in body):
            raise Refusal(404, "notFound")
        return self.write(account, known | body)

    def write(self, account: Account, event: dict[str, Any]) -> dict[str, Any]:
        written = self.touch(account.email, event)
        if self.after:
            raise self.after.pop(0)
        return written

    def delete(self, account: Account, number: str) -> None:
        known = account.events.get(number)
        if known is None or known["status"] == "cancelled":
            raise Refusal(410, "deleted")
        self.remove(account.email, number)

    def watch(self, account: Account, body: dict[str, Any]) -> dict[str, Any]:
        if not body["address"].startswith("https:"):
            raise Refusal(400, "push.webhookUrlNotHttps")
        until = datetime.now(UTC) + timedelta(seconds=int(body["params"]["ttl"]))
        channel = {"id": body["id"], "token": body["token"], "resourceId": str(uuid4()), "email": account.email}
        self.channels[body["id"]] = channel
        return {"kind": "api#channel", **channel, "expiration": str(int(until.timestamp() * 1000))}

    def stop(self, account: Account, body: dict[str, str]) -> None:
        known = self.channels.pop(body["id"], None)
        if known is None or (known["resourceId"], known["email"]) != (body["resourceId"], account.email):
            raise Refusal(404, "notFound")

    def touch(self, email: str, event: dict[str, Any], *, bare: bool = False) -> dict[str, Any]:
        """An event changes."""
        account = self.account(email)
        self._clock = max(datetime.now(UTC), self._clock + timedelta(milliseconds=1))
        updated = self._clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        account.events[event["id"]] = event | ({} if bare else {"updated": updated, "etag": f'"{len(account.changed)}"'})
        account.changed.append(event["id"])
        return account.events[event["id"]]


def told(moment: Any) -> dict[str, Any]:
    """A time as Google tells it."""
    return {"dateTime": moment.isoformat()} if isinstance(moment, datetime) else {"date": moment.isoformat()}


def within(account: Account, event: dict[str, Any], since: str | None, until: str | None) -> bool:
    """Does it end after the one and begin before the other?"""
    start, end = (instant(account, event[edge]) for edge in ("start", "end"))
    return (since is None or end > datetime.fromisoformat(since)) and (until is None or start < datetime.fromisoformat(until))


def instant(account: Account, moment: dict[str, Any]) -> datetime:
    if "dateTime" in moment:
        return datetime.fromisoformat(moment["dateTime"])
    return datetime.combine(date.fromisoformat(moment["date"]), time(), ZoneInfo(account.zone))


def create_app(google: FakeGoogle) -> Litestar:
    """The addresses we call."""

    @route("/{path:path}", http_method=["GET", "POST", "PATCH", "DELETE"], status_code=200)
    async def answer(request: Asked) -> Answer:
        is_form = request.url.path in ("/token", "/revoke")
        form = {name: str(value) for name, value in (await request.form()).items()} if is_form else {}
        body = b"" if is_form else await request.body()
        try:
            content = google.answer(request, form, json.loads(body or b"{}"))
        except Refusal as refusal:
            return Response(in_words(refusal), status_code=refusal.status, headers=refusal.headers)
        return Response(content, status_code=200 if content is not None else 204)

    return Litestar([answer], openapi_config=None, logging_config=None)


def in_words(refusal: Refusal) -> dict[str, Any]:
    """A refusal in the form of whichever part of Google it comes from."""
    reason = refusal.reason
    if reason.startswith("invalid_"):
        return {"error": reason, "error_description": reason}
    return {"error": {"code": refusal.status, "errors": [{"domain": "global", "reason": reason}], "message": reason}}
