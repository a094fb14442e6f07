"""What members do to conversations, and every refusal."""

import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from plixa.inbox.queries.realtime import render
from plixa.kernel.auth import Principal
from plixa.kernel.event_store import Actor
from tests.inbox.desk import Desk, stamp
from tests.support.world import Member
from tests.whatsapp import webhooks

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
PNG += struct.pack(">I", zlib.crc32(PNG[12:29]))
OGG = b"OggS\x00\x02" + bytes(8) + b"\x01\x00\x00\x00" + bytes(4) + b"\x00\x00\x00\x00\x01\x13OpusHead\x01\x01" + bytes(10)
SENDS = "SELECT payload FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.send'"
ANYBODY = 999_999_999


@pytest.fixture
async def number(desk: Desk) -> int:
    """Ana Souza's conversation."""
    return int((await desk.open())["id"])


def code(answer: Any) -> str:
    """Why it was refused."""
    return str(answer.json()["errors"][0]["code"])


class TestWriting:
    async def test_a_reply_is_queued_and_shown_at_once(self, desk: Desk, number: int) -> None:
        sent = await desk.do("POST", f"/{number}/messages", json={"body": "Entregamos sim!"})
        shown = await desk.show(number)
        assert (sent["status"], sent["direction"], sent["type"]) == ("queued", "out", "text")
        assert sent["author"] == {"type": "user", "id": desk.workspace.owner.id, "name": "Lucia"}
        assert (await desk.thread(number))[-1] == sent
        assert (shown["handler"], shown["last_message"]["body"]) == ("human", "Entregamos sim!")
        assert shown["first_responded_at"] is not None
        assert len(await desk.workspace.rows(SENDS)) == 1

    async def test_a_reply_may_quote_a_message_of_this_conversation_only(self, desk: Desk, number: int) -> None:
        other = await desk.open("5511900000001")
        (question,), (foreign,) = await desk.thread(number), await desk.thread(other["id"])
        sent = await desk.do("POST", f"/{number}/messages", json={"body": "Sim", "quoted_message_id": question["id"]})
        assert sent["quoted_message"] == {"id": question["id"], "body": question["body"], "type": "text"}
        for wrong in (foreign["id"], ANYBODY, 0, -1):
            answer = await desk.call("POST", f"/{number}/messages", json={"body": "Sim", "quoted_message_id": wrong})
            assert answer.status_code == 404

    async def test_a_customers_quote_shows_nothing_of_another_conversation(self, desk: Desk, number: int) -> None:
        secret = stamp()
        await desk.hear(webhooks.text(desk.chat("5511900000002"), secret, "a senha é 1234"))
        await desk.hear(webhooks.quoted_reply(desk.chat(), stamp(), "E isto?", secret.id))
        assert (await desk.thread(number))[-1]["quoted_message"] is None

    async def test_a_note_stays_inside(self, desk: Desk, number: int) -> None:
        note = await desk.do("POST", f"/{number}/messages", json={"body": "cliente VIP", "type": "note"})
        assert (note["type"], note["status"]) == ("note", "noted")
        assert await desk.workspace.rows(SENDS) == []
        assert (await desk.show(number))["handler"] == "none"

    @pytest.mark.parametrize("body", [{}, {"body": ""}, {"body": " \n"}, {"body": "x" * 4097}, {"body": "a", "type": "image"}, {"body": 5}])
    async def test_what_is_no_message_is_refused(self, desk: Desk, number: int, body: dict[str, Any]) -> None:
        answer = await desk.call("POST", f"/{number}/messages", json=body)
        assert (answer.status_code, code(answer)) == (422, "VALIDATION_FAILED")
        assert answer.json()["errors"][0]["details"]

    async def test_a_reply_reopens_a_closed_conversation(self, desk: Desk, number: int) -> None:
        await desk.do("POST", f"/{number}/close")
        await desk.do("POST", f"/{number}/messages", json={"body": "Mais uma coisa"})
        assert (await desk.show(number))["status"] == "open"

    async def test_without_a_connection_nothing_is_taken(self, desk: Desk, number: int) -> None:
        await desk.hear(webhooks.connection(desk.chat(), "close", 401))
        answer = await desk.call("POST", f"/{number}/messages", json={"body": "Oi"})
        assert (answer.status_code, code(answer)) == (409, "PHONE_NOT_CONNECTED")
        assert len(await desk.thread(number)) == 1


