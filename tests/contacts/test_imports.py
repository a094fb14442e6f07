"""Lists of contacts come in as spreadsheets write them, once whatever dies meanwhile, and go out harmless."""

import asyncio
import csv
import io
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from plixa.contacts.actors import handlers
from plixa.inbox.actors import Actors
from plixa.kernel.delivery import ATTEMPTS, deliver
from plixa.kernel.settings import Settings
from tests.contacts.directory import add, ask, do, found, get, refused
from tests.inbox.desk import Desk
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import Member

ROOT = Path(__file__).parents[2]
WAITING = "SELECT id FROM outbox WHERE tenant_id = $1 AND kind = 'contacts.import' AND state IN ('waiting', 'running')"
LAPSE = "UPDATE outbox SET lease_until = NULL, due_at = now() WHERE tenant_id = $1 AND kind = 'contacts.import' RETURNING state"
PROGRESS = "SELECT processed FROM contact_import WHERE tenant_id = $1"
FILE = "SELECT file FROM contact_import WHERE tenant_id = $1"
RESULT = "SELECT line, outcome, message FROM contact_import_row WHERE tenant_id = $1 ORDER BY line"
PEOPLE = """SELECT c.phone, c.name, c.notes, replace(c.words, c.tenant_id::text || '/', '') AS words,
    (SELECT array_agg(a.value) FROM contact_alias a WHERE a.tenant_id = c.tenant_id AND a.contact_id = c.id) AS aliases,
    (SELECT array_agg(b.name ORDER BY b.name) FROM contact_label x JOIN label b ON b.tenant_id = x.tenant_id AND b.id = x.label_id
     WHERE x.tenant_id = c.tenant_id AND x.contact_id = c.id) AS labels
FROM contact c WHERE c.tenant_id = $1 ORDER BY c.phone"""


async def send(desk: Desk, content: bytes | str, member: Member | None = None) -> Response:
    """Give a file to be brought in."""
    raw = content.encode() if isinstance(content, str) else content
    return await ask(desk, "POST", "/imports", member, files={"file": ("lista.csv", raw, "text/csv")})


async def bring(desk: Desk, content: bytes | str) -> dict[str, Any]:
    """The same, worked on to its end: what became of it."""
    answer = await send(desk, content)
    assert (answer.status_code, answer.json()["data"]["state"]) == (201, "waiting"), answer.text
    assert await do_effects(desk.workspace, "contacts.import", handlers=handlers()) == 1
    shown: dict[str, Any] = await get(desk, f"/imports/{answer.json()['data']['id']}")
    return shown


