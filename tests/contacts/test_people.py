"""The directory of contacts: made once a phone, found by any word or digits, renamed everywhere, deleted without their conversations."""

import asyncio
from typing import Any

import pytest

from plixa.inbox.actors import Actors
from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings
from projections.registry import INLINE
from tests.contacts.directory import add, ask, do, found, get, refused, restrict
from tests.identity.people import bearer
from tests.identity.tokens import new_token, set_plan
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_erasing import read_models
from tests.scheduling.salon import Salon
from tests.support.effects import do_effects
from tests.support.numbers import connect_number
from tests.support.trail import read_trail
from tests.support.world import Member
from tests.whatsapp import webhooks

ROWS = "SELECT id FROM contact WHERE tenant_id = $1"
ALIASES = "SELECT value FROM contact_alias WHERE tenant_id = $1"
KEYS = "SELECT contact_id FROM stream_key WHERE tenant_id = $1 AND contact_id IS NOT NULL"


async def test_whoever_adds_somebody_known_gets_who_is_there(desk: Desk, ana: Member) -> None:
    made = await add(desk, "+5511987654321", " Caio ", ana)
    assert made == {
        "id": made["id"], "contact_phone": "5511987654321", "contact_name": "Caio", "labels": [], "last_seen_at": None,
        "conversations_count": 0, "opted_out": False, "blocked": False, "created_at": made["created_at"],
    }  # fmt: skip
    for phone, name in (("5511987654321", None), ("551187654321", "Outro"), ("+5511987654321", "Outro")):
        assert await add(desk, phone, name) == made
    unnamed = await add(desk, "351912345678")
    assert (await add(desk, "351912345678", "Inês"))["contact_name"] == "Inês"
    trail = [(one["action"], one["before"], one["after"]) for one in await read_trail(desk.client, desk.workspace, subject="contact")]
    assert trail[::-1] == [
        ("contact.created", None, None),
        ("contact.created", None, None),
        ("contact.updated", None, {"fields": ["contact_name"]}),
    ]
    assert [one["id"] for one in await desk.workspace.rows(ROWS + " ORDER BY id")] == [made["id"], unnamed["id"]]


async def test_many_who_add_the_same_at_once_make_one(desk: Desk) -> None:
    forms = ["5511987654321", "551187654321", "+5511987654321"] * 5
    made = await asyncio.gather(*(add(desk, form, "Caio") for form in forms))
    assert len({one["id"] for one in made}) == len(await desk.workspace.rows(ROWS)) == 1


@pytest.mark.parametrize("phone", ["1234567", "1" * 19, "55 11 98765-4321", "++5511987654321", "", "٥٥١١٩٨٧٦٥٤٣٢١", None])
async def test_what_is_no_phone_is_refused_by_name(desk: Desk, phone: str | None) -> None:
    answer = await ask(desk, "POST", json={"contact_phone": phone})
    assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, ["contact_phone"])


async def test_too_much_is_refused_by_name(desk: Desk) -> None:
    contact = (await add(desk))["id"]
    for method, path, body, field in (
        ("POST", "", {"contact_phone": "5511987654321", "contact_name": "x" * 121}, "contact_name"),
        ("PATCH", f"/{contact}", {"contact_name": "x" * 121}, "contact_name"),
        ("PATCH", f"/{contact}", {"notes": "x" * 4001}, "notes"),
    ):
        answer = await ask(desk, method, path, json=body)
        assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, [field])
    assert (await ask(desk, "GET", params={"q": "x" * 101})).status_code == 422
    assert (await ask(desk, "GET", params={"cursor": "x"})).status_code == 422


async def test_the_directory_is_sorted_by_age_or_name_page_by_page(desk: Desk) -> None:
    names = ["beto", "Álvaro", None, "Zé", "alice", "Beto", "ÉRICA"]
    ids = [(await add(desk, f"551198765000{turn}", name))["id"] for turn, name in enumerate(names)]
    by_name = [ids[place] for place in (2, 4, 1, 0, 5, 6, 3)]
    for sort, expected in (("created_at", ids), ("-created_at", ids[::-1]), ("name", by_name), ("-name", by_name[::-1])):
        for limit in (2, 3, 50):
            assert await found(desk, sort=sort, limit=limit) == expected, (sort, limit)
    assert await found(desk, sort="name", q="beto", limit=1) == [ids[0], ids[5]]
    await do(desk, "PATCH", f"/{ids[0]}", {"contact_name": "Úrsula"})
    assert (await found(desk, sort="name"))[-2:] == [ids[0], ids[3]]
    exported = await ask(desk, "GET", "/export", params={"sort": "name"})
    assert [line.split(",")[0] for line in exported.text.splitlines()[1:]] == ["", "alice", "Álvaro", "Beto", "ÉRICA", "Úrsula", "Zé"]
    page = (await ask(desk, "GET", params={"sort": "name", "limit": 1})).json()["meta"]["next_cursor"]
    for wrong in ({"sort": "phone"}, {"sort": "created_at", "cursor": page}):
        assert (await ask(desk, "GET", params=wrong)).status_code == 422


