"""Files that come with tickets: judged by what they hold, readable for whoever may read the message, harmless for everybody."""

import asyncio
import io
import zipfile
from typing import Any

import pytest
from httpx import Response

from plixa.kernel.media import LARGEST
from tests.backoffice.crew import Staff, codes
from tests.inbox.test_commands import OGG, PNG
from tests.support.world import Workspace
from tests.support_desk.counter_side import DESK, TICKETS, Counter

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"


def archive() -> bytes:
    """A ZIP of a program."""
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as file:
        file.writestr("run.exe", b"MZ" + bytes(100))
    return kept.getvalue()


HOSTILE = {
    "invoice.png": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "page.png": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "photo.jpg": b"MZ\x90\x00" + bytes(200),
    "report.pdf": b"\x7fELF\x02\x01\x01" + bytes(200),
    "a.png": archive(),
    "noise.png": bytes(range(256)) * 4,
    "empty.png": b"",
}


async def with_files(counter: Counter, *files: tuple[str, bytes]) -> Response:
    return await counter.call("POST", data={"subject": "Look", "body": "Here"}, files=[("attachments", file) for file in files])


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_could_run_or_is_nothing_is_refused_whatever_it_is_called(counter: Counter, name: str) -> None:
    assert codes(await with_files(counter, ("fine.png", PNG), (name, HOSTILE[name]))) == (422, "VALIDATION_FAILED")
    assert await counter.do("GET") == []
    assert await stored(counter) == []


@pytest.mark.parametrize(
    ("name", "kept"), [("run.bat", "run.bat.txt"), ("..\\..\\Notes.LOG", "Notes.LOG"), ("...", "file.txt"), ("a.png.exe", "a.png.exe.txt")]
)
async def test_text_is_handed_out_as_what_no_browser_and_no_shell_runs(counter: Counter, name: str, kept: str) -> None:
    made = await with_files(counter, (name, b"\n<html><script>alert(1)</script>\r\n"))
    assert made.status_code == 201, made.text
    (file,) = made.json()["data"]["messages"][0]["attachments"]
    got = await counter.client.get(file["url"], headers=counter.workspace.owner.headers)
    assert (file["mime"], file["filename"], got.headers["content-type"]) == ("text/plain", kept, "application/octet-stream")
    assert got.headers["content-disposition"].startswith("attachment")
    assert (got.headers["x-content-type-options"], "sandbox" in got.headers["content-security-policy"]) == ("nosniff", True)


async def test_both_sides_send_files_and_read_each_others(counter: Counter, bruna: Staff) -> None:
    made = await with_files(counter, ("../../tela\u202egnp.png", PNG), ("log.txt", b"line 1\nline 2\n"))
    assert made.status_code == 201, made.text
    ticket = made.json()["data"]
    shown = ticket["messages"][0]["attachments"]
    assert [(one["filename"], one["mime"], one["size"]) for one in shown] == [
        ("telagnp.png", "image/png", len(PNG)),
        ("log.txt", "text/plain", 14),
    ]
    await bruna.do("POST", f"/support/tickets/{ticket['id']}/messages", data={"body": "Thanks"}, files={"attachments": ("a.pdf", PDF)})
    seen = (await counter.do("GET", f"/{ticket['id']}"))["messages"]
    desk = (await bruna.do("GET", f"/support/tickets/{ticket['id']}"))["messages"]
    theirs = await counter.client.get(seen[1]["attachments"][0]["url"], headers=counter.workspace.owner.headers)
    ours = await counter.client.get(desk[0]["attachments"][0]["url"], headers=bruna.headers | {"Range": "bytes=0-3"})
    assert (theirs.content, theirs.headers["content-type"], ours.status_code, ours.content) == (PDF, "application/pdf", 206, PNG[:4])


async def test_a_file_of_a_note_is_nobodys_but_staffs(counter: Counter, bruna: Staff, other_tenant: Workspace) -> None:
    number = await counter.open()
    form: dict[str, Any] = {"data": {"body": "For us", "internal": "true"}, "files": {"attachments": ("secret.png", PNG)}}
    noted = await bruna.do("POST", f"/support/tickets/{number}/messages", **form)
    file = noted["messages"][1]["attachments"][0]["id"]
    public = await bruna.do(
        "POST", f"/support/tickets/{number}/messages", data={"body": "For you"}, files={"attachments": ("open.png", PNG)}
    )
    shared = public["messages"][2]["attachments"][0]["id"]
    owner, stranger = counter.workspace.owner.headers, other_tenant.owner.headers

    async def status(headers: dict[str, str], which: int, place: str = TICKETS) -> int:
        prefix = place if place == TICKETS else f"{DESK}/tickets"
        return (await counter.client.get(f"{prefix}/{number}/attachments/{which}", headers=headers)).status_code

    assert [await status(owner, file), await status(owner, shared), await status(stranger, shared)] == [404, 200, 404]
    assert [await status(bruna.headers, file, DESK), await status(owner, shared, DESK), await status({}, shared)] == [200, 403, 401]
    assert await status(owner, 2**40) == 404


async def test_what_is_too_large_or_too_many_is_refused(counter: Counter) -> None:
    assert codes(await with_files(counter, *[("a.png", PNG)] * 6)) == (422, "VALIDATION_FAILED")
    large = await with_files(counter, ("a.png", PNG + bytes(LARGEST)))
    assert codes(large) == (413, "PAYLOAD_TOO_LARGE")
    huge = await with_files(counter, ("a.png", PNG + bytes(18 * 1024 * 1024)))
    assert huge.status_code == 413
    assert await counter.do("GET") == []


async def test_a_refused_message_leaves_no_file_behind(counter: Counter) -> None:
    number = await counter.old("closed", days=30)
    before = set(await stored(counter))
    form: dict[str, Any] = {"data": {"body": "Again"}, "files": {"attachments": ("a.ogg", OGG)}}
    assert codes(await counter.call("POST", f"/{number}/messages", **form)) == (409, "TICKET_CLOSED_FOR_GOOD")
    assert set(await stored(counter)) == before


async def test_what_both_sides_write_at_the_same_moment_is_all_kept_with_its_files_once(counter: Counter, bruna: Staff) -> None:
    number = await counter.open()
    files: dict[str, Any] = {"files": {"attachments": ("a.png", PNG)}}
    answers = await asyncio.gather(
        *(bruna.call("POST", f"/support/tickets/{number}/messages", data={"body": f"Answer {n}"}, **files) for n in range(4)),
        *(counter.call("POST", f"/{number}/messages", data={"body": f"Question {n}"}, **files) for n in range(4)),
    )
    assert [answer.status_code for answer in answers] == [201] * 8, [answer.text for answer in answers]
    seen = await bruna.do("GET", f"/support/tickets/{number}")
    told = sorted(one["body"] for one in seen["messages"][1:])
    assert told == [f"{what} {n}" for what in ("Answer", "Question") for n in range(4)]
    assert len(await stored(counter)) == 8
    assert seen["status"] == ("pending" if seen["last_message_by"] == "admin" else "open")


async def test_files_lie_sealed(counter: Counter) -> None:
    assert (await with_files(counter, ("a.png", PNG))).status_code == 201
    contents = [await counter.workspace.kernel.media.read(name) for name in await stored(counter)]
    assert len(contents) == 1
    assert PNG not in contents[0]


async def stored(counter: Counter) -> list[str]:
    """What the media store has of this workspace."""
    return await counter.workspace.kernel.media.names(str(counter.workspace.tenant))