async def results(desk: Desk, number: int, **query: Any) -> list[tuple[int, str, str | None]]:
    """What became of every row, page by page."""
    rows: list[tuple[int, str, str | None]] = []
    cursor: str | None = None
    while True:
        answer = await ask(desk, "GET", f"/imports/{number}/rows", params=query | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        rows += [(one["line"], one["outcome"], one["message"]) for one in answer.json()["data"]]
        cursor = answer.json()["meta"]["next_cursor"]
        if cursor is None:
            return rows


async def test_every_row_tells_what_became_of_it(desk: Desk) -> None:
    vip = await desk.label("VIP")
    opened = await desk.open("5511987654321", name="Caio")
    await add(desk, "5521912345678", "Bia")
    content = "\n".join(
        [
            "Phone,Name,Notes,Labels",
            '(11) 98765-4321,Caio Lima,"prefere manhã, cedo",vip',
            "+55 21 91234-5678,,,",
            "",
            "31900001111,Zé,,VIP; Novo",
            "+1 415 555 2671,Ann,,",
            "5531900001111,De novo,,",
            "98765-4321,Sem DDD,,",
            ",Ninguém,,",
            f"31900002222,{'x' * 121},,",
            f"31900003333,Z,{'x' * 4001},",
        ]
    )
    shown = await bring(desk, content)
    told = await results(desk, shown["id"])
    outcomes = {line: outcome for line, outcome, _ in told}
    assert outcomes == {2: "updated", 3: "skipped", 5: "created", 6: "created", 7: "skipped"} | dict.fromkeys(range(8, 12), "error")
    says = {line: message or "" for line, _, message in told}
    assert (says[2], says[3], says[5], says[7]) == (
        "", "Nothing of it is new.", "Labels the workspace does not have were passed over: 1.", "The same phone stands in row 5.",
    )  # fmt: skip
    assert ["area code" in says[8], "missing" in says[9], "120" in says[10], "4000" in says[11]] == [True] * 4
    expected = {"state": "done", "total": 9, "processed": 9, "created": 2, "updated": 1, "skipped": 2, "errors": 4}
    assert shown | expected == shown
    assert await results(desk, shown["id"], limit=2, outcome="error") == [one for one in told if one[1] == "error"]
    assert [(row["phone"], row["name"], row["notes"], row["labels"]) for row in await desk.workspace.rows(PEOPLE)] == [
        ("14155552671", "Ann", None, None),
        ("5511987654321", "Caio Lima", "prefere manhã, cedo", ["VIP"]),
        ("5521912345678", "Bia", None, None),
        ("5531900001111", "Zé", None, ["VIP"]),
    ]
    assert len(await found(desk, q="caio lima", label_id=vip)) == 1
    gateway: Any = None
    assert await do_effects(desk.workspace, "inbox.follow_contacts", handlers=Actors(gateway).handlers()) == 1
    assert (await desk.show(opened["id"]))["contact_name"] == "Caio Lima"
    again = await bring(desk, content)
    assert again | {"created": 0, "updated": 0, "skipped": 5, "errors": 4} == again


@pytest.mark.parametrize(
    "content",
    [
        "nome;telefone;observações\r\nJoão;(11) 98765-4321;é cedo\r\n".encode("cp1252"),
        "\ufeffnome;telefone;observações\r\nJoão;(11) 98765-4321;é cedo\r\n".encode(),
        b"\xef\xbb\xbfName\tWhatsApp\tNotes\nJo\xc3\xa3o\t'+5511987654321\t\xc3\xa9 cedo\n",
        'sep=;\n"nome";"telefone";"observações";"outra"\n"João";"5511987654321";"é cedo";"x"'.encode(),
    ],
    ids=["Excel in Brazil", "UTF-8 with its mark", "tabs", "a line for Excel"],
)
async def test_files_are_read_as_spreadsheets_write_them(desk: Desk, content: bytes) -> None:
    assert (await bring(desk, content))["created"] == 1
    (row,) = await desk.workspace.rows(PEOPLE)
    assert (row["phone"], row["name"], row["notes"]) == ("5511987654321", "João", "é cedo")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"name,notes\nx,y", "phone"),
        (b"phone\n", "no rows"),
        (b"phone\n\x81\x8d\xff", "neither UTF-8"),
        (b'phone,notes\n1,"' + b"x" * 200_000, "no CSV"),
        (b"phone\n" + b"1\n" * 50_001, "50,000 rows"),
    ],
    ids=["nothing", "blank", "without phones", "header alone", "another encoding", "a huge cell", "too many rows"],
)
async def test_what_is_no_list_is_refused(desk: Desk, content: bytes, says: str) -> None:
    answer = await send(desk, content)
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["errors"][0]["details"]["file"][0]
    assert await desk.workspace.rows(WAITING) == []


async def test_too_large_a_file_is_refused(desk: Desk) -> None:
    for size in (5 * 1024 * 1024, 6 * 1024 * 1024):
        assert refused(await send(desk, b"phone\n" + b"1" * size)) == (413, "PAYLOAD_TOO_LARGE")


