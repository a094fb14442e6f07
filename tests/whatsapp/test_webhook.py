"""What the gateway tells is let in by its secret, applied once, and never refused for trouble of ours."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from litestar.exceptions import NotAuthorizedException

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.database import SYSTEM_ROLE, Database
from plixa.kernel.errors import Conflict, Forbidden, Invalid, NotFound, StreamConflict, Unauthenticated
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp.client import TOKEN_HEADER
from plixa.whatsapp.commands import Delivered
from plixa.whatsapp.commands.instances import webhook_secret
from plixa.whatsapp.commands.lines import Line as Waits
from plixa.whatsapp.controllers import GatewayWebhookController
from plixa.whatsapp.queries import Instances
from tests.support.apps import calling, make_app, started
from tests.whatsapp import webhooks
from tests.whatsapp.shop import HOOKS, Shop
from tests.whatsapp.webhooks import Chat

BODIES = "SELECT body FROM inbox_message WHERE tenant_id = $1 ORDER BY id"
SEEN = "SELECT key, payload FROM webhook_seen WHERE tenant_id = $1 ORDER BY received_at, key"


class Line(msgspec.Struct, frozen=True):
    """A connected number, and how to tell something about it."""

    shop: Shop
    number: int
    chat: Chat

    async def status(self) -> tuple[str, str | None]:
        shown = await self.shop.show(self.number)
        return shown["status"], shown["reason"]

    async def seen(self) -> list[tuple[str, bytes]]:
        """Keys and what was kept, opened where the master key seals it."""
        vault, tenant = self.shop.workspace.kernel.vault, self.shop.workspace.tenant
        rows = await self.shop.workspace.rows(SEEN)
        return [(row["key"], vault.open(row["payload"], f"webhook_seen/{tenant}/{row['key']}")) for row in rows]


@pytest.fixture
async def line(lojinha: Shop) -> Line:
    added = await lojinha.connected()
    return Line(lojinha, added["id"], Chat(instance=added["gateway_name"]))


class TestTheSecret:
    @pytest.mark.parametrize("token", ["", "wrong", "ö"])
    async def test_without_it_the_gateway_is_sent_away_for_good(self, line: Line, token: str) -> None:
        path = f"{HOOKS}/{line.chat.instance}"
        headers = [(TOKEN_HEADER.encode(), token.encode())] if token else []
        answer = await line.shop.client.post(path, json=webhooks.text(line.chat), headers=headers)
        assert answer.status_code == 401
        assert await line.shop.workspace.rows(BODIES) == []

    async def test_a_name_we_never_gave_has_none(self, line: Line) -> None:
        assert (await line.shop.tell(webhooks.text(), name="plx_nobody")).status_code == 401

    async def test_another_numbers_secret_does_not_open_it(self, line: Line) -> None:
        headers = {TOKEN_HEADER: webhook_secret(line.shop.settings, "plx_other")}
        answer = await line.shop.client.post(f"{HOOKS}/{line.chat.instance}", json=webhooks.text(line.chat), headers=headers)
        assert answer.status_code == 401

    async def test_a_removed_number_is_listened_to_and_ignored(self, line: Line) -> None:
        await line.shop.call("DELETE", f"/{line.number}")
        line.shop.forget()
        assert (await line.shop.tell(webhooks.text(line.chat))).status_code == 200
        assert await line.shop.workspace.rows(BODIES) == []


class TestMessages:
    async def test_a_message_is_in_the_inbox_once_however_often_it_comes(self, line: Line) -> None:
        answers = [await line.shop.tell(webhooks.text(line.chat, body="Oi!")) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert await line.shop.workspace.rows(BODIES) == [{"body": "Oi!"}]

    async def test_a_suspended_workspace_still_gets_its_messages(self, line: Line) -> None:
        async with line.shop.workspace.kernel.system.connection() as connection:
            await connection.execute("UPDATE tenant SET status = 'suspended' WHERE tenant_id = $1", line.shop.workspace.tenant)
        assert (await line.shop.tell(webhooks.text(line.chat))).status_code == 200
        assert len(await line.shop.workspace.rows(BODIES)) == 1

    async def test_a_message_cut_within_an_emoji_arrives(self, line: Line) -> None:
        webhook = webhooks.text(line.chat, body="Oi CUT")
        body = json.dumps(webhook).replace("CUT", "\\ud83d").encode()
        assert (await line.shop.tell(body, line.chat.instance)).status_code == 200
        assert await line.shop.workspace.rows(BODIES) == [{"body": "Oi "}]

    async def test_a_webhook_of_twelve_megabytes_is_taken(self, line: Line) -> None:
        webhook = webhooks.image(line.chat)
        webhook["data"]["message"]["base64"] = "A" * (12 * 1024 * 1024)
        assert (await line.shop.tell(webhook)).status_code == 200
        assert len(await line.shop.workspace.rows(BODIES)) == 1


class TestWhatSaysNothing:
    @pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe\x00", b"null", b"[" * 100_000, b'{"event": "\\ud83d"'])
    async def test_no_json_object_is_kept_raw_and_taken(self, line: Line, body: bytes) -> None:
        answers = [await line.shop.tell(body, line.chat.instance) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        ((key, kept),) = await line.seen()
        assert (key[:4], kept) == ("raw:", body)

    async def test_secrets_are_kept_nowhere(self, line: Line) -> None:
        broken = b'{"apikey": "canary-one", "event": "messages.upsert", "data": {"jwt_key" : "canary-two'
        told = webhooks.envelope(line.chat, "groups.upsert", {"token": "canary-three"}) | {"apikey": "canary-four"}
        for webhook in (broken, json.dumps(told).encode()):
            assert (await line.shop.tell(webhook, line.chat.instance)).status_code == 200
        kept = await line.seen()
        assert len(kept) == 2
        assert not any(b"canary" in body for _, body in kept)

    async def test_an_event_we_do_not_know_is_kept_raw_once(self, line: Line) -> None:
        webhook = webhooks.envelope(line.chat, "hologram.shown", {"depth": 3})
        assert [(await line.shop.tell(webhook)).status_code for _ in range(2)] == [200, 200]
        ((key, kept),) = await line.seen()
        assert (key[:4], json.loads(kept)["event"]) == ("raw:", "hologram.shown")


class TestTroubleOfOurs:
    @pytest.mark.parametrize(
        "trouble",
        [
            Invalid(),
            Conflict(),
            StreamConflict(),
            NotFound(),
            Forbidden(),
            Unauthenticated(),
            NotAuthorizedException(),
            TimeoutError(),
            RuntimeError(),
            UnicodeDecodeError("utf-8", b"", 0, 1, "bad"),
        ],
        ids=lambda trouble: type(trouble).__name__,
    )
    async def test_whatever_it_is_the_gateway_comes_again(self, line: Line, entrance: Entrance, trouble: Exception) -> None:
        async def accept(_: UnitOfWork, __: Delivered) -> None:
            raise trouble

        await self.expect_503(line, entrance, accept, line.shop.workspace.kernel.system)

    async def test_a_database_that_is_away_is_ours_too(self, line: Line, entrance: Entrance) -> None:
        nowhere = Database("postgresql://nobody@127.0.0.1:1/none", role=SYSTEM_ROLE, pool_size=1)
        await self.expect_503(line, entrance, None, nowhere)
        await nowhere.close()

    async def test_a_pool_that_is_empty_is_ours_too(self, line: Line, entrance: Entrance) -> None:
        tiny = Database(str(entrance.settings.database_url), role=SYSTEM_ROLE, pool_size=1)
        async with tiny.connection():
            await self.expect_503(line, entrance, None, tiny)
        await tiny.close()

    async def expect_503(self, line: Line, entrance: Entrance, accept: Any, system: Database) -> None:
        app = make_app(entrance, GatewayWebhookController)
        app.state.update({"accept": accept, "instances": Instances(system), "lines": defaultdict(Waits)})
        headers = {TOKEN_HEADER: webhook_secret(line.shop.settings, line.chat.instance)}
        async with started(app), calling(app) as client:
            answer = await client.post(f"{HOOKS}/{line.chat.instance}", json=webhooks.text(line.chat), headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1

    async def test_what_failed_once_is_applied_when_it_comes_again(self, line: Line, entrance: Entrance) -> None:
        await self.expect_503(line, entrance, None, line.shop.workspace.kernel.system)
        assert (await line.shop.tell(webhooks.text(line.chat))).status_code == 200
        assert len(await line.shop.workspace.rows(BODIES)) == 1


class TestConnection:
    def at(self, webhook: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The webhook as told so many seconds from now by the gateway's clock, which is three hours behind and says Z."""
        moment = datetime.now(UTC) - timedelta(hours=3) + timedelta(seconds=seconds)
        return webhook | {"date_time": f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"}

    async def told(self, line: Line, state: str, reason: int = 200, seconds: float = 0) -> tuple[str, str | None]:
        answer = await line.shop.tell(self.at(webhooks.connection(line.chat, state, reason), seconds))
        assert answer.status_code == 200
        return await line.status()

    async def test_logged_out_on_the_phone(self, line: Line) -> None:
        assert await self.told(line, "close", 401) == ("disconnected", "logged_out")
        assert (await line.shop.show(line.number))["last_error"].startswith("The number was unlinked")

    async def test_forbidden_is_restricted_and_stays_so(self, line: Line) -> None:
        assert await self.told(line, "close", 403) == ("restricted", "forbidden")
        assert await self.told(line, "close", 401) == ("restricted", "forbidden")
        assert await self.told(line, "open") == ("connected", None)

    async def test_an_older_event_that_comes_late_changes_nothing(self, line: Line) -> None:
        assert await self.told(line, "open", seconds=-60) == ("connected", None)
        assert await self.told(line, "connecting", seconds=60) == ("connected", None)
        assert await self.told(line, "open", seconds=70) == ("connected", None)
        assert await self.told(line, "close", 401, seconds=30) == ("connected", None)
        assert await self.told(line, "close", 401, seconds=80) == ("disconnected", "logged_out")
        assert (await line.shop.topics(line.number))[-3:] == ["interrupted", "connected", "disconnected"]

    async def test_the_same_news_twice_are_one_event(self, line: Line) -> None:
        await self.told(line, "close", 401)
        before = await line.shop.topics(line.number)
        await self.told(line, "close", 401)
        assert await line.shop.topics(line.number) == before

    async def test_a_new_pairing_shows_its_qr_and_ends_at_the_limit(self, line: Line) -> None:
        await self.told(line, "close", 401)
        assert (await line.shop.tell(webhooks.qr(line.chat, "ABCD2345"))).status_code == 200
        assert await line.status() == ("pending_qr", None)
        qr = (await line.shop.call("GET", f"/{line.number}/qr")).json()["data"]
        assert (qr["pairing_code"], qr["qr_base64"][:10]) == ("ABCD2345", "data:image")
        limit = {"message": "QR code limit reached, please login again", "statusCode": 500}
        await line.shop.tell(webhooks.envelope(line.chat, "qrcode.updated", limit))
        assert await self.told(line, "refused", 428) == ("disconnected", "qr_limit")

    async def test_the_log_holds_no_picture(self, line: Line) -> None:
        await self.told(line, "close", 401)
        await line.shop.tell(webhooks.qr(line.chat))
        qr = (await line.shop.call("GET", f"/{line.number}/qr")).json()["data"]["qr_base64"]
        rows = await line.shop.workspace.rows("SELECT max(length(payload)) AS longest FROM event WHERE tenant_id = $1")
        assert qr is not None
        assert rows[0]["longest"] < 400
        assert await line.seen() == []

    async def test_it_is_noted_once_a_minute_that_something_was_heard(self, line: Line) -> None:
        query = "SELECT last_webhook_at FROM phone_instance WHERE tenant_id = $1"
        async with line.shop.workspace.kernel.system.connection() as connection:
            await connection.execute("UPDATE phone_instance SET last_webhook_at = NULL WHERE tenant_id = $1", line.shop.workspace.tenant)
        line.shop.forget()
        assert (await line.shop.tell(webhooks.text(line.chat))).status_code == 200
        ((first,),) = [row.values() for row in await line.shop.workspace.rows(query)]
        await line.shop.tell(webhooks.text(line.chat, webhooks.Stamp(id="3A00000000000000000001")))
        ((second,),) = [row.values() for row in await line.shop.workspace.rows(query)]
        assert first is not None
        assert first == second


class TestAGap:
    async def test_what_was_missed_is_found_and_what_is_known_is_not_doubled(self, line: Line) -> None:
        ana = {"phone": "5511987654321", "name": "Ana"}
        line.shop.gateway.control("say", text="Antes", **ana)
        await line.shop.relay("messages.upsert")
        line.shop.gateway.control("say", text="Perdida", **ana)
        await self.reconnect(line, "2 minutes")
        await line.shop.work()
        assert [row["body"] for row in await line.shop.workspace.rows(BODIES)] == ["Antes", "Perdida"]
        await line.shop.relay("messages.upsert", lambda data: data["message"].get("conversation") == "Perdida")
        assert len(await line.shop.workspace.rows(BODIES)) == 2
        states = await line.shop.workspace.rows("SELECT kind, state FROM outbox WHERE tenant_id = $1 ORDER BY id")
        assert states[-1] == {"kind": "whatsapp.reconcile", "state": "done"}

    async def test_a_short_drop_looks_for_nothing(self, line: Line) -> None:
        await self.reconnect(line, "10 seconds")
        kinds = await line.shop.workspace.rows("SELECT kind FROM outbox WHERE tenant_id = $1")
        assert {"kind": "whatsapp.reconcile"} not in kinds

    async def reconnect(self, line: Line, silence: str) -> None:
        """The gateway comes back after it was not heard of for so long."""
        async with line.shop.workspace.kernel.system.connection() as connection:
            await connection.execute(
                "UPDATE phone_instance SET last_webhook_at = now() - $2::text::interval WHERE tenant_id = $1",
                line.shop.workspace.tenant,
                silence,
            )
        line.shop.forget()
        for state in ("connecting", "open"):
            await line.shop.tell(webhooks.connection(line.chat, state))