async def test_they_are_found_by_words_digits_and_what_is_so_of_them(desk: Desk) -> None:
    joao, maria = await add(desk, "5511987654321", "João Conceição"), await add(desk, "5521912345678", "Maria João")
    written = (await desk.open("5531900001111", name="Zé"))["contact"]["id"]
    label = await desk.label("VIP")
    await do(desk, "POST", f"/{maria['id']}/labels/{label}")
    await do(desk, "POST", f"/{maria['id']}/opt-out", {"reason": "asked"})
    await do(desk, "POST", f"/{joao['id']}/block")
    everybody = [written, maria["id"], joao["id"]]
    for query, expected in (
        ({}, everybody),
        ({"limit": 1}, everybody),
        ({"q": "joao"}, everybody[1:]),
        ({"q": "CONCEICAO joão"}, [joao["id"]]),
        ({"q": "4321"}, [joao["id"]]),
        ({"q": "1187654321"}, [joao["id"]]),
        ({"q": "ceicao"}, []),
        ({"q": "!!"}, []),
        ({"q": "jo", "limit": 1, "label_id": label}, [maria["id"]]),
        ({"label_id": label + 1}, []),
        ({"has_conversation": True}, [written]),
        ({"has_conversation": False}, everybody[1:]),
        ({"opted_out": True}, [maria["id"]]),
        ({"opted_out": False}, [written, joao["id"]]),
        ({"blocked": True}, [joao["id"]]),
        ({"blocked": False, "limit": 1}, everybody[:2]),
    ):
        assert await found(desk, **query) == expected, query
    shown = {one["id"]: one for one in await get(desk)}
    assert (shown[written]["conversations_count"], shown[written]["last_seen_at"] is None) == (1, False)
    assert [one["name"] for one in shown[maria["id"]]["labels"]] == ["VIP"]


async def test_they_are_found_by_their_notes_also_once_a_name_is_learned(desk: Desk) -> None:
    contact = (await add(desk, "5511987654321"))["id"]
    await do(desk, "PATCH", f"/{contact}", {"notes": "Alérgica a níquel"})
    assert await found(desk, q="niquel aler") == [contact]
    await desk.hear(webhooks.text(desk.chat("5511987654321", name="Berenice"), stamp()))
    assert await found(desk, q="berenice niquel") == [contact]
    await do(desk, "PATCH", f"/{contact}", {"notes": None})
    assert await found(desk, q="niquel") == []


async def test_a_phone_leads_to_them_in_either_form(desk: Desk, other_desk: Desk) -> None:
    made = await add(desk, "5511987654321", "Caio")
    for phone in ("5511987654321", "551187654321", "+5511987654321"):
        assert await get(desk, "/lookup", phone=phone) == made
        assert refused(await ask(other_desk, "GET", "/lookup", params={"phone": phone})) == (404, "NOT_FOUND")
    assert refused(await ask(desk, "GET", "/lookup", params={"phone": "5511900000000"})) == (404, "NOT_FOUND")
    assert (await ask(desk, "GET", "/lookup", params={"phone": "x"})).status_code == 422


async def test_one_contact_shows_all_there_is_of_them(desk: Desk, ana: Member) -> None:
    lid = "84000000000007"
    await desk.hear(webhooks.text(desk.chat(lid=lid, name="Caio", version="2.3.6"), stamp()))
    conversation = await desk.only()
    shown = await get(desk, f"/{conversation['contact']['id']}", ana)
    assert shown["aliases"] == [{"type": "phone", "value": "551187654321"}, {"type": "lid", "value": f"{lid}@lid"}]
    assert [one["id"] for one in shown["conversations"]] == [conversation["id"]]
    expected: dict[str, Any] = {
        "contact_name": "Caio",
        "notes": None,
        "custom_fields": [],
        "merges": [],
        "opted_out_at": None,
        "conversations_count": 1,
    }
    assert shown | expected == shown