async def test_rows_that_mean_one_contact_by_two_addresses_add_up(desk: Desk) -> None:
    kept, other = [(await add(desk, phone))["id"] for phone in ("5511987650001", "5511987650002")]
    await do(desk, "POST", f"/{other}/merge", {"into": kept})
    await desk.label("vip")
    told = "name,phone,notes,labels\nMaria,5511987650001,,vip\n,5511987650002,alergia,vip\n,+5511987650002,,\nMaria,551187650001,,vip\n"
    shown = await bring(desk, told)
    assert (shown["updated"], shown["skipped"]) == (2, 2)
    (person,) = await desk.workspace.rows(PEOPLE.replace("c.tenant_id = $1 ORDER", "c.tenant_id = $1 AND c.merged_into IS NULL ORDER"))
    assert (person["name"], person["notes"], person["labels"]) == ("Maria", "alergia", ["vip"])


async def test_nul_characters_spoil_only_their_row(desk: Desk) -> None:
    shown = await bring(desk, "phone,name\n5511987654321,a\0b\n5521912345678,Bia\n")
    assert [outcome for _, outcome, _ in await results(desk, shown["id"])] == ["error", "created"]


async def test_only_the_owner_brings_in_and_takes_away(desk: Desk, other_desk: Desk, ana: Member) -> None:
    assert refused(await send(desk, "phone\n5511987654321", ana)) == (403, "FORBIDDEN")
    number = (await bring(desk, "phone\n5511987654321"))["id"]
    for path in (f"/imports/{number}", f"/imports/{number}/rows"):
        assert refused(await ask(desk, "GET", path, ana)) == (403, "FORBIDDEN")
        assert refused(await ask(other_desk, "GET", path)) == (404, "NOT_FOUND")
    assert await found(other_desk) == []
    trail = await read_trail(desk.client, desk.workspace, subject="import", subject_id=number)
    assert [(one["action"], one["actor"]["id"], one["after"]) for one in trail] == [
        ("contacts.import_done", desk.workspace.owner.id, {"created": 1, "updated": 0, "skipped": 0, "errors": 0}),
        ("contacts.import_started", desk.workspace.owner.id, {"rows": 1}),
    ]


