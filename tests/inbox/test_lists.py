"""The inbox list: tabs, filters, search, pages, and counts that agree with it."""

import random
from collections import Counter
from typing import Any

import pytest

from tests.inbox.desk import Desk, stamp
from tests.support.world import Member
from tests.whatsapp import webhooks

PHONES = [f"5511987651{number:03}" for number in range(12)]
NAMES = ["Zoë Müller", "José Antônio", "Élton São", "maria clara", "Łukasz", "O'Brien", "李雷", "Ana_Banana"]


@pytest.fixture
async def crowd(desk: Desk) -> list[int]:
    """Twelve conversations, the oldest first."""
    for number, phone in enumerate(PHONES):
        await desk.hear(webhooks.text(desk.chat(phone, name=NAMES[number % 8] if number < 8 else "Bia"), stamp()))
    return [one["id"] for one in await desk.all()][::-1]


def ids(found: list[dict[str, Any]]) -> list[int]:
    return [one["id"] for one in found]


class TestSearch:
    async def test_names_are_found_without_accents_and_by_their_beginnings(self, desk: Desk, crowd: list[int]) -> None:
        for q, place in (
            ("zoe", 0), ("MULL", 0), ("mül zo", 0), ("jose ant", 1), ("sao", 2), ("são el", 2), ("Mar Cla", 3),
            ("brien", 5), ("o'b", 5), ("李", 6), ("ana_b", 7), ("651003", 3), ("1003", 3), ("+55 (11) 98765-1004", 4),
        ):  # fmt: skip
            assert ids(await desk.all(q=q)) == [crowd[place]], q

    @pytest.mark.parametrize("q", ["xyz", "zoe jose", "'", "''", "& | !", "🙂", "\\", "zoe:*", "%", "()", "<->", "a" * 100])
    async def test_what_is_nobodys_name_finds_nobody(self, desk: Desk, crowd: list[int], q: str) -> None:
        expected = [crowd[0]] if q == "zoe:*" else []
        assert ids(await desk.all(q=q)) == expected

    async def test_a_name_the_workspace_gave_is_found_too(self, desk: Desk, crowd: list[int]) -> None:
        await desk.do("PATCH", f"/{crowd[2]}", json={"contact_name": "Padaria Central"})
        assert ids(await desk.all(q="padaria")) == ids(await desk.all(q="elton")) == [crowd[2]]
        await desk.do("PATCH", f"/{crowd[2]}", json={"contact_name": ""})
        assert await desk.all(q="padaria") == []

    @pytest.mark.parametrize("limit", [1, 3, 50])
    async def test_a_name_many_share_is_found_whole_on_pages_of_any_length(self, desk: Desk, crowd: list[int], limit: int) -> None:
        """Long pages of a name come from the index, short ones are met among the newest conversations."""
        await desk.do("PATCH", f"/{crowd[1]}", json={"contact_name": "Tia Béa"})
        await desk.do("POST", f"/{crowd[9]}/close")
        for q, status, expected in (
            ("bía", "open", [crowd[11], crowd[10], crowd[8]]),
            ("bia", "all", crowd[:7:-1]),
            ("BE", "open", [crowd[1]]),
            ("b", "open", [crowd[11], crowd[10], crowd[8], crowd[5], crowd[1]]),
        ):
            found: list[int] = []
            cursor = None
            while cursor is not None or not found:
                query = {"q": q, "status": status, "limit": limit} | ({"cursor": cursor} if cursor else {})
                page = (await desk.call("GET", "", params=query)).json()
                found += ids(page["data"])
                cursor = page["meta"]["next_cursor"]
            assert found == expected, q

    async def test_messages_are_found_by_their_words(self, desk: Desk, crowd: list[int]) -> None:
        sent = await desk.do("POST", f"/{crowd[1]}/messages", json={"body": "O orçamento ficou em R$ 1.250,00"})
        for q in ("orcamento", "ORÇA", "fic orc", "1.250"):
            assert ids(await desk.do("GET", "/search", params={"q": q})) == [sent["id"]], q
        for q in ("custo", "orcamentos", "🙂", "'"):
            assert await desk.do("GET", "/search", params={"q": q}) == []


