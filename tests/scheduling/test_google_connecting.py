"""Connecting a Google Calendar: there and back, once, in one browser, and away again."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from litestar import Litestar
from msgspec.structs import replace

from plixa.kernel.settings import Settings, SettingsError, load_settings
from plixa.scheduling.client import Google, GoogleError, create_google
from plixa.scheduling.commands.google import consent
from plixa.scheduling.commands.google.linking import LEAVE, LEAVE_MEMBER, READ
from plixa.workspace.commands.deletion import PURGE
from tests.identity.people import mails
from tests.scheduling.outside import CALENDAR, Outside, outcome
from tests.scheduling.salon import code
from tests.support.apps import calling
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import Member

PRODUCTION = {"PLIXA_ENVIRONMENT": "production", "PLIXA_PUBLIC_URL": "https://chat.example.com", "PLIXA_SECRET_KEY": "k" * 40}
LINKS = "SELECT * FROM google_link WHERE tenant_id = $1 ORDER BY id"
DUMP = """SELECT to_jsonb(l)::text AS row FROM google_link l WHERE tenant_id = $1
UNION ALL SELECT payload::text FROM outbox WHERE tenant_id = $1"""


async def test_without_keys_nobody_can_connect(app: Litestar, lucia: Member, settings: Settings) -> None:
    assert create_google(settings) is None
    async with calling(app) as client:
        answer = await client.get(f"/v1/scheduling{CALENDAR}/connect", headers=lucia.headers)
        assert (answer.status_code, code(answer)) == (409, "GOOGLE_NOT_CONFIGURED")
        shown = (await client.get(f"/v1/scheduling{CALENDAR}", headers=lucia.headers)).json()["data"]
        assert shown == dict.fromkeys(shown) | {"connected": False}
        assert outcome(await client.get(f"/v1/scheduling{CALENDAR}/callback"), settings) == "expired"


async def test_a_member_connects_their_own_and_no_token_is_ever_shown(outside: Outside, lucia: Member, ana: Member) -> None:
    url = await outside.url(ana)
    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert await outside.return_with(outside.google.consent(url, "ana@gmail.example")) == "connected"
    shown = await outside.status(ana)
    assert (shown["connected"], shown["google_email"], shown["calendar_id"]) == (True, "ana@gmail.example", "primary")
    assert (shown["last_synced_at"], shown["error"]) == (None, None)
    assert not (await outside.status(lucia))["connected"]
    (entry,) = await read_trail(outside.salon.client, outside.salon.workspace, subject="google_calendar")
    assert (entry["action"], entry["actor"]["name"], entry["after"]) == ("google_calendar.connected", "Ana", {"member_id": ana.id})
    stored = str(await outside.salon.workspace.rows(DUMP))
    tokens = [*outside.google.accessing, *outside.google.refreshing]
    assert tokens
    assert not [token for token in tokens if token in stored or token.encode().hex() in stored]
    await outside.read()
    assert (await outside.status(ana))["last_synced_at"] is not None


async def test_a_state_works_once_even_at_the_same_moment(outside: Outside, ana: Member) -> None:
    query = outside.google.consent(await outside.url(ana), "ana@gmail.example")
    ends = await asyncio.gather(*(outside.return_with(query) for _ in range(4)))
    assert sorted(ends) == ["connected", "expired", "expired", "expired"]
    assert len(await outside.salon.workspace.rows(LINKS)) == 1


async def test_only_the_browser_that_began_may_come_back(outside: Outside, ana: Member, google_app: Litestar) -> None:
    query = outside.google.consent(await outside.url(ana), "victim@gmail.example")
    async with calling(google_app) as other:
        assert outcome(await other.get(f"/v1/scheduling{CALENDAR}/callback", params=query), outside.settings) == "expired"
    assert await outside.salon.workspace.rows(LINKS) == []
    assert await outside.return_with(query) == "connected"


async def test_no_other_state_leads_anywhere(outside: Outside, ana: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    query = outside.google.consent(await outside.url(ana), "ana@gmail.example")
    sealed = bytearray(base64.urlsafe_b64decode(query["state"]))
    sealed[-1] ^= 1
    forged = base64.urlsafe_b64encode(bytes(sealed)).decode()
    elsewhere = base64.urlsafe_b64encode(outside.kernel.vault.seal(msgspec.json.encode({}), "elsewhere")).decode()
    for state in ("", "x", "ä", forged, elsewhere, query["state"] + query["state"], "A" * 4000):
        assert await outside.return_with(query | {"state": state, "redirect_uri": "https://evil.example"}) == "expired"
    monkeypatch.setattr(consent, "LIFE", timedelta(seconds=-1))
    assert await outside.return_with(outside.google.consent(await outside.url(ana), "ana@gmail.example")) == "expired"
    assert await outside.salon.workspace.rows(LINKS) == []


async def test_less_than_what_is_needed_is_not_kept(outside: Outside, ana: Member) -> None:
    google, url = outside.google, await outside.url(ana)
    assert await outside.return_with({"state": google.consent(url, "ana@gmail.example")["state"], "error": "access_denied"}) == "denied"
    fewer = google.consent(await outside.url(ana), "ana@gmail.example", {"openid", "email"})
    assert await outside.return_with(fewer) == "incomplete"
    without = google.consent(await outside.url(ana), "ana@gmail.example", has_refresh=False)
    assert await outside.return_with(without) == "incomplete"
    assert await outside.return_with(google.consent(await outside.url(ana), "ana@gmail.example") | {"code": "made up"}) == "failed"
    assert await outside.salon.workspace.rows(LINKS) == []


async def test_disconnecting_gives_everything_back_and_again_does_nothing(outside: Outside, ana: Member, https: Settings) -> None:
    email = await outside.connect(ana)
    outside.google.put(email, outside.salon.at(9), outside.salon.at(10))
    await outside.read(https)
    assert len(await outside.busy(ana)) == len(outside.google.channels) == 1
    for _ in range(2):
        assert not (await outside.salon.ask("POST", f"{CALENDAR}/disconnect", ana))["connected"]
    assert await outside.busy(ana) == []
    outside.google.calls.clear()
    assert await outside.do(LEAVE) == 1
    assert (outside.google.calls, outside.google.channels, outside.google.revoked) == ([("POST", "/channels/stop")], {}, [email])
    assert await outside.salon.workspace.rows(LINKS) == []
    trail = await read_trail(outside.salon.client, outside.salon.workspace, subject="google_calendar")
    assert [entry["action"] for entry in trail] == ["google_calendar.disconnected", "google_calendar.connected"]
    await outside.read()
    assert await outside.busy(ana) == []


async def test_connecting_again_takes_the_place_of_what_there_was(outside: Outside, ana: Member) -> None:
    email = await outside.connect(ana)
    await outside.connect(ana, email)
    await outside.do(LEAVE)
    assert outside.google.revoked == []
    assert len(await outside.salon.workspace.rows(LINKS)) == 1
    await outside.connect(ana, "other@gmail.example")
    await outside.do(LEAVE)
    assert outside.google.revoked == [email]
    await outside.read()
    assert (await outside.status(ana))["error"] is None


async def test_whoever_is_removed_takes_their_calendar_along(outside: Outside, ana: Member) -> None:
    email = await outside.connect(ana)
    answer = await outside.salon.client.delete(f"/v1/team/members/{ana.id}", headers=outside.salon.owner.headers)
    assert answer.status_code == 204, answer.text
    await outside.read()
    assert await outside.do(LEAVE_MEMBER) == 1
    assert await outside.do(LEAVE) == 1
    assert (outside.google.revoked, await outside.salon.workspace.rows(LINKS)) == ([email], [])


async def test_a_workspace_that_ends_gives_calendars_back(outside: Outside, ana: Member, lucia: Member) -> None:
    emails = [await outside.connect(ana), await outside.connect(lucia)]
    await outside.salon.workspace.rows(
        "UPDATE tenant SET purge_at = now(), deletion_requested_at = now() WHERE tenant_id = $1 RETURNING tenant_id"
    )
    async with outside.kernel.system.connection() as connection:
        about = "INSERT INTO outbox (tenant_id, kind, key, payload, due_at) VALUES ($1, $2, 'x', '{}', now())"
        await connection.execute(about, outside.tenant, PURGE)
    await do_effects(outside.salon.workspace, PURGE)
    await outside.do(LEAVE)
    assert sorted(outside.google.revoked) == sorted(emails)
    assert await outside.salon.workspace.rows(LINKS) == []


async def test_what_was_taken_back_at_googles_is_told_once_and_stands_for_a_day(outside: Outside, ana: Member) -> None:
    email = await outside.connect(ana)
    outside.google.put(email, outside.salon.at(9), outside.salon.at(10))
    await outside.read()
    outside.google.withdraw(email)
    await outside.do(READ)
    shown = await outside.status(ana)
    assert (shown["connected"], shown["error"]) == (False, "needs_reauth")
    answer = await outside.salon.ask("GET", f"{CALENDAR}/busy", ana, params={"from": outside.salon.at(0).isoformat()})
    assert (answer["stale"], len(answer["blocks"])) == (True, 1)
    assert await outside.do(READ) == 0
    told = [mail for mail in await mails(outside.kernel, outside.tenant) if mail.template == "calendar_lost"]
    assert [(mail.to, mail.values["name"]) for mail in told] == [(ana.email, "Ana")]
    (waiting,) = await outside.salon.workspace.rows("SELECT due_at FROM outbox WHERE tenant_id = $1 AND kind = 'scheduling.forget_busy'")
    assert timedelta(hours=23) < waiting["due_at"] - datetime.now(UTC) <= timedelta(hours=24)
    assert await outside.do("scheduling.forget_busy") == 1
    assert await outside.busy(ana) == []


async def test_connected_anew_nothing_is_forgotten(outside: Outside, ana: Member) -> None:
    email = await outside.connect(ana)
    outside.google.put(email, outside.salon.at(9), outside.salon.at(10))
    outside.google.withdraw(email)
    await outside.read()
    await outside.connect(ana)
    await outside.read()
    await outside.do("scheduling.forget_busy")
    await outside.do(LEAVE)
    assert (len(await outside.busy(ana)), (await outside.status(ana))["connected"], outside.google.revoked) == (1, True, [])


async def test_the_doctor_knows_whether_our_keys_are_taken(outside: Outside, googled: Settings) -> None:
    await outside.client.check()
    with pytest.raises(GoogleError, match="invalid_client"):
        await Google(replace(googled, google_client_secret="another")).check()


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"PLIXA_GOOGLE_CLIENT_ID": "a"}, "PLIXA_GOOGLE_CLIENT_SECRET"),
        ({"PLIXA_GOOGLE_CLIENT_SECRET": "a"}, "PLIXA_GOOGLE_CLIENT_ID"),
        ({"PLIXA_GOOGLE_API_BASE": "ftp://x"}, "PLIXA_GOOGLE_API_BASE"),
        (PRODUCTION | {"PLIXA_GOOGLE_OAUTH_BASE": "http://google.example"}, "PLIXA_GOOGLE_OAUTH_BASE must start with https"),
    ],
)
def test_a_wrong_setting_stops_the_start(environ: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        load_settings({"PLIXA_HOME": str(tmp_path), **environ})