class TestFiles:
    async def test_a_picture_is_kept_and_served(self, desk: Desk, number: int) -> None:
        form: dict[str, Any] = {"files": {"file": ("cardápio.png", PNG, "text/html")}, "data": {"caption": "Nosso cardápio"}}
        sent = await desk.do("POST", f"/{number}/media-messages", **form)
        assert (sent["type"], sent["body"], sent["media"]["mime"]) == ("image", "Nosso cardápio", "image/png")
        served = await desk.client.get(sent["media"]["url"], headers=desk.workspace.owner.headers)
        assert (served.status_code, served.content, served.headers["content-type"]) == (200, PNG, "image/png")
        part = await desk.client.get(sent["media"]["url"], headers=desk.workspace.owner.headers | {"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
        assert (await desk.client.get(sent["media"]["url"])).status_code == 401

    async def test_a_voice_note_tells_its_length_and_shape(self, desk: Desk, number: int) -> None:
        data = {"voice": "true", "duration_seconds": "7", "waveform": ["0", "128", "255"]}
        sent = await desk.do("POST", f"/{number}/media-messages", files={"file": ("v.ogg", OGG)}, data=data)
        assert (sent["type"], sent["media"]["duration"], sent["media"]["waveform"]) == ("voice", 7, [0, 128, 255])
        assert sent["media"]["mime"].startswith("audio/ogg")

    @pytest.mark.parametrize(
        ("content", "data"),
        [
            (b"", {}),
            (PNG, {"voice": "true"}),
            (OGG, {"voice": "true", "waveform": ["256"]}),
            (OGG, {"voice": "true", "waveform": ["-1"]}),
            (OGG, {"voice": "true", "duration_seconds": "9" * 30}),
            (OGG, {"voice": "true", "duration_seconds": "-5"}),
            (OGG, {"voice": "maybe"}),
            (PNG, {"caption": "x" * 4097}),
            (PNG, {"caption": "a\0b"}),
        ],
    )
    async def test_what_is_no_file_message_is_refused(self, desk: Desk, number: int, content: bytes, data: dict[str, Any]) -> None:
        answer = await desk.call("POST", f"/{number}/media-messages", files={"file": ("f", content)}, data=data)
        assert answer.status_code == 422, answer.text
        assert len(await desk.thread(number)) == 1

    async def test_more_than_sixteen_megabytes_are_too_many(self, desk: Desk, number: int) -> None:
        answer = await desk.call("POST", f"/{number}/media-messages", files={"file": ("f", bytes(16 * 1024 * 1024 + 1))})
        assert (answer.status_code, code(answer)) == (413, "PAYLOAD_TOO_LARGE")
        answer = await desk.call("POST", f"/{number}/media-messages", data={"caption": "no file"})
        assert answer.status_code in (400, 422)


class TestStates:
    async def test_closing_twice_is_one_event(self, desk: Desk, number: int) -> None:
        await desk.do("POST", f"/{number}/snooze", json={"until": "2027-01-05T10:00:00Z"})
        for _ in range(2):
            shown = await desk.do("POST", f"/{number}/close")
            assert (shown["status"], shown["snoozed_until"]) == ("closed", None)
            assert shown["closed_at"] is not None
        for _ in range(2):
            shown = await desk.do("POST", f"/{number}/reopen")
            assert (shown["status"], shown["episode"], shown["closed_at"]) == ("open", 2, None)
        happened = [name.partition(".")[2] for name in await desk.events(number)]
        assert happened == ["opened", "received", "snoozed", "woken", "closed", "reopened"]

    async def test_snoozing_a_closed_one_is_refused(self, desk: Desk, number: int) -> None:
        await desk.do("POST", f"/{number}/close")
        answer = await desk.call("POST", f"/{number}/snooze", json={"until": "2027-01-05T10:00:00Z"})
        assert (answer.status_code, code(answer)) == (409, "CONVERSATION_CLOSED")
        assert (await desk.call("POST", f"/{number}/snooze", json={})).status_code == 200

    @pytest.mark.parametrize(
        "until",
        [
            "2020-01-01T00:00:00Z",
            "2226-01-01T00:00:00Z",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01T00:00:00+14:00",
            "0001-01-01T00:00:00",
            "9999-12-31T23:59:59",
            "tomorrow",
            1767600000,
            "2026-02-30T00:00:00Z",
        ],
    )
    async def test_a_time_that_cannot_be_meant_is_refused(self, desk: Desk, number: int, until: Any) -> None:
        answer = await desk.call("POST", f"/{number}/snooze", json={"until": until})
        assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, ["until"])

    async def test_a_time_without_offset_is_the_workspaces(self, desk: Desk, number: int) -> None:
        wall = (datetime.now(UTC) + timedelta(days=3)).replace(tzinfo=None, microsecond=0)
        shown = await desk.do("POST", f"/{number}/snooze", json={"until": wall.isoformat()})
        expected = wall.replace(tzinfo=ZoneInfo("America/Sao_Paulo"))
        assert datetime.fromisoformat(shown["snoozed_until"]) == expected

    async def test_a_wall_time_that_is_skipped_is_refused(self, desk: Desk, number: int) -> None:
        zone = "UPDATE tenant SET timezone = 'America/New_York' WHERE tenant_id = $1"
        async with desk.workspace.kernel.system.connection() as connection:
            await connection.execute(zone, desk.workspace.tenant)
        year = datetime.now(UTC).year + 1
        march = datetime(year, 3, 8, tzinfo=UTC)
        sunday = march + timedelta(days=(6 - march.weekday()) % 7)
        answer = await desk.call("POST", f"/{number}/snooze", json={"until": f"{sunday:%Y-%m-%d}T02:30:00"})
        assert (answer.status_code, code(answer)) == (422, "NONEXISTENT_LOCAL_TIME")

    async def test_reading_and_unreading(self, desk: Desk, number: int) -> None:
        assert (await desk.do("POST", f"/{number}/read"))["unread_count"] == 0
        assert (await desk.do("POST", f"/{number}/read"))["unread_count"] == 0
        assert (await desk.do("POST", f"/{number}/unread"))["unread_count"] == 1
        assert (await desk.do("POST", f"/{number}/unread"))["unread_count"] == 1
        assert (await desk.events(number))[-2:] == ["conversation.read", "conversation.unread"]
        await desk.hear(webhooks.text(desk.chat(), stamp()))
        assert (await desk.show(number))["unread_count"] == 2

    async def test_names_notes_and_assignee(self, desk: Desk, number: int, ana: Member, other_desk: Desk) -> None:
        shown = await desk.do(
            "PATCH", f"/{number}", json={"contact_name": " Dona Ana ", "notes": "paga em dia", "assigned_user_id": ana.id}
        )
        assert (shown["contact_name"], shown["notes"], shown["assigned_user"]) == (
            "Dona Ana", "paga em dia", {"id": ana.id, "name": "Ana"},
        )  # fmt: skip
        shown = await desk.do("PATCH", f"/{number}", json={"unknown": 1})
        assert shown["notes"] == "paga em dia"
        shown = await desk.do("PATCH", f"/{number}", json={"contact_name": "", "notes": None, "assigned_user_id": None})
        assert (shown["contact_name"], shown["notes"], shown["assigned_user"]) == ("Ana Souza", None, None)
        for nobody in (ANYBODY, 0, other_desk.workspace.owner.id):
            assert (await desk.call("PATCH", f"/{number}", json={"assigned_user_id": nobody})).status_code == 404
        for wrong in ({"notes": "x" * 4001}, {"contact_name": 5}, {"assigned_user_id": True}, {"assigned_user_id": "1"}):
            assert (await desk.call("PATCH", f"/{number}", json=wrong)).status_code == 422

    async def test_who_did_it_is_told_without_the_customers_name(self, desk: Desk, number: int) -> None:
        await desk.do("POST", f"/{number}/close", headers={"X-Request-Id": "req-77"})
        latest, *_, first = await desk.do("GET", f"/{number}/events")
        assert latest["actor"] == {"type": "member", "id": desk.workspace.owner.id, "name": "Lucia"}
        assert (latest["request_id"], latest["type"], latest["data"]) == ("req-77", "conversation.closed", {})
        assert first["actor"] == {"type": "customer"}
        assert {fact.actor for fact in await desk.log() if fact.actor.type == "customer"} == {Actor("customer")}
        pages = (await desk.call("GET", f"/{number}/events", params={"limit": 1})).json()
        rest = (await desk.call("GET", f"/{number}/events", params={"cursor": pages["meta"]["next_cursor"]})).json()
        assert [event["version"] for event in pages["data"] + rest["data"]] == [3, 2, 1]


class TestBulk:
    async def test_each_action_counts_what_it_changed(self, desk: Desk, ana: Member, other_desk: Desk) -> None:
        ids = [(await desk.open(f"551198765000{place}"))["id"] for place in range(3)]
        foreign = (await other_desk.open())["id"]
        label = await desk.label("VIP")
        asked = [*ids, ids[0], foreign, ANYBODY]
        for action, first, again in (
            ({"action": "close"}, 3, 0),
            ({"action": "reopen"}, 3, 0),
            ({"action": "assign", "assignee_id": ana.id}, 3, 0),
            ({"action": "assign", "assignee_id": None}, 3, 0),
            ({"action": "add_label", "label_id": label}, 3, 0),
            ({"action": "remove_label", "label_id": label}, 3, 0),
            ({"action": "delete"}, 3, 0),
        ):
            for expected in (first, again):
                assert await desk.do("POST", "/bulk", json={**action, "ids": asked}) == {"affected": expected}, action
        assert await desk.all(status="all") == []
        assert len(await other_desk.events(foreign)) == 2

    async def test_what_is_incomplete_is_refused(self, desk: Desk, number: int, other_desk: Desk) -> None:
        foreign = await other_desk.label("VIP")
        for body, status in (
            ({"action": "close", "ids": []}, 422),
            ({"action": "close", "ids": list(range(1, 102))}, 422),
            ({"action": "close", "ids": ["1"]}, 422),
            ({"action": "close", "ids": [True]}, 422),
            ({"action": "explode", "ids": [number]}, 422),
            ({"action": "assign", "ids": [number]}, 422),
            ({"action": "add_label", "ids": [number]}, 422),
            ({"action": "assign", "ids": [number], "assignee_id": other_desk.workspace.owner.id}, 404),
            ({"action": "add_label", "ids": [number], "label_id": foreign}, 404),
        ):
            assert (await desk.call("POST", "/bulk", json=body)).status_code == status, body
        assert len(await desk.events(number)) == 2


class TestAgents:
    @pytest.fixture
    async def restricted(self, desk: Desk) -> None:
        async with desk.workspace.kernel.system.connection() as connection:
            await connection.execute("UPDATE tenant SET agent_restricted = true WHERE tenant_id = $1", desk.workspace.tenant)
        desk.forget()

    async def test_a_restricted_agent_meets_nothing_of_others(self, desk: Desk, number: int, ana: Member, restricted: None) -> None:
        sent = await desk.do("POST", f"/{number}/media-messages", files={"file": ("a.png", PNG)})
        await desk.do("PATCH", f"/{number}", json={"assigned_user_id": desk.workspace.owner.id})
        label = await desk.label("VIP")
        before = await desk.events(number)
        reads = ("", "/open", "/messages", "/events", "?as_of=2098-01-01T00:00:00Z", "/messages?as_of=2098-01-01T00:00:00Z")
        for path in (*reads, f"/messages/{sent['id']}/media"):
            assert (await desk.call("GET", f"/{number}{path}", ana)).status_code == 404, path
        writes: list[tuple[str, str, Any]] = [("POST", path, None) for path in ("/close", "/reopen", "/read", "/unread")]
        writes += [("POST", "/messages", {"body": "Oi"}), ("POST", "/messages", {"body": "Oi", "type": "note"})]
        writes += [("POST", "/snooze", {"until": None}), ("PATCH", "", {"notes": "x"}), ("PATCH", "", {"assigned_user_id": ana.id})]
        for method, path, body in writes:
            assert (await desk.call(method, f"/{number}{path}", ana, json=body)).status_code == 404, path
        assert (await desk.call("POST", f"/{number}/media-messages", ana, files={"file": ("a.png", PNG)})).status_code == 404
        for action in ({"action": "close"}, {"action": "assign", "assignee_id": ana.id}, {"action": "add_label", "label_id": label}):
            assert await desk.do("POST", "/bulk", ana, json={**action, "ids": [number]}) == {"affected": 0}
        assert await desk.all(ana, status="all") == await desk.all(ana, assigned_user_id=desk.workspace.owner.id) == []
        assert await desk.do("GET", "/search?q=entregam", ana) == []
        assert await desk.events(number) == before
        await desk.do("PATCH", f"/{number}", json={"assigned_user_id": ana.id})
        for path in reads:
            assert (await desk.call("GET", f"/{number}{path}", ana)).status_code == 200, path

    async def test_nor_live(self, desk: Desk, number: int, ana: Member) -> None:
        await desk.do("PATCH", f"/{number}", json={"assigned_user_id": desk.workspace.owner.id, "notes": "canary"})
        await desk.do("POST", f"/{number}/messages", json={"body": "canary"})
        tenant = desk.workspace.tenant
        agent = Principal(kind="panel", token_id=1, tenant=tenant, user_id=ana.id, name="Ana", role="agent", restricted=True)
        seen = await render(desk.workspace.kernel, agent, await desk.log())
        assert {change.event for change in seen} <= {"ConversationHidden", "PhoneInstanceUpdated"}
        assert b"canary" not in b"".join(change.data for change in seen)

    async def test_what_was_never_in_view_is_not_said_to_be_hidden(self, desk: Desk, number: int, ana: Member) -> None:
        for member in (desk.workspace.owner.id, ana.id, desk.workspace.owner.id):
            await desk.do("PATCH", f"/{number}", json={"assigned_user_id": member})
        tenant, log = desk.workspace.tenant, await desk.log()
        for member, times in ((ana.id, 2), (ana.id + desk.workspace.owner.id, 1)):
            agent = Principal(kind="panel", token_id=1, tenant=tenant, user_id=member, name="Ana", role="agent", restricted=True)
            seen = await render(desk.workspace.kernel, agent, log)
            assert [change.event for change in seen].count("ConversationHidden") == times

    async def test_deleting_is_the_owners_unless_she_allows_it(self, desk: Desk, number: int, ana: Member) -> None:
        assert (await desk.call("DELETE", f"/{number}", ana)).status_code == 403
        assert (await desk.call("POST", "/bulk", ana, json={"action": "delete", "ids": [number]})).status_code == 403
        allow = "UPDATE tenant SET agents_can_delete_conversations = true WHERE tenant_id = $1"
        async with desk.workspace.kernel.system.connection() as connection:
            await connection.execute(allow, desk.workspace.tenant)
        answer = await desk.call("DELETE", f"/{number}", ana)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await desk.call("DELETE", f"/{number}", ana)).status_code == 404