class TestViews:
    async def test_tabs_and_filters(self, desk: Desk, crowd: list[int], ana: Member) -> None:
        owner = desk.workspace.owner
        label = await desk.label("VIP")
        mine, hers, asleep, done = crowd[:4]
        await desk.do("POST", "/bulk", json={"action": "assign", "ids": [mine], "assignee_id": owner.id})
        await desk.do("POST", "/bulk", json={"action": "assign", "ids": [hers], "assignee_id": ana.id})
        await desk.do("POST", "/bulk", json={"action": "add_label", "ids": [hers, asleep, done], "label_id": label})
        await desk.do("POST", f"/{asleep}/snooze", json={"until": "2027-01-01T00:00:00Z"})
        await desk.do("POST", f"/{done}/close")
        await desk.do("POST", f"/{mine}/read")
        rest = crowd[4:][::-1]
        for query, expected in (
            ({}, [*rest, hers, mine]),
            ({"status": "closed"}, [done]),
            ({"status": "all"}, [*rest, done, hers, mine]),
            ({"view": "mine"}, [mine]),
            ({"view": "unassigned"}, rest),
            ({"view": "snoozed"}, [asleep]),
            ({"unread": True}, [*rest, hers]),
            ({"unread": "1", "view": "mine"}, []),
            ({"assigned_user_id": ana.id}, [hers]),
            ({"label_id": label}, [hers]),
            ({"label_id": label, "status": "all"}, [done, hers]),
            ({"label_id": label, "view": "snoozed"}, [asleep]),
            ({"phone_instance_id": desk.number.id}, [*rest, hers, mine]),
            ({"phone_instance_id": desk.number.id + 1}, []),
            ({"sector_id": 1}, []),
        ):
            assert ids(await desk.all(**query)) == expected, query
        assert ids(await desk.all(ana, view="mine")) == [hers]

    async def test_a_snooze_that_has_passed_is_over_before_its_timer(self, desk: Desk, crowd: list[int]) -> None:
        await desk.do("POST", f"/{crowd[0]}/snooze", json={"until": "2027-01-01T00:00:00Z"})
        late = "UPDATE inbox_conversation SET snoozed_until = now() - interval '1 second' WHERE tenant_id = $1 AND id = $2"
        async with desk.workspace.kernel.system.connection() as connection:
            await connection.execute(late, desk.workspace.tenant, crowd[0])
        assert crowd[0] in ids(await desk.all())
        assert await desk.all(view="snoozed") == []
        assert await desk.do("GET", "/counts") == await counted(desk, desk.workspace.owner, [])
        assert (await desk.show(crowd[0]))["snoozed_until"] is None


