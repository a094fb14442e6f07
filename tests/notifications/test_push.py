"""Web Push from the outside: a browser subscribes, a customer writes, and the browser reads what its push service was given."""

import base64
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from msgspec.structs import replace

from plixa.inbox.queries.notices import WRITERS
from plixa.kernel.crypto import Vault
from plixa.kernel.egress import ForbiddenAddress, Outside, check_url, is_public
from plixa.kernel.settings import Settings
from plixa.notifications.actors.push import Actors
from plixa.notifications.client.push import WebPush
from plixa.notifications.commands.push import obtain_key
from tests.identity.people import bearer
from tests.identity.tokens import staff_token
from tests.inbox.desk import Desk, stamp
from tests.notifications.browsers import SUBSCRIPTIONS, Browser, PushService, begin, bring, claims, react
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace
from tests.whatsapp import webhooks

ROWS = "SELECT * FROM push_subscription WHERE tenant_id = $1 ORDER BY id"
PENDING = "SELECT state, attempts, due_at - now() AS waits, payload::text FROM outbox WHERE tenant_id = $1 AND kind = 'push.send'"
LONG = "Olá! " + "ç" * 200


@pytest.fixture
def service() -> Iterator[PushService]:
    with PushService().listening() as service:
        yield service


@pytest.fixture
async def followed(desk: Desk) -> Desk:
    """Lúcia's inbox, whose log is followed from now on."""
    await begin(desk.workspace.kernel, desk.workspace.tenant)
    return desk


async def test_a_browser_reads_what_a_customer_wrote_and_nobody_between(
    followed: Desk, client: AsyncClient, settings: Settings, lucia: Member, service: PushService
) -> None:
    browser = Browser(service.url)
    shown = await browser.subscribe(client, lucia.headers)
    assert shown["endpoint_host"] == service.url.removeprefix("http://")
    await followed.hear(webhooks.text(followed.chat(name="Marta"), stamp(), LONG))
    conversation = (await followed.only())["id"]
    assert await bring(settings, followed.workspace) == 1
    (push,) = service.caught
    told, key = claims(push.headers["authorization"])
    assert told["aud"] == service.url
    assert 0 < told["exp"] - time.time() <= 86_400
    assert told["sub"].startswith(("mailto:", "https:"))
    assert key == (await client.get("/v1/push/config", headers=lucia.headers)).json()["data"]["vapid_public_key"]
    assert push.headers["content-encoding"] == "aes128gcm"
    assert (push.headers["ttl"], push.headers["urgency"]) == ("3600", "high")
    assert len(push.headers["topic"]) == 32
    (notice,) = service.of(browser)
    assert len(notice["body"]) == 120
    assert notice["body"].startswith("Olá! çç")
    assert notice | {"ts": 0, "body": ""} == {
        "v": 1,
        "kind": "message",
        "title": "Marta",
        "body": "",
        "content": "text",
        "ts": 0,
        "url": f"/inbox/{conversation}",
        "tag": f"conversation/{conversation}",
    }
    (row,) = await followed.workspace.rows(PENDING)
    assert row["state"] == "done"
    assert "Marta" not in row["payload"]
    assert "Olá" not in row["payload"]
    (seen,) = (await client.get(SUBSCRIPTIONS, headers=lucia.headers)).json()["data"]
    assert seen["last_used_at"] is not None


async def test_history_and_what_came_while_nobody_had_a_browser_pushes_nothing(
    desk: Desk, client: AsyncClient, settings: Settings, lucia: Member, service: PushService
) -> None:
    await desk.open()
    await begin(desk.workspace.kernel, desk.workspace.tenant)
    await desk.open("5511900000001")
    await react(desk.workspace.kernel, desk.workspace.tenant)
    await Browser(service.url).subscribe(client, lucia.headers)
    assert await bring(settings, desk.workspace) == 0


@pytest.mark.parametrize("answer", [404, 410])
async def test_a_browser_that_is_gone_is_forgotten(
    followed: Desk, client: AsyncClient, settings: Settings, lucia: Member, service: PushService, answer: int
) -> None:
    gone, there = Browser(service.url, answer), Browser(service.url)
    for browser in (gone, there):
        await browser.subscribe(client, lucia.headers)
    await followed.open()
    assert await bring(settings, followed.workspace) == 2
    assert [row["endpoint_host"] for row in await followed.workspace.rows(ROWS)] == [service.url.removeprefix("http://")]
    assert len(service.of(there)) == 1
    await followed.open("5511900000001")
    assert await bring(settings, followed.workspace) == 1