async def test_one_contact_shows_their_appointments_and_those_of_whom_they_took_in(desk: Desk, ana: Member) -> None:
    salon = Salon(desk.workspace, desk.client)
    await salon.employ(ana)
    cut = await salon.offer(ana, name="Corte")
    kept, gone, other = [(await desk.open(f"551190000000{place}"))["contact"]["id"] for place in range(3)]
    booked = [await salon.booked(cut, salon.at(9 + hour), contact_id=contact) for hour, contact in enumerate((gone, kept, other))]
    await do(desk, "POST", f"/{gone}/merge", {"into": kept})
    shown = (await get(desk, f"/{kept}", ana))["appointments"]
    assert shown == [
        {name: one[name] for name in ("id", "start", "end", "provider", "timezone", "status")} | {"service": {"id": cut, "name": "Corte"}}
        for one in (booked[1], booked[0])
    ]


async def test_a_new_name_is_in_the_inbox_at_once(desk: Desk, settings: Settings) -> None:
    second = Desk(desk.workspace, await connect_number(settings, desk.workspace), desk.client, desk.app)
    first, other = await desk.open(name="Caio"), await second.open(name="Caio")
    contact = first["contact"]["id"]
    assert other["contact"]["id"] == contact
    body = {"contact_name": " Caio Lima ", "notes": "prefere manhã"}
    shown = await do(desk, "PATCH", f"/{contact}", body)
    assert (shown["contact_name"], shown["notes"]) == ("Caio Lima", "prefere manhã")
    assert await do(desk, "PATCH", f"/{contact}", body) == await do(desk, "PATCH", f"/{contact}", {}) == shown
    assert {one["contact_name"] for one in await desk.all(q="lima")} == {"Caio Lima"}
    assert (len(await desk.all(q="lima")), await found(desk, q="LIMA")) == (2, [contact])
    await desk.hear(webhooks.text(desk.chat(name="Outro"), stamp()))
    assert (await desk.show(first["id"]))["contact"]["name"] == "Caio Lima"
    assert (await do(desk, "PATCH", f"/{contact}", {"contact_name": None, "notes": ""}))["contact_name"] is None
    await desk.hear(webhooks.text(desk.chat(name="Outro"), stamp()))
    assert ((await desk.show(first["id"]))["contact"]["name"], (await get(desk, f"/{contact}"))["notes"]) == ("Outro", None)
    trail = await read_trail(desk.client, desk.workspace, subject="contact", subject_id=contact)
    assert [(one["action"], one["before"], one["after"]) for one in trail] == [
        ("contact.updated", None, {"fields": ["contact_name", "notes"]})
    ] * 2
    assert await desk.is_sound()


async def test_an_empty_name_filled_by_hand_reaches_the_inbox_behind_it(desk: Desk) -> None:
    number = (await desk.open(name=""))["id"]
    await add(desk, "551187654321", "Caio")
    gateway: Any = None
    assert await do_effects(desk.workspace, "inbox.follow_contacts", handlers=Actors(gateway).handlers()) == 1
    assert (await desk.show(number))["contact_name"] == "Caio"


async def test_who_is_deleted_leaves_their_conversations_and_comes_back_as_somebody_new(desk: Desk, settings: Settings) -> None:
    lid = "84000000000008"
    chat = desk.chat(lid=lid, name="Caio", version="2.3.6")
    await desk.hear(webhooks.text(chat, stamp()))
    number = (await desk.only())["id"]
    contact = (await desk.only())["contact"]["id"]
    label = await desk.label("VIP")
    await do(desk, "POST", f"/{contact}/labels/{label}")
    await do(desk, "POST", f"/{contact}/block")
    assert await do(desk, "DELETE", f"/{contact}") is None
    assert refused(await ask(desk, "GET", f"/{contact}")) == refused(await ask(desk, "DELETE", f"/{contact}")) == (404, "NOT_FOUND")
    assert await desk.workspace.rows(ALIASES) + await desk.workspace.rows(KEYS) + await get(desk) == []
    shown = await desk.only()
    assert shown["contact"] == {"id": None, "name": "Caio", "phone": "5511987654321", "blocked": False}
    assert (await desk.call("POST", f"/{number}/messages", json={"body": "Oi"})).status_code == 201
    incremental = await read_models(desk)
    await rebuild(settings, INLINE, desk.workspace.tenant)
    assert await read_models(desk) == incremental
    # By the LID alone, then by the phone: the same conversation goes on, with somebody new.
    await desk.hear(webhooks.text(desk.chat(None, lid=lid, name="Caio"), stamp(), "voltei"))
    fresh = await desk.only()
    assert (fresh["id"], fresh["status"], fresh["contact"]["id"] not in (None, contact)) == (number, "open", True)
    assert (await get(desk, f"/{fresh['contact']['id']}"))["labels"] == []
    assert [row["contact_id"] for row in await desk.workspace.rows(KEYS)] == [fresh["contact"]["id"]]
    events = await desk.events(number)
    assert [one for one in events if one.startswith("conversation.contact")] == [
        "conversation.contact_removed",
        "conversation.contact_changed",
    ]
    trail = await read_trail(desk.client, desk.workspace, action="contact.deleted")
    assert [(one["before"], one["after"]) for one in trail] == [({"conversations": [number]}, None)]
    assert await desk.is_sound()