class TestPages:
    async def test_what_does_not_move_is_seen_once(self, desk: Desk, crowd: list[int]) -> None:
        dice, moved, seen, cursor = random.Random(5), set(), [], None
        while True:
            page = (await desk.call("GET", "", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
            seen += ids(page["data"])
            assert page["meta"]["limit"] == 2
            cursor = page["meta"]["next_cursor"]
            if cursor is None:
                break
            number = dice.randrange(len(crowd))
            moved.add(crowd[number])
            await desk.hear(webhooks.text(desk.chat(PHONES[number]), stamp()))
        still = [one for one in seen if one not in moved]
        assert still == [one for one in crowd[::-1] if one not in moved]
        assert max(Counter(seen).values()) == 1

    async def test_rows_of_one_second_are_paged_without_gaps(self, desk: Desk) -> None:
        for phone in PHONES[:7]:
            await desk.hear(webhooks.text(desk.chat(phone), stamp(webhooks.TEN_O_CLOCK)))
        assert ids(await desk.all(limit=2)) == ids(await desk.all())
        assert len(await desk.all()) == 7

    async def test_a_thread_is_paged_both_ways(self, desk: Desk) -> None:
        number = (await desk.open())["id"]
        at = webhooks.TEN_O_CLOCK + 10_000
        for turn in range(9):
            await desk.hear(webhooks.text(desk.chat(), stamp(at + turn // 3), f"#{turn}"))
        newest = ids(await desk.do("GET", f"/{number}/messages"))
        for extra in ({}, {"as_of": "2098-01-01T00:00:00Z"}):
            seen: list[int] = []
            query: dict[str, Any] = {"limit": 4, **extra}
            while True:
                page = (await desk.call("GET", f"/{number}/messages", params=query)).json()
                seen += ids(page["data"])
                query["cursor"] = page["meta"]["next_cursor"]
                if query["cursor"] is None:
                    break
            assert seen == newest
            path = f"/{number}/messages"
            assert ids(await desk.do("GET", path, params={"before": newest[3], "limit": 2, **extra})) == newest[4:6]
            assert ids(await desk.do("GET", path, params={"after": newest[5], "limit": 2, **extra})) == newest[3:5]
            assert await desk.do("GET", path, params={"after": newest[0], **extra}) == []
            assert (await desk.call("GET", path, params={"after": number, **extra})).status_code == 404

    @pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "99999999999999999999"])
    async def test_a_page_has_between_one_and_two_hundred_rows(self, desk: Desk, limit: str) -> None:
        assert (await desk.call("GET", "", params={"limit": limit})).status_code == 422


class TestCounts:
    @pytest.mark.parametrize("seed", range(3))
    async def test_after_any_history_they_are_what_a_list_counts(self, desk: Desk, crowd: list[int], ana: Member, seed: int) -> None:
        dice = random.Random(seed)
        labels = [await desk.label("VIP"), await desk.label("Lead")]
        for _ in range(50):
            await random_step(desk, dice, crowd, (desk.workspace.owner, ana, labels))
        async with desk.workspace.kernel.system.connection() as connection:
            restrict = "UPDATE tenant SET agent_restricted = true WHERE tenant_id = $1"
            await connection.execute(restrict, desk.workspace.tenant)
        desk.forget()
        for member in (desk.workspace.owner, ana):
            counts = await desk.do("GET", "/counts", member)
            assert counts == await counted(desk, member, labels), member.name


async def random_step(desk: Desk, dice: random.Random, crowd: list[int], world: tuple[Member, Member, list[int]]) -> None:
    """Something that may happen to one conversation; not everything is possible in every state."""
    owner, ana, labels = world
    number = dice.choice(crowd)
    bulk = {"ids": dice.sample(crowd, 3)}
    steps: list[tuple[str, str, Any]] = [
        ("POST", "/bulk", bulk | {"action": "close"}),
        ("POST", "/bulk", bulk | {"action": "reopen"}),
        ("POST", "/bulk", bulk | {"action": "assign", "assignee_id": dice.choice([owner.id, ana.id, None])}),
        ("POST", "/bulk", bulk | {"action": dice.choice(["add_label", "remove_label"]), "label_id": dice.choice(labels)}),
        ("POST", f"/{number}/snooze", {"until": "2027-01-01T00:00:00Z"}),
        ("POST", f"/{number}/snooze", {"until": None}),
        ("POST", f"/{number}/read", None),
        ("POST", f"/{number}/unread", None),
        ("POST", f"/{number}/messages", {"body": "Oi"}),
        ("WEBHOOK", "", None),
        ("WEBHOOK", "", None),
    ]
    if dice.random() < 0.03:
        steps = [("DELETE", f"/{number}", None)]
    method, path, body = dice.choice(steps)
    if method == "WEBHOOK":
        await desk.hear(webhooks.text(desk.chat(dice.choice(PHONES)), stamp()))
        return
    assert (await desk.call(method, path, json=body)).status_code in (200, 201, 204, 404, 409)


async def counted(desk: Desk, member: Member, labels: list[int]) -> dict[str, Any]:
    """The counts as lists have them."""
    awake = await desk.all(member)
    restricted = member.role == "agent"
    by_label = {str(label): len(await desk.all(member, label_id=label)) for label in labels}
    return {
        "mine": len(await desk.all(member, view="mine")),
        "unassigned": len(await desk.all(member, view="unassigned")),
        "all": len(awake),
        "snoozed": len(await desk.all(member, view="snoozed")),
        "closed": None if restricted else len(await desk.all(member, status="closed")),
        "unread": len(await desk.all(member, unread=True)),
        "by_label": {} if restricted else {label: count for label, count in by_label.items() if count},
        "by_sector": {},
    }