@pytest.mark.parametrize(("answer", "waits"), [(429, 7), (500, 10), (503, 10)])
async def test_a_service_that_cannot_now_is_asked_again_and_not_for_ever(
    followed: Desk, client: AsyncClient, settings: Settings, lucia: Member, service: PushService, answer: int, waits: int
) -> None:
    await Browser(service.url, answer).subscribe(client, lucia.headers)
    await followed.open()
    await bring(settings, followed.workspace)
    (row,) = await followed.workspace.rows(PENDING)
    assert row["state"] == "waiting"
    assert abs(row["waits"] - timedelta(seconds=waits)) < timedelta(seconds=3)
    for _ in range(3):
        await bring(settings, followed.workspace)
    (row,) = await followed.workspace.rows(PENDING)
    assert (row["state"], row["attempts"], len(service.caught)) == ("done", 4, 4)
    (subscription,) = await followed.workspace.rows(ROWS)
    assert subscription["failures"] == 1


@pytest.mark.parametrize("answer", [302, 400, 403, 413])
async def test_a_refusal_is_not_repeated_and_a_redirect_not_followed(
    followed: Desk, client: AsyncClient, settings: Settings, lucia: Member, service: PushService, answer: int
) -> None:
    browser = Browser(service.url, answer)
    await browser.subscribe(client, lucia.headers)
    await followed.open()
    await bring(settings, followed.workspace)
    assert [one.name for one in service.caught] == [browser.name]
    (row,) = await followed.workspace.rows(PENDING)
    assert row["state"] == "done"
    await followed.workspace.rows(
        "UPDATE push_subscription SET failures = 4, failing_since = now() - interval '25 hours' WHERE tenant_id = $1 RETURNING id"
    )
    await followed.open("5511900000001")
    await bring(settings, followed.workspace)
    assert await followed.workspace.rows(ROWS) == []


async def test_what_has_no_keys_is_told_that_there_is_something(
    followed: Desk, client: AsyncClient, settings: Settings, lucia: Member, service: PushService
) -> None:
    browser = Browser(service.url)
    answer = await client.post(SUBSCRIPTIONS, json={"endpoint": browser.endpoint}, headers=lucia.headers)
    assert answer.status_code == 201, answer.text
    await followed.open()
    await bring(settings, followed.workspace)
    assert [one.body for one in service.caught] == [b""]


async def test_again_makes_no_second_and_a_browser_goes_to_whoever_uses_it(
    client: AsyncClient, lucia_studios: Workspace, lucia: Member, ana: Member, other_tenant: Workspace, service: PushService
) -> None:
    browser = Browser(service.url)
    first = await browser.subscribe(client, lucia.headers)
    assert (await browser.subscribe(client, lucia.headers))["id"] == first["id"]
    (row,) = await lucia_studios.rows(ROWS)
    assert browser.endpoint.encode() not in row["sealed"]
    await browser.subscribe(client, ana.headers)
    assert [row["member_id"] for row in await lucia_studios.rows(ROWS)] == [ana.id]
    assert (await client.get(SUBSCRIPTIONS, headers=lucia.headers)).json()["data"] == []
    assert (await client.request("DELETE", SUBSCRIPTIONS, json={"endpoint": browser.endpoint}, headers=lucia.headers)).status_code == 204
    assert len(await lucia_studios.rows(ROWS)) == 1
    await browser.subscribe(client, other_tenant.owner.headers)
    assert await lucia_studios.rows(ROWS) == []
    gone = {"endpoint": browser.endpoint}
    for _ in range(2):
        assert (await client.request("DELETE", SUBSCRIPTIONS, json=gone, headers=other_tenant.owner.headers)).status_code == 204
    assert await other_tenant.rows(ROWS) == []
    actions = [one["action"] for one in await read_trail(client, lucia_studios, subject="push_subscription")]
    assert actions == ["push_subscription.renewed", "push_subscription.created"]
    trail = await read_trail(client, other_tenant, subject="push_subscription")
    assert [one["action"] for one in trail] == ["push_subscription.removed", "push_subscription.created"]
    assert browser.name not in str(trail)


async def test_a_subscription_ends_with_its_session_and_the_oldest_of_many_goes(
    client: AsyncClient, lucia_studios: Workspace, lucia: Member, ana: Member, service: PushService
) -> None:
    for _ in range(22):
        await Browser(service.url).subscribe(client, lucia.headers)
    await Browser(service.url).subscribe(client, ana.headers)
    numbers = [row["id"] for row in await lucia_studios.rows(ROWS)]
    assert len(numbers) == 21
    assert (await client.post("/v1/auth/logout", headers=lucia.headers)).status_code == 204
    assert [row["member_id"] for row in await lucia_studios.rows(ROWS)] == [ana.id]


