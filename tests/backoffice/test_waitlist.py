"""The public waitlist: strangers join it, staff read it."""

import csv
import io
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import AsyncClient
from msgspec.structs import replace

from plixa.app import create_app
from plixa.kernel.audit import PLATFORM
from plixa.kernel.settings import Settings, SettingsError, Throttle, load_settings
from plixa.kernel.uow import Kernel
from tests.backoffice.crew import Staff, codes, mails
from tests.identity.people import anywhere, connect, entries, value
from tests.support.apps import calling, started

SITE = "https://plixa.app"
AT = "UPDATE waitlist_signup SET created_at = $2::timestamptz WHERE tenant_id = 0 AND id = $1"


def address(word: str) -> str:
    """Nobody's yet."""
    return f"{word}-{secrets.token_hex(6)}@plixa.app"


async def join(client: AsyncClient, **body: Any) -> dict[str, Any]:
    """Somebody who joined."""
    answer = await client.post("/v1/waitlist", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_a_stranger_joins_once(client: AsyncClient, kernel: Kernel) -> None:
    before, email = len(await entries(kernel, PLATFORM)), address("Founder")
    joined = await join(client, email=email, locale="pt-PT", referrer="https://news.ycombinator.com/")
    assert set(joined) == {"id", "email", "created_at"}
    assert joined["email"] == email.lower()
    again = await client.post("/v1/waitlist", json={"email": email.upper()})
    assert (again.status_code, again.json()["errors"]) == (
        409,
        [{"code": "WAITLIST_EMAIL_ALREADY_REGISTERED", "message": "This email is already on the waitlist."}],
    )
    fresh = [(entry.action, entry.subject_id) for _, entry in (await entries(kernel, PLATFORM))[before:]]
    assert fresh == [("waitlist.joined", joined["id"])]
    assert email.lower() not in str((await entries(kernel, PLATFORM))[before:])
    written = [mail for mail in await mails(kernel, PLATFORM, "waitlist_welcome") if mail.to == email.lower()]
    assert [mail.locale for mail in written] == ["pt-PT"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "nowhere"}, "email"),
        ({"email": "somebody@b.co\n"}, "email"),
        ({"email": f"{'a' * 250}@b.co"}, "email"),
        ({"locale": "not a locale"}, "locale"),
        ({"locale": "en" + "-x" * 20}, "locale"),
        ({"locale": 7}, "locale"),
        ({"referrer": "javascript:alert(1)"}, "referrer"),
        ({"referrer": "https://"}, "referrer"),
        ({"referrer": "https://a.b/\n"}, "referrer"),
        ({"referrer": "https://a.b/\r\nSet-Cookie: x"}, "referrer"),
        ({"referrer": f"https://a.b/{'x' * 2048}"}, "referrer"),
    ],
)
async def test_nonsense_is_refused(client: AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await client.post("/v1/waitlist", json={"email": address("ok")} | body if body else {})
    assert codes(answer) == (422, "VALIDATION_FAILED")
    assert set(answer.json()["errors"][0]["details"]) == {field}


async def test_staff_read_it_page_by_page_and_filtered(client: AsyncClient, bruna: Staff, kernel: Kernel) -> None:
    word = secrets.token_hex(5)
    made = [await join(client, email=f"{word}-{place}@plixa.app", locale="en-US" if place % 2 else None) for place in range(5)]
    for place, one in enumerate(made):
        await value(kernel, AT, one["id"], datetime(2026, 3, place + 1, 12, tzinfo=UTC))
    newest = [one["id"] for one in reversed(made)]

    async def ids(**query: Any) -> list[int]:
        found, query = [], {"q": word.upper(), "limit": 2, **query}
        while True:
            answer = (await bruna.call("GET", "/waitlist", params=query)).json()
            found += [one["id"] for one in answer["data"]]
            query["cursor"] = answer["meta"]["next_cursor"]
            if query["cursor"] is None:
                return found

    assert await ids() == newest
    assert await ids(locale="EN-us") == [newest[1], newest[3]]
    assert await ids(**{"from": "2026-03-02T12:00:00Z", "to": "2026-03-04T12:00:00Z"}) == newest[2:4]
    assert await ids(q="%") == []
    assert codes(await bruna.call("GET", "/waitlist", params={"from": "yesterday"})) == (422, "VALIDATION_FAILED")


async def test_the_file_is_whole_and_harmless(client: AsyncClient, bruna: Staff, kernel: Kernel) -> None:
    word = secrets.token_hex(5)
    for place in range(205):
        await value(
            kernel,
            "INSERT INTO waitlist_signup (tenant_id, email, created_at) VALUES (0, $1, now())",
            f"{word}{place}@plixa.app",
        )
    evil = (await join(client, email=f"=cmd|{word}@plixa.app", referrer="http://a.b/,\"'"))["id"]
    before = len(await entries(kernel, PLATFORM))
    answer = await bruna.call("GET", "/waitlist.csv", params={"q": word})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    header, first, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["id", "email", "locale", "referrer", "created_at"]
    assert first[:4] == [str(evil), f"'=cmd|{word}@plixa.app", "", "http://a.b/,\"'"]
    assert len({row[0] for row in rows}) == 205
    told = (await entries(kernel, PLATFORM))[before:]
    assert [(fact.actor.id, entry.action) for fact, entry in told] == [(bruna.id, "waitlist.exported")]


@pytest.fixture
async def with_site(settings: Settings) -> AsyncIterator[Any]:
    """The application of a deployment that has a landing page, and patience for three tries."""
    strict = settings.throttles | {"waitlist": Throttle(limits="3/hour", per="ip")}
    async with started(create_app(replace(settings, site_origin=SITE, throttles=strict))) as app:
        yield app


async def test_the_landing_page_may_post_and_no_other_site(with_site: Any, client: AsyncClient) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with calling(with_site) as site:
        allowed = await site.options("/v1/waitlist", headers=asks | {"Origin": SITE})
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, SITE)
        foreign = await site.options("/v1/waitlist", headers=asks | {"Origin": "https://evil.example"})
        assert (foreign.status_code, "access-control-allow-origin" in foreign.headers) == (400, False)
        token = asks | {"Origin": SITE, "Access-Control-Request-Headers": "authorization"}
        assert (await site.options("/v1/me", headers=token)).status_code == 400
        posted = await site.post("/v1/waitlist", json={"email": address("site")}, headers={"Origin": SITE})
        assert (posted.status_code, posted.headers["access-control-allow-origin"]) == (201, SITE)
    plain = await client.post("/v1/waitlist", json={"email": address("none")}, headers={"Origin": SITE})
    assert (plain.status_code, "access-control-allow-origin" in plain.headers) == (201, False)


async def test_an_address_is_heard_only_so_often(with_site: Any) -> None:
    async with connect(with_site, anywhere()) as visitor:
        answers = [await visitor.post("/v1/waitlist", json={"email": address("many")}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert int(answers[3].headers["Retry-After"]) > 0


def test_an_origin_has_no_path(tmp_path: Any) -> None:
    given = {"PLIXA_HOME": str(tmp_path), "PLIXA_SITE_ORIGIN": f"{SITE}/"}
    with pytest.raises(SettingsError, match="PLIXA_SITE_ORIGIN must be an origin"):
        load_settings(given)