async def test_whom_the_api_writes_to_again_has_the_old_conversation(desk: Desk) -> None:
    await set_plan(desk.workspace.kernel, desk.workspace.tenant, "professional")
    desk.forget()
    opened = await desk.open()
    await do(desk, "DELETE", f"/{opened['contact']['id']}")
    answer = await desk.client.post("/v1/messages/send", json={"phone": "551187654321", "body": "Oi"}, headers=desk.workspace.owner.headers)
    written = answer.json()["data"]
    assert (written["conversation_id"], (await desk.only())["contact"]["id"]) == (opened["id"], written["contact_id"])


async def test_agents_add_and_read_and_the_owner_does_the_rest(desk: Desk, ana: Member, other_desk: Desk) -> None:
    mine, theirs = (await add(desk))["id"], (await add(other_desk))["id"]
    doings: tuple[tuple[str, str, Any], ...] = (
        ("PATCH", "", {"notes": "x"}),
        ("DELETE", "", None),
        ("POST", "/block", None),
        ("DELETE", "/block", None),
        ("POST", "/merge", {"into": mine}),
        ("POST", "/unmerge", None),
        ("DELETE", "/opt-out?reason=other", None),
    )
    for method, path, body in doings:
        assert refused(await ask(desk, method, f"/{mine}{path}", ana, json=body)) == (403, "FORBIDDEN"), path
        assert refused(await ask(desk, method, f"/{theirs}{path}", json=body)) == (404, "NOT_FOUND"), path
    assert refused(await ask(desk, "POST", f"/{theirs}/opt-out", json={"reason": "asked"})) == (404, "NOT_FOUND")
    assert refused(await ask(desk, "GET", f"/{theirs}")) == (404, "NOT_FOUND")
    assert refused(await ask(desk, "GET", "/export", ana)) == (403, "FORBIDDEN")
    await set_plan(desk.workspace.kernel, desk.workspace.tenant, "professional")
    for ability, reads, adds in (("read", 200, 403), ("write", 403, 201)):
        token = bearer(await new_token(desk.workspace.kernel, "api", desk.workspace.tenant, desk.workspace.owner.id, ability))
        body = {"contact_phone": "5511900000001"}
        assert [(await desk.client.get(f"/v1/contacts{path}", headers=token)).status_code for path in ("", f"/{mine}")] == [reads] * 2
        assert (await desk.client.post("/v1/contacts", json=body, headers=token)).status_code == adds
        assert (await desk.client.patch(f"/v1/contacts/{mine}", json={"notes": "x"}, headers=token)).status_code == 403
    assert await found(other_desk) == [theirs]


async def test_a_restricted_agent_learns_of_no_conversation_that_is_anothers(desk: Desk, ana: Member) -> None:
    opened = await desk.open()
    contact = opened["contact"]["id"]
    await desk.do("PATCH", f"/{opened['id']}", json={"assigned_user_id": desk.workspace.owner.id})
    await restrict(desk)
    shown = await get(desk, f"/{contact}", ana)
    assert (shown["conversations"], shown["conversations_count"], shown["last_seen_at"]) == ([], 0, None)
    assert await found(desk, ana, has_conversation=True) == []
    assert await found(desk, ana) == await found(desk, has_conversation=True) == [contact]
    await desk.do("PATCH", f"/{opened['id']}", json={"assigned_user_id": ana.id})
    assert [one["id"] for one in (await get(desk, f"/{contact}", ana))["conversations"]] == [opened["id"]]


async def test_an_erased_contact_is_gone_from_the_directory(desk: Desk) -> None:
    contact = (await desk.open(name="Caio"))["contact"]["id"]
    await do(desk, "PATCH", f"/{contact}", {"notes": "canary-notes"})
    await do(desk, "POST", f"/{contact}/erase")
    assert await found(desk) == await found(desk, q="caio") == []
    for method, path, body in (("GET", "", None), ("PATCH", "", {"notes": "x"}), ("DELETE", "", None), ("POST", "/block", None)):
        assert refused(await ask(desk, method, f"/{contact}{path}", json=body)) == (410, "ERASED")
    assert refused(await ask(desk, "POST", f"/{contact}/unmerge")) == (410, "ERASED")
    (row,) = await desk.workspace.rows("SELECT name, notes, words FROM contact WHERE tenant_id = $1")
    assert list(row.values()) == [None, None, ""]