async def test_staff_have_browsers_of_their_own(client: AsyncClient, settings: Settings, lucia: Member, service: PushService) -> None:
    sam = bearer(await staff_token(client._transport.app.state.kernel))  # type: ignore[attr-defined]
    browser = Browser(service.url)
    answer = await client.post("/v1/admin/push/subscriptions", json=browser.json(), headers=sam)
    assert answer.status_code == 201, answer.text
    assert len((await client.get("/v1/admin/push/subscriptions", headers=sam)).json()["data"]) == 1
    keys = [(await client.get(f"/v1{path}/push/config", headers=who)).json() for path, who in (("", lucia.headers), ("/admin", sam))]
    assert keys[0] == keys[1]
    assert (await client.post("/v1/admin/push/subscriptions", json=browser.json(), headers=lucia.headers)).status_code == 403
    gone = {"endpoint": browser.endpoint}
    assert (await client.request("DELETE", "/v1/admin/push/subscriptions", json=gone, headers=sam)).status_code == 204
    assert (await client.get("/v1/admin/push/subscriptions", headers=sam)).json()["data"] == []


def turned(**changes: Any) -> dict[str, Any]:
    return Browser("https://push.example.com").json(**changes)


@pytest.mark.parametrize(
    ("form", "named"),
    [
        (turned(endpoint="https://push.example.com/" + "x" * 2048), "endpoint"),
        (turned(endpoint="http://push.example.com/x"), "endpoint"),
        (turned(endpoint="https://10.0.0.1/x"), "endpoint"),
        (turned(keys={"p256dh": "AAAA", "auth": "A" * 22}), "keys.p256dh"),
        (turned(keys={"p256dh": base64.urlsafe_b64encode(b"\4" + bytes(64)).decode(), "auth": "A" * 22}), "keys.p256dh"),
        (turned(keys=turned()["keys"] | {"auth": "AAAA"}), "keys.auth"),
        (turned(keys={"auth": "A" * 22}), "keys"),
        (turned(content_encoding="aesgcm"), "content_encoding"),
    ],
)
async def test_what_no_browser_gives_is_refused(client: AsyncClient, lucia: Member, form: dict[str, Any], named: str) -> None:
    answer = await client.post(SUBSCRIPTIONS, json=form, headers=lucia.headers)
    assert answer.status_code == 422, answer.text
    assert named in str(answer.json()["errors"][0]["details"])


HOSTS = (
    *("127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "localhost", "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
    *("10.0.0.1", "169.254.169.254", "100.64.0.1", "8.8.8.8", "①②⑦.0.0.1", "user@push.example.com", "push.example.com:22", "com", ""),
    *("push.example.com\\@127.0.0.1", "push.example.com:443@127.0.0.1", "push.example.com.", "pu sh.example.com", "push.example.com\t"),
)


@pytest.mark.parametrize(
    "url", [*(f"https://{host}/x" for host in HOSTS), "http://push.example.com/", "file:///etc/passwd", "gopher://a.b/"]
)
def test_no_other_address_is_called(url: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_url(url, loopback=False)


@pytest.mark.parametrize(
    "url", ["https://fcm.googleapis.com/fcm/send/a:B-_c", "https://updates.push.services.mozilla.com:443/wpush/v2/gAAA"]
)
def test_the_services_of_browsers_are_called(url: str) -> None:
    assert check_url(url, loopback=False).hostname


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "198.18.0.1"),
        *("240.0.0.1", "255.255.255.255", "::1", "::", "fc00::1", "fe80::1%eth0", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::"),
        *("2001:0:4136:e378::", "::127.0.0.1", "ff02::1", "fec0::1"),
    ],
)
def test_a_network_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)
    assert is_public("8.8.8.8")
    assert is_public("2606:4700:4700::1111")


async def test_a_name_that_leads_to_this_machine_is_not_called(monkeypatch: pytest.MonkeyPatch, service: PushService) -> None:
    """The name means something public at first, and something of ours once we would connect: it is only asked once, and then refused."""
    asked: list[str] = []

    async def lead(_loop: Any, host: str, port: int, **_more: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("8.8.8.8", port)), (2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", lead)
    monkeypatch.setattr("uvloop.Loop.getaddrinfo", lead, raising=False)
    with pytest.raises(ForbiddenAddress):
        await Outside(seconds=2, loopback=True).post("https://push.example.com/x", {}, b"")
    assert asked == ["push.example.com"]
    assert service.caught == []


async def test_production_calls_nothing_on_this_machine(
    followed: Desk, client: AsyncClient, settings: Settings, lucia: Member, service: PushService
) -> None:
    await Browser(service.url).subscribe(client, lucia.headers)
    await followed.open()
    await react(followed.workspace.kernel, followed.workspace.tenant)
    production = WebPush(replace(settings, environment="production", public_url="https://chat.example.com"))
    await do_effects(followed.workspace, "push.send", handlers=Actors(production, WRITERS).handlers())
    assert service.caught == []
    (row,) = await followed.workspace.rows(PENDING)
    assert row["state"] == "done"


async def test_the_key_outlives_a_change_of_the_master_key(settings: Settings, client: AsyncClient) -> None:
    kernel = client._transport.app.state.kernel  # type: ignore[attr-defined]
    key = await obtain_key(kernel)
    newer = replace(kernel, vault=Vault((secrets.token_bytes(32), *settings.secret_keys)))
    assert await obtain_key(newer) == key
