"""How mails of a campaign fared, in whichever order Resend tells it, and who is never written to again."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from httpx import AsyncClient

from plixa.backoffice.domain.campaigns import STATES
from plixa.kernel.audit import PLATFORM
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from plixa.notifications.client import LocalMailbox
from tests.backoffice.blasts import CONTENT, Blast, addresses, blast, news, tell
from tests.backoffice.crew import Staff, codes
from tests.identity.people import entries, value

MAILBOX = LocalMailbox()
TOLD = ("sent", "delivered", "opened", "complained")
PERMANENT: dict[str, Any] = {"bounce": {"type": "Permanent", "subType": "General", "message": "550 5.1.1 <ana@example.com>: no such user"}}
TEMPORARY: dict[str, Any] = {"bounce": {"type": "Transient", "subType": "MailboxFull", "message": "full"}}
SEALED = "SELECT count(*) FROM mail_suppression s WHERE strpos(to_jsonb(s)::text, $1) > 0"


async def sent(staff: Staff, kernel: Kernel, settings: Settings, count: int) -> Blast:
    """A campaign whose mails have left."""
    one = await blast(staff, kernel, settings, addresses(count))
    await one.work(MAILBOX, rounds=2)
    return one


async def is_written_to(staff: Staff, email: str) -> bool:
    """Would a campaign go to it?"""
    return bool((await staff.do("GET", "/campaigns/audience", params={"audience": "emails", "audience_value": email}))["count"])


async def test_the_order_of_news_does_not_matter(bruna: Staff, client: AsyncClient, kernel: Kernel, settings: Settings) -> None:
    orders = list(permutations(TOLD))
    one, began = await sent(bruna, kernel, settings, len(orders)), datetime.now(UTC)
    for order, who in zip(orders, await one.recipients(), strict=True):
        for kind in order:
            at = began + timedelta(minutes=TOLD.index(kind))
            for _ in range(2):
                assert (await tell(client, news(kind, who["email"], who["id"], at=at))).status_code == 200
    await one.work(MAILBOX)
    view = await one.view()
    assert view["counts"] == dict.fromkeys(STATES, 0) | {"complained": len(orders)}
    assert (view["status"], view["sent_count"]) == ("sent", len(orders))
    delivered = {one["delivered_at"] for one in await one.recipients(status="complained")}
    assert {datetime.fromisoformat(at) for at in delivered} == {began + timedelta(minutes=1)}


async def test_the_counts_are_right_after_any_history(bruna: Staff, client: AsyncClient, kernel: Kernel, settings: Settings) -> None:
    one, chance = await blast(bruna, kernel, settings, addresses(9)), random.Random(7)
    people, heard = await one.recipients(), dict[int, list[str]]()
    kinds = ("sent", "delivered", "opened", "clicked", "delivery_delayed", "bounced", "failed", "suppressed")
    for step in range(60):
        who, kind = chance.choice(people), chance.choice(kinds)
        heard.setdefault(who["id"], []).append({"clicked": "opened", "delivery_delayed": "queued"}.get(kind, kind))
        assert (await tell(client, news(kind, who["email"], who["id"]), f"msg_{one.id}_{step}")).status_code == 200
        if step in (20, 40):
            await one.work(MAILBOX)
            await one.view()
    await one.work(MAILBOX, rounds=2)
    await one.view()
    for who in await one.recipients():
        least = max(map(STATES.index, heard.get(who["id"], ["queued"])))
        assert STATES.index(who["status"]) >= max(least, 1), (who, heard)


@pytest.mark.parametrize(
    ("kind", "more", "state", "is_over"),
    [
        ("bounced", PERMANENT, "bounced", True),
        ("bounced", TEMPORARY, "bounced", False),
        ("complained", {}, "complained", True),
        ("suppressed", {"suppressed": {"type": "x", "message": "y"}}, "suppressed", True),
        ("failed", {"failed": {"reason": "x"}}, "failed", False),
        ("delivery_delayed", {}, "sent", False),
        ("opened", {"open": {"ipAddress": "203.0.113.7"}}, "opened", False),
    ],
)
async def test_an_address_that_is_at_an_end_is_never_written_to_again(
    bruna: Staff, client: AsyncClient, kernel: Kernel, settings: Settings, kind: str, more: dict[str, Any], state: str, is_over: bool
) -> None:
    one = await sent(bruna, kernel, settings, 1)
    (who,) = await one.recipients()
    answer = await tell(client, news(kind, who["email"], who["id"], **more))
    assert answer.json() == {"data": None, "meta": None, "errors": None}
    await one.work(MAILBOX)
    (who,) = await one.recipients()
    assert (who["status"], await is_written_to(bruna, who["email"].upper())) == (state, not is_over)
    assert "203.0.113.7" not in str(await one.view()) + str(who)
    assert "ana@example.com" not in str(who["error"])
    again = await bruna.call("POST", "/campaigns", json=CONTENT | {"audience": "emails", "audience_value": [who["email"]]})
    tried = await bruna.call("POST", "/campaigns/test", json=CONTENT | {"email": who["email"]})
    if is_over:
        assert (codes(again), codes(tried)) == ((409, "EMPTY_AUDIENCE"), (409, "ADDRESS_SUPPRESSED"))
        assert await value(kernel, SEALED, who["email"]) == 0  # kept as a pseudonym
    else:
        assert (again.status_code, tried.status_code) == (201, 200)


async def test_news_of_any_mail_ends_its_address(bruna: Staff, client: AsyncClient) -> None:
    (email,) = addresses(1)
    told = news("bounced", f"Ana <{email}>", **PERMANENT)
    told["data"]["tags"] = {"template": "password_reset"}
    assert (await tell(client, told)).status_code == 200
    assert not await is_written_to(bruna, email)


async def test_news_of_somebody_elses_mail_changes_nothing(bruna: Staff, client: AsyncClient, kernel: Kernel, settings: Settings) -> None:
    one = await sent(bruna, kernel, settings, 2)
    first, second = await one.recipients()
    for told in (
        news("opened", first["email"], second["id"]),
        news("opened", "another@example.com", first["id"]),
        news("opened", first["email"], 10**17),
        news("opened", first["email"]) | {"data": {"to": [first["email"]], "tags": {"recipient": "1 OR 1=1"}}},
        news("opened", first["email"]) | {"data": {"to": [first["email"]], "tags": [{"name": "recipient", "value": first["id"]}]}},
        news("opened", first["email"]) | {"data": {"to": [first["email"]], "tags": {"recipient": "٣"}}},
    ):
        assert (await tell(client, told)).status_code == 200
    await one.work(MAILBOX)
    assert await one.states() == ["sent", "sent"]


async def test_looking_at_the_page_unsubscribes_nobody_and_its_button_does(
    bruna: Staff, client: AsyncClient, kernel: Kernel, settings: Settings
) -> None:
    one = await blast(bruna, kernel, settings, addresses(3))
    await one.work(MAILBOX)
    first, second, third = await one.recipients()
    path = f"/v1/email/unsubscribe/{await one.token(first['id'])}"
    for _ in range(2):
        page = await client.get(path)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert '<form method="post">' in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
        assert first["email"] not in page.text + path
    assert await is_written_to(bruna, first["email"])
    before = len(await entries(kernel, PLATFORM))
    one_click: dict[str, Any] = {"content": "List-Unsubscribe=One-Click", "headers": {"content-type": "application/x-www-form-urlencoded"}}
    done = await asyncio.gather(*(client.post(path, **one_click) for _ in range(5)))
    assert {(answer.status_code, "no more news" in answer.text, "<form" in answer.text) for answer in done} == {(200, True, False)}
    fresh = [entry for _, entry in (await entries(kernel, PLATFORM))[before:]]
    assert ([entry.action for entry in fresh], first["email"] in str(fresh)) == (["mail.unsubscribed"], False)
    assert [await is_written_to(bruna, who["email"]) for who in (first, second)] == [False, True]

    await one.work(MAILBOX)
    assert await one.states() == ["suppressed", "sent", "sent"]
    view = await one.view()
    assert (view["status"], view["sent_count"], view["failed_count"]) == ("sent", 2, 1)
    await bruna.do("DELETE", f"/campaigns/{one.id}")
    assert (await client.post(f"/v1/email/unsubscribe/{await one.token(third['id'])}")).status_code == 200
    assert not await is_written_to(bruna, third["email"])


async def test_the_page_speaks_its_readers_language(bruna: Staff, client: AsyncClient, kernel: Kernel, settings: Settings) -> None:
    (email,) = addresses(1)
    await client.post("/v1/waitlist", json={"email": email, "locale": "pt-PT"})
    made = await bruna.do("POST", "/campaigns", json=CONTENT | {"audience": "waitlist"})
    one = Blast(made["id"], bruna, kernel, settings)
    await one.work(MAILBOX)
    (mine,) = [who for who in await one.recipients() if who["email"] == email]
    page = await client.get(f"/v1/email/unsubscribe/{await one.token(mine['id'])}")
    assert '<html lang="pt-BR">' in page.text
    await bruna.do("DELETE", f"/campaigns/{one.id}")


async def test_a_link_that_we_did_not_make_is_nothing(bruna: Staff, client: AsyncClient, kernel: Kernel, settings: Settings) -> None:
    one = await blast(bruna, kernel, settings, addresses(1))
    await one.work(MAILBOX)
    (who,) = await one.recipients()
    token = await one.token(who["id"])
    other = ("A" if token[20] != "A" else "B").join((token[:20], token[21:]))
    for wrong in (other, token[:-4], token + "AAAA", "x", "A" * 90, "%00", "é", "A" * 5000, "..%2Fadmin"):
        for method in ("GET", "POST"):
            answer = await client.request(method, f"/v1/email/unsubscribe/{wrong}")
            assert answer.status_code == 404, (wrong, answer.text)
    assert await is_written_to(bruna, who["email"])
