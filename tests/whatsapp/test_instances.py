"""Numbers from adding to removing, through HTTP, the outbox and a gateway that fails in every way it can."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plixa.kernel.auth import hashed
from plixa.kernel.event_store import replay
from plixa.whatsapp.domain import ConnectionChanged, QrChanged
from plixa.whatsapp.domain.instance import Connected, Disconnected, Heard, Interrupted, PhoneInstance
from tests.support.world import Member, Workspace
from tests.whatsapp.shop import Shop

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


async def allow(shop: Shop, plan: str) -> None:
    async with shop.workspace.kernel.system.connection() as connection:
        await connection.execute("UPDATE tenant SET plan = $2 WHERE tenant_id = $1", shop.workspace.tenant, plan)


async def set_column(shop: Shop, number: int, assignment: str) -> None:
    async with shop.workspace.kernel.system.connection() as connection:
        await connection.execute(f"UPDATE phone_instance SET {assignment} WHERE tenant_id = $1 AND id = $2", shop.workspace.tenant, number)


class TestAdding:
    async def test_a_number_is_added_shown_paired_and_connected(self, lojinha: Shop) -> None:
        added = await lojinha.add("Recepção")
        assert (added["status"], added["label"], added["number"]) == ("pending_qr", "Recepção", None)
        assert (await lojinha.call("GET", f"/{added['id']}/qr")).json()["data"]["qr_base64"] is None

        await lojinha.work()
        qr = (await lojinha.call("GET", f"/{added['id']}/qr")).json()["data"]
        assert qr["qr_base64"].startswith("data:image/png;base64,")
        assert (qr["status"], qr["expires_at"] is not None) == ("pending_qr", True)

        lojinha.gateway.control("pair", instance=await lojinha.name_of(added["id"]))
        await lojinha.relay("connection.update", lambda data: data["state"] == "open")
        shown = await lojinha.show(added["id"])
        assert (shown["status"], shown["number"][:4], shown["reason"]) == ("connected", "5511", None)
        assert shown["connected_at"] is not None
        qr = (await lojinha.call("GET", f"/{added['id']}/qr")).json()["data"]
        assert (qr["status"], qr["qr_base64"]) == ("connected", None)
        assert await lojinha.topics(added["id"]) == ["added", "qr_changed", "connected"]

    async def test_the_log_holds_no_qr_and_the_outbox_no_secret(self, lojinha: Shop) -> None:
        await lojinha.pairing()
        (effect,) = await lojinha.workspace.rows("SELECT payload::text FROM outbox WHERE tenant_id = $1")
        assert set(effect["payload"]) <= set('{}": _instance_id0123456789')
        (row,) = await lojinha.workspace.rows("SELECT webhook_secret FROM phone_instance WHERE tenant_id = $1")
        await lojinha.relay("qrcode.updated")
        token = lojinha.gateway.receiver.events("qrcode.updated")[0].headers["x-plixa-token"]
        assert row["webhook_secret"] == hashed(token)

    @pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"label": null}'])
    async def test_the_body_may_be_absent(self, lojinha: Shop, body: bytes) -> None:
        response = await lojinha.call("POST", content=body, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["data"]["label"]) == (201, None)

    async def test_a_label_that_is_too_long_is_refused(self, lojinha: Shop) -> None:
        response = await lojinha.call("POST", json={"label": "x" * 81})
        assert (response.status_code, list(response.json()["errors"][0]["details"])) == (422, ["label"])

    async def test_fifty_at_once_make_as_many_as_the_plan_allows(self, lojinha: Shop) -> None:
        await allow(lojinha, "business")
        answers = await asyncio.gather(*(lojinha.call("POST") for _ in range(50)))
        assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 45
        refused = next(answer.json() for answer in answers if answer.status_code == 409)
        assert refused["errors"][0]["code"] == "PHONE_NUMBER_LIMIT_REACHED"
        listed = (await lojinha.call("GET")).json()
        assert (len(listed["data"]), listed["meta"]) == (5, {"next_cursor": None, "limit": 5, "used": 5})

    async def test_the_same_key_adds_one_number(self, lojinha: Shop) -> None:
        key = {"Idempotency-Key": "once"}
        first, second = await lojinha.call("POST", headers=key), await lojinha.call("POST", headers=key)
        assert (first.status_code, second.json()) == (201, first.json())


class TestAGatewayThatFails:
    async def test_a_number_added_while_it_is_away_is_made_when_it_is_back(self, lojinha: Shop) -> None:
        lojinha.gateway.control("fault", path="/instance/create", status=500)
        added = await lojinha.pairing()
        shown = await lojinha.show(added["id"])
        assert (shown["status"], shown["last_error"]) == ("pending_qr", "Internal Server Error")
        (effect,) = await lojinha.workspace.rows("SELECT state, due_at > now() AS later FROM outbox WHERE tenant_id = $1")
        assert (effect["state"], effect["later"]) == ("waiting", True)
        await make_due(lojinha)
        await lojinha.work()
        assert (await lojinha.show(added["id"]))["last_error"] is None
        assert await lojinha.topics(added["id"]) == ["added", "qr_changed"]

    async def test_a_create_whose_answer_was_lost_goes_on_under_the_same_name(self, lojinha: Shop) -> None:
        lojinha.gateway.control("fault", path="/instance/create", drop_response=True)
        added = await lojinha.pairing()
        assert await lojinha.topics(added["id"]) == ["added"]
        await make_due(lojinha)
        await lojinha.work()
        assert await lojinha.topics(added["id"]) == ["added", "qr_changed"]
        lojinha.gateway.control("pair", instance=added["gateway_name"])
        await lojinha.relay("connection.update", lambda data: data["state"] == "open")
        assert (await lojinha.show(added["id"]))["status"] == "connected"

    async def test_a_number_it_has_lost_is_made_again_by_a_restart(self, lojinha: Shop) -> None:
        added = await lojinha.connected()
        lojinha.gateway.call("DELETE", f"/instance/delete/{added['gateway_name']}")
        restarted = (await lojinha.call("POST", f"/{added['id']}/restart")).json()["data"]
        assert restarted["status"] == "pending_qr"
        await lojinha.work()
        assert (await lojinha.call("GET", f"/{added['id']}/qr")).json()["data"]["qr_base64"] is not None

    async def test_a_disconnect_it_does_not_answer_changes_nothing(self, lojinha: Shop) -> None:
        added = await lojinha.connected()
        lojinha.gateway.control("fault", path="/instance/logout", status=500)
        response = await lojinha.call("POST", f"/{added['id']}/disconnect")
        assert (response.status_code, response.json()["errors"][0]["code"]) == (502, "UPSTREAM_UNAVAILABLE")
        assert (await lojinha.show(added["id"]))["status"] == "connected"

    async def test_the_qr_of_a_number_it_has_lost_is_an_error(self, lojinha: Shop) -> None:
        added = await lojinha.pairing()
        lojinha.gateway.call("DELETE", f"/instance/delete/{added['gateway_name']}")
        await set_column(lojinha, added["id"], "qr_at = now() - interval '46 seconds'")
        assert (await lojinha.call("GET", f"/{added['id']}/qr")).status_code == 502


class TestAQr:
    async def test_one_told_by_webhook_is_shown_without_asking(self, lojinha: Shop) -> None:
        added = await lojinha.pairing()
        lojinha.gateway.control("fault", path="/instance/connect", status=500, count=9)
        qr = (await lojinha.call("GET", f"/{added['id']}/qr")).json()["data"]
        assert qr["qr_base64"] is not None
        assert datetime.fromisoformat(qr["expires_at"]) > datetime.now(UTC)

    async def test_one_that_is_too_old_is_asked_for_again(self, lojinha: Shop) -> None:
        added = await lojinha.pairing()
        await set_column(lojinha, added["id"], "qr_at = now() - interval '46 seconds', qr = 'data:image/png;base64,old'")
        qr = (await lojinha.call("GET", f"/{added['id']}/qr")).json()["data"]
        assert qr["qr_base64"] not in (None, "data:image/png;base64,old")


class TestDeeds:
    async def test_a_disconnect_unlinks_also_what_is_closed_already(self, lojinha: Shop) -> None:
        added = await lojinha.connected()
        path = f"/{added['id']}/disconnect"
        first, second = await lojinha.call("POST", path), await lojinha.call("POST", path)
        assert (first.status_code, second.status_code) == (200, 200)
        assert (first.json()["data"]["status"], first.json()["data"]["reason"]) == ("disconnected", "by_member")
        assert second.json()["data"]["disconnected_at"] == first.json()["data"]["disconnected_at"]
        await lojinha.relay("connection.update", lambda data: data["state"] == "close")
        assert (await lojinha.show(added["id"]))["reason"] == "by_member"
        assert (await lojinha.topics(added["id"]))[-1] == "disconnected"

    async def test_any_member_restarts_and_an_open_number_stays_connected(self, lojinha: Shop, ana: Member) -> None:
        added = await lojinha.connected()
        response = await lojinha.call("POST", f"/{added['id']}/restart", ana)
        assert (response.status_code, response.json()["data"]["status"]) == (200, "connected")

    async def test_a_restart_of_a_closed_number_begins_a_pairing(self, lojinha: Shop) -> None:
        added = await lojinha.connected()
        await lojinha.call("POST", f"/{added['id']}/disconnect")
        restarted = (await lojinha.call("POST", f"/{added['id']}/restart")).json()["data"]
        assert (restarted["status"], restarted["reason"]) == ("pending_qr", None)
        assert (await lojinha.call("GET", f"/{added['id']}/qr")).json()["data"]["qr_base64"] is not None

    async def test_a_removed_number_is_gone_and_makes_room(self, lojinha: Shop) -> None:
        added = await lojinha.connected()
        assert (await lojinha.call("POST")).status_code == 409
        assert (await lojinha.call("DELETE", f"/{added['id']}")).status_code == 204
        assert (await lojinha.call("DELETE", f"/{added['id']}")).status_code == 404
        assert (await lojinha.call("GET", f"/{added['id']}")).status_code == 404
        assert (await lojinha.call("POST", f"/{added['id']}/restart")).status_code == 404
        assert (await lojinha.call("GET")).json()["meta"]["used"] == 0
        assert (await lojinha.call("POST")).status_code == 201
        await lojinha.work()
        state = lojinha.gateway.call("GET", f"/instance/connectionState/{added['gateway_name']}")
        assert state.status_code == 404
        assert (await lojinha.topics(added["id"]))[-1] == "removed"

    async def test_a_number_removed_before_it_was_made_is_never_made(self, lojinha: Shop) -> None:
        added = await lojinha.add()
        await lojinha.call("DELETE", f"/{added['id']}")
        await lojinha.work()
        await lojinha.work()
        states = await lojinha.workspace.rows("SELECT state FROM outbox WHERE tenant_id = $1")
        assert [row["state"] for row in states] == ["done", "done"]
        assert lojinha.gateway.call("GET", "/instance/fetchInstances").json() == []

    async def test_each_deed_leaves_one_trace(self, lojinha: Shop, ana: Member) -> None:
        number = (await lojinha.pairing())["id"]
        await lojinha.call("POST", f"/{number}/restart", ana)
        await lojinha.call("POST", f"/{number}/disconnect")
        await lojinha.call("DELETE", f"/{number}")
        deeds = ("added", "restarted", "disconnected", "removed")
        assert await lojinha.trail() == [f"phone_instance.{deed}" for deed in deeds]


class TestWhoMay:
    async def test_an_agent_looks_and_restarts_and_no_more(self, lojinha: Shop, ana: Member) -> None:
        number = (await lojinha.pairing())["id"]
        allowed = [("GET", ""), ("GET", f"/{number}"), ("POST", f"/{number}/restart")]
        refused = [("POST", ""), ("GET", f"/{number}/qr"), ("POST", f"/{number}/disconnect"), ("DELETE", f"/{number}")]
        assert [(await lojinha.call(*deed, ana)).status_code for deed in allowed] == [200, 200, 200]
        assert [(await lojinha.call(*deed, ana)).status_code for deed in refused] == [403, 403, 403, 403]

    async def test_to_another_workspace_the_number_does_not_exist(self, lojinha: Shop, other_tenant: Workspace) -> None:
        number = (await lojinha.pairing())["id"]
        stranger = other_tenant.owner
        deeds = [("GET", ""), ("GET", "/qr"), ("POST", "/disconnect"), ("POST", "/restart"), ("DELETE", "")]
        answers = [await lojinha.call(method, f"/{number}{path}", stranger) for method, path in deeds]
        assert [answer.status_code for answer in answers] == [404] * 5
        assert (await lojinha.call("GET", "", stranger)).json()["data"] == []


class TestStates:
    """Given what happened, when the gateway tells something, then this follows."""

    def hear(self, state: PhoneInstance, fact: ConnectionChanged | QrChanged, at: datetime, told: Any = None) -> Any:
        return list(state.hear(fact, Heard(at, told)))

    def opened(self, told: datetime | None = NOON) -> PhoneInstance:
        return replay(PhoneInstance(number=1), [Connected(at=NOON, told_at=told, phone="5511930000000")])

    def test_an_older_close_does_not_undo_a_newer_open(self) -> None:
        late = ConnectionChanged(state="close", reason=401)
        assert self.hear(self.opened(), late, NOON + timedelta(minutes=5), NOON - timedelta(seconds=40)) == []
        assert len(self.hear(self.opened(), late, NOON + timedelta(minutes=5), NOON + timedelta(seconds=1))) == 1

    def test_a_clock_set_back_does_not_deafen_us(self) -> None:
        heard = (NOON + timedelta(minutes=20), NOON - timedelta(minutes=40))
        assert len(self.hear(self.opened(), ConnectionChanged(state="close", reason=401), *heard)) == 1

    def test_a_drop_that_heals_itself_keeps_the_number_connected(self) -> None:
        state = self.opened(None)
        (dropped,) = state.hear(ConnectionChanged(state="connecting"), Heard(NOON, None, NOON - timedelta(hours=1)))
        assert dropped == Interrupted(at=NOON, since=NOON - timedelta(hours=1))
        state = state.evolve(dropped)
        assert (state.status, state.offline_since) == ("connected", NOON - timedelta(hours=1))
        (back,) = self.hear(state, ConnectionChanged(state="open"), NOON)
        assert state.evolve(back).offline_since is None
        assert state.evolve(back).phone == "5511930000000"

    @pytest.mark.parametrize(
        ("code", "status", "reason"),
        [
            (401, "disconnected", "logged_out"),
            (402, "disconnected", "temporarily_banned"),
            (403, "restricted", "forbidden"),
            (406, "disconnected", "unlinked"),
            (None, "disconnected", "closed"),
        ],
    )
    def test_why_it_closed_is_kept(self, code: int | None, status: str, reason: str) -> None:
        (event,) = self.hear(self.opened(), ConnectionChanged(state="close", reason=code), NOON)
        after = self.opened().evolve(event)
        assert (after.status, after.reason, after.disconnected_at, after.offline_since) == (status, reason, NOON, NOON)

    def test_nobody_scanned(self) -> None:
        (event,) = self.hear(PhoneInstance(number=1), QrChanged(exhausted=True), NOON)
        assert event == Disconnected(at=NOON, reason="qr_limit")
        after = PhoneInstance(number=1).evolve(event)
        assert self.hear(after, ConnectionChanged(state="refused", reason=428), NOON) == []
        assert self.hear(self.opened(), QrChanged(exhausted=True), NOON) == []


async def make_due(shop: Shop) -> None:
    async with shop.workspace.kernel.system.connection() as connection:
        await connection.execute("UPDATE outbox SET due_at = now() WHERE tenant_id = $1", shop.workspace.tenant)