def list_of(rows: int) -> str:
    """A file with new people, repetitions and faults."""
    lines = [f"119{place % (rows - 100):08d},Pessoa {place},nota {place},VIP" for place in range(rows)]
    lines[rows // 3] = "123,falha,,"
    return "\n".join(["phone,name,notes,labels", *lines])


async def work(desk: Desk, settings: Settings, row: int) -> "asyncio.subprocess.Process":
    """A worker of its own begins."""
    given: dict[str, str] = {
        "PLIXA_ENVIRONMENT": "test",
        "PLIXA_HOME": str(settings.home),
        "PLIXA_DATABASE_URL": str(settings.database_url),
        "PLIXA_REDIS_URL": str(settings.redis_url),
        "PLIXA_SECRET_KEY": "a key for tests and for nothing else whatever",
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
    }
    command = (sys.executable, "-m", "tests.contacts.importing", str(desk.workspace.tenant), str(row))
    return await asyncio.create_subprocess_exec(*command, env=given, cwd=ROOT)


async def kill_in_the_middle(desk: Desk, worker: "asyncio.subprocess.Process") -> int:
    """Kill it once it did some rows more; answers how many are done by then."""
    (before,) = await desk.workspace.rows(PROGRESS)
    deadline = time.monotonic() + 60
    while (await desk.workspace.rows(PROGRESS))[0] == before:
        assert time.monotonic() < deadline, "It never began."
    worker.send_signal(signal.SIGKILL)
    assert await worker.wait() == -signal.SIGKILL
    return int((await desk.workspace.rows(PROGRESS))[0]["processed"])


async def test_a_list_whose_workers_are_killed_comes_in_as_if_none_had_been(desk: Desk, other_desk: Desk, settings: Settings) -> None:
    content = list_of(2_000)
    for each in (desk, other_desk):
        await each.label("VIP")
    assert (await send(desk, content)).status_code == 201
    (row,) = await desk.workspace.rows(WAITING)
    for _ in range(2):
        done = await kill_in_the_middle(desk, await work(desk, settings, row["id"]))
        assert 0 < done < 2_000
        await desk.workspace.rows(LAPSE)
    assert await deliver(desk.workspace.kernel, handlers(), desk.workspace.tenant, row["id"])
    clean = await bring(other_desk, content)
    assert clean | {"processed": 2_000, "created": 1_899, "skipped": 100, "errors": 1, "state": "done"} == clean
    killed = await get(desk, f"/imports/{(await desk.workspace.rows('SELECT id FROM contact_import WHERE tenant_id = $1'))[0]['id']}")
    for name in ("id", "created_at", "finished_at"):
        clean[name] = killed[name] = None
    assert killed == clean
    assert await desk.workspace.rows(RESULT) == await other_desk.workspace.rows(RESULT)
    assert await desk.workspace.rows(PEOPLE) == await other_desk.workspace.rows(PEOPLE)
    assert [row["file"] for row in await desk.workspace.rows(FILE)] == [None]
    entries = [one["action"] for one in await read_trail(desk.client, desk.workspace, subject="import")]
    assert entries == ["contacts.import_done", "contacts.import_started"]
    assert await desk.is_sound()


async def test_a_list_that_cannot_be_read_any_more_fails_and_its_file_goes(desk: Desk) -> None:
    number = (await send(desk, "phone\n5511987654321")).json()["data"]["id"]
    await desk.workspace.rows("UPDATE contact_import SET file = 'spoilt' WHERE tenant_id = $1 RETURNING id")
    (row,) = await desk.workspace.rows(WAITING)
    for _ in range(ATTEMPTS):
        await desk.workspace.rows(LAPSE)
        assert await deliver(desk.workspace.kernel, handlers(), desk.workspace.tenant, row["id"])
    assert (await get(desk, f"/imports/{number}"))["state"] == "failed"
    assert [row["file"] for row in await desk.workspace.rows(FILE)] == [None]


async def test_people_who_write_while_they_are_brought_in_are_one(desk: Desk) -> None:
    phones = [f"55119800000{place:02d}" for place in range(20)]
    assert (await send(desk, "phone,name\n" + "\n".join(f"{phone},Lista" for phone in phones))).status_code == 201
    (row,) = await desk.workspace.rows(WAITING)
    importing = deliver(desk.workspace.kernel, handlers(), desk.workspace.tenant, row["id"])
    await asyncio.gather(importing, *(add(desk, phone) for phone in phones))
    assert [row["phone"] for row in await desk.workspace.rows(PEOPLE)] == phones


async def test_the_directory_goes_out_as_a_file_that_runs_nothing_and_comes_in_again(desk: Desk, other_desk: Desk, ana: Member) -> None:
    label = await desk.label("VIP")
    contact = (await add(desk, "5511987654321", "=HYPERLINK(1)"))["id"]
    await do(desk, "POST", f"/{contact}/labels/{label}")
    await do(desk, "PATCH", f"/{contact}", {"notes": "linha 1\nlinha 2"})
    for place in range(201):
        await add(desk, f"55219{place:08d}", f"Pessoa {place}")
    answer = await ask(desk, "GET", "/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert (len(rows), rows[-1]["phone"], rows[-1]["name"]) == (202, "5511987654321", "'=HYPERLINK(1)")
    assert (rows[-1]["labels"], rows[-1]["notes"]) == ("VIP", "linha 1\nlinha 2")
    only = list(csv.DictReader(io.StringIO((await ask(desk, "GET", "/export", params={"label_id": label})).text)))
    assert [row["phone"] for row in only] == ["5511987654321"]
    assert (await bring(other_desk, answer.text))["created"] == 202
    assert [one["contact_name"] for one in await get(other_desk, q="hyperlink")] == ["=HYPERLINK(1)"]
    exports = await read_trail(desk.client, desk.workspace, action="contacts.exported")
    assert [one["actor"]["id"] for one in exports] == [desk.workspace.owner.id] * 2
