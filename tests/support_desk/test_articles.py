"""The knowledge base: staff write, every former text is kept, and anybody reads what is published and nothing else."""

import asyncio
import io
import secrets
from typing import Any

import pytest
from httpx import AsyncClient
from litestar import Litestar
from PIL import Image

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.audit import PLATFORM
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from tests.backoffice.crew import Staff, codes, hire
from tests.identity.people import entries

HIDDEN = {"id", "status", "author", "position", "version", "published_at", "created_at"}


@pytest.fixture
async def bruna(app: Litestar, entrance: Entrance, client: AsyncClient) -> Staff:
    """Of the staff, signed in."""
    app.state.gatekeeper.forget()
    return await hire(entrance, client, "Bruna")


def word() -> str:
    """One that no other text has."""
    return f"w{secrets.token_hex(6)}"


async def write(staff: Staff, **data: Any) -> dict[str, Any]:
    """A new article, published unless it says otherwise."""
    body = {"title": "Conexão", "body": "Scan the **code**.", "category": "Numbers", "locale": "en", "status": "published"}
    found: dict[str, Any] = await staff.do("POST", "/kb/articles", json=body | data)
    return found


async def save(staff: Staff, article: dict[str, Any], **data: Any) -> dict[str, Any]:
    """Another version of it."""
    found: dict[str, Any] = await staff.do("PUT", f"/kb/articles/{article['id']}", json=data)
    return found


async def read(client: AsyncClient, path: str, **query: Any) -> Any:
    """What anybody reads below ``/v1/kb``."""
    answer = await client.get(f"/v1/kb{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_only_staff_sees_a_draft_until_it_is_published(bruna: Staff, client: AsyncClient, kernel: Kernel) -> None:
    name, before = word(), len(await entries(kernel, PLATFORM))
    article = await write(bruna, title=f"  Conexão {name}! ", excerpt=" How to ", status="draft", category=name)
    assert (article["title"], article["slug"], article["version"]) == (f"Conexão {name}!", f"conexao-{name}", 1)
    assert (article["author"]["name"], article["published_at"], article["excerpt"]) == ("Bruna", None, "How to")
    assert codes(await client.get(f"/v1/kb/articles/conexao-{name}")) == (404, "NOT_FOUND")
    assert await read(client, "/articles", category=name) == await read(client, "/articles", q=name) == []
    assert {"name": name} not in await read(client, "/categories")

    published = await save(bruna, article, status="published")
    (listed,) = await read(client, "/articles", category=name)
    assert (listed["slug"], listed.keys() & HIDDEN, "body" in listed) == (f"conexao-{name}", set(), False)
    shown = await read(client, f"/articles/conexao-{name}")
    assert (shown["body"], shown["html"].strip()) == ("Scan the **code**.", "<p>Scan the <strong>code</strong>.</p>")
    assert not shown.keys() & HIDDEN
    assert {"name": name} in await read(client, "/categories")
    assert codes(await client.get(f"/v1/kb/articles/conexao-{name}", params={"locale": "es"})) == (404, "NOT_FOUND")

    hidden = await save(bruna, article, status="draft")
    assert published["published_at"] == hidden["published_at"] is not None
    assert codes(await client.get(f"/v1/kb/articles/conexao-{name}")) == (404, "NOT_FOUND")
    await bruna.do("DELETE", f"/kb/articles/{article['id']}")
    assert codes(await bruna.call("GET", f"/kb/articles/{article['id']}")) == (404, "NOT_FOUND")
    assert codes(await bruna.call("DELETE", f"/kb/articles/{article['id']}")) == (404, "NOT_FOUND")
    told = [one for _, one in (await entries(kernel, PLATFORM))[before:] if one.subject == "article" and one.subject_id == article["id"]]
    assert [one.action for one in told] == ["article.created", "article.updated", "article.updated", "article.deleted"]
    assert (told[1].before, told[1].after) == ({"status": "draft", "version": 1}, {"status": "published", "version": 2})
    assert "Scan" not in str(told)


async def test_every_save_keeps_what_it_was(bruna: Staff, client: AsyncClient) -> None:
    article = await write(bruna, title=f"First {word()}", body="one")
    path = f"/kb/articles/{article['id']}"
    assert await bruna.do("GET", f"{path}/versions") == []
    for text in ("two", "three", "three"):
        article = await save(bruna, article, body=text)
    assert (article["version"], article["body"]) == (3, "three")
    renamed = await save(bruna, article, title="Last", position=7, excerpt=None)
    assert (renamed["slug"], renamed["version"], renamed["position"]) == (article["slug"], 4, 7)
    first_page = (await bruna.call("GET", f"{path}/versions", params={"limit": 2})).json()
    assert [one["version"] for one in first_page["data"]] == [3, 2]
    rest = await bruna.do("GET", f"{path}/versions", params={"cursor": first_page["meta"]["next_cursor"]})
    assert [one["version"] for one in rest] == [1]
    kept = await bruna.do("GET", f"{path}/versions/1")
    assert (kept["body"], kept["html"].strip(), kept["title"]) == ("one", "<p>one</p>", article["title"])
    assert (kept["saved_at"], kept["author"]["name"]) == (article["created_at"], "Bruna")
    for wrong in ("4", "0", str(2**40)):
        assert codes(await bruna.call("GET", f"{path}/versions/{wrong}")) == (404, "NOT_FOUND")
    for none in (f"/kb/articles/{2**40}", f"/kb/articles/{2**40}/versions"):
        assert codes(await bruna.call("GET", none)) == (404, "NOT_FOUND")


async def test_two_who_save_at_once_lose_nothing(bruna: Staff) -> None:
    article = await write(bruna, title=word(), body="0")
    await asyncio.gather(*(save(bruna, article, body=str(n)) for n in range(1, 9)))
    path = f"/kb/articles/{article['id']}"
    last, kept = await bruna.do("GET", path), await bruna.do("GET", f"{path}/versions")
    bodies = [(await bruna.do("GET", f"{path}/versions/{one['version']}"))["body"] for one in kept]
    assert (last["version"], sorted([*bodies, last["body"]])) == (9, [str(n) for n in range(9)])


async def test_a_slug_is_one_article_of_a_language(bruna: Staff, client: AsyncClient) -> None:
    name = word()
    made = await asyncio.gather(*(write(bruna, title=f"Ação {name}", body=f"no {n}") for n in range(4)))
    assert {one["slug"] for one in made} == {f"acao-{name}", *(f"acao-{name}-{n}" for n in (2, 3, 4))}
    spanish = await write(bruna, title=f"Ação {name}", locale="es", body="hola")
    assert spanish["slug"] == f"acao-{name}"
    assert (await read(client, f"/articles/acao-{name}", locale="es"))["body"] == "hola"
    wanted = {"title": "Other", "body": "x", "category": "c", "locale": "en", "slug": f"acao-{name}"}
    assert codes(await bruna.call("POST", "/kb/articles", json=wanted)) == (409, "SLUG_TAKEN")
    assert codes(await bruna.call("PUT", f"/kb/articles/{spanish['id']}", json={"locale": "en"})) == (409, "SLUG_TAKEN")
    moved = await save(bruna, spanish, locale="en", slug=f"acao-{name}-es")
    assert (moved["slug"], (await read(client, f"/articles/acao-{name}-es"))["body"]) == (f"acao-{name}-es", "hola")
    assert (await write(bruna, title="¿!?"))["slug"].startswith("article")
    assert (await write(bruna, title=f"Подключение {name}"))["slug"] == f"podkliuchenie-{name}"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "x" * 151}, "title"),
        ({"body": "x" * 50_001}, "body"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"slug": "../etc"}, "slug"),
        ({"slug": "a-slug\n"}, "slug"),
        ({"locale": "pt"}, "locale"),
        ({"status": "hidden"}, "status"),
        ({"position": -1}, "position"),
        ({"category": ""}, "category"),
        ({"excerpt": "x" * 301}, "excerpt"),
    ],
)
async def test_nonsense_is_refused(bruna: Staff, change: dict[str, Any], field: str) -> None:
    body = {"title": "A", "body": "b", "category": "c", "locale": "en"} | change
    answer = await bruna.call("POST", "/kb/articles", json=body)
    assert (codes(answer), set(answer.json()["errors"][0]["details"])) == ((422, "VALIDATION_FAILED"), {field})


async def test_articles_are_found_by_beginnings_of_words_anywhere_in_them(bruna: Staff, client: AsyncClient) -> None:
    name = word()
    far = " ".join(f"{name}x{n}" for n in range(900))
    article = await write(bruna, title=f"Médias {name}", body=f"# Título\n\nAs {name}ligações {far} fim{name}", locale="pt-BR")
    draft = await write(bruna, title=f"Draft {name}", locale="pt-BR", status="draft")
    for found in (f"MEDIAS {name}", f"{name}lig", f"fim{name}", f"{name}x899", f"titulo {name}"):
        assert [one["slug"] for one in await read(client, "/articles", q=found, locale="pt-BR")] == [article["slug"]], found
    for nothing in (f"{name}zzz", "'", "& | !", f"medias:* {name}y"):
        assert await read(client, "/articles", q=nothing, locale="pt-BR") == [], nothing
    assert await read(client, "/articles", q=name, locale="en") == []
    assert [one["id"] for one in await bruna.do("GET", "/kb/articles", params={"q": name})] == [draft["id"], article["id"]]
    await save(bruna, article, title="Other", body="else")
    assert await read(client, "/articles", q=f"fim{name}", locale="pt-BR") == []


async def test_lists_are_paged_and_narrowed(bruna: Staff, client: AsyncClient) -> None:
    name = word()
    places = [3, 1, 2, 1]
    made = [await write(bruna, title=f"{name} {n}", category=name, position=place) for n, place in enumerate(places)]
    hidden = await write(bruna, title=f"{name} hidden", category=name, status="draft", locale="es")

    async def pages(path: str, headers: dict[str, str], key: str, **query: Any) -> list[Any]:
        found, query = [], {"category": name, "limit": 3, **query}
        while True:
            answer = (await client.get(path, params=query, headers=headers)).json()
            found += [one[key] for one in answer["data"]]
            if (cursor := answer["meta"]["next_cursor"]) is None:
                return found
            query["cursor"] = cursor

    assert await pages("/v1/kb/articles", {}, "slug") == [made[n]["slug"] for n in (1, 3, 2, 0)]
    staff, mine = "/v1/admin/kb/articles", [hidden["id"], *(one["id"] for one in reversed(made))]
    assert await pages(staff, bruna.headers, "id") == mine
    assert await pages(staff, bruna.headers, "id", status="draft") == await pages(staff, bruna.headers, "id", locale="es") == mine[:1]
    assert codes(await client.get("/v1/kb/articles", params={"cursor": "no"})) == (422, "VALIDATION_FAILED")
    assert codes(await client.get("/v1/kb/articles", params={"locale": "de"})) == (422, "VALIDATION_FAILED")


def picture(size: tuple[int, int] = (8, 8), kind: str = "PNG", **more: Any) -> bytes:
    """An image of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, "#aa3300").save(out, kind, **more)
    return out.getvalue()


async def test_a_picture_is_made_anew_and_anybody_may_fetch_it(
    bruna: Staff, client: AsyncClient, settings: Settings, kernel: Kernel
) -> None:
    before = len(await entries(kernel, PLATFORM))
    exif = Image.Exif()
    exif[0x010E] = "CANARYPLACE"
    upload = picture((3000, 300), "JPEG", exif=exif) + b"PK\x03\x04<script>CANARYSCRIPT</script>"
    url = (await bruna.do("POST", "/kb/images", files={"image": ("x.svg", upload, "image/svg+xml")}))["url"]
    assert url.startswith(f"{settings.public_url}/images/")
    served = await client.get(url.removeprefix(settings.public_url))
    assert (served.status_code, served.headers["content-type"], served.headers["x-content-type-options"]) == (200, "image/jpeg", "nosniff")
    assert "sandbox" in served.headers["content-security-policy"]
    assert b"CANARY" not in served.content
    assert max(Image.open(io.BytesIO(served.content)).size) == 1024
    article = await write(bruna, title=word(), body=f"![A code]({url})")
    assert f'<img src="{url}" alt="A code">' in article["html"]
    fresh = [one.action for _, one in (await entries(kernel, PLATFORM))[before:] if one.subject == "tenant"]
    assert fresh == ["article_image.uploaded"]


@pytest.mark.parametrize(
    ("upload", "status"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', 422),
        (b"GIF89a" + bytes(40), 422),
        (b"<html><script>alert(1)</script>", 422),
        (picture()[:40], 422),
        (picture((3000, 3000)), 422),
        (b"", 422),
        (picture() + bytes(2 * 1024 * 1024), 413),
    ],
    ids=["svg", "gif", "html", "half", "bomb", "nothing", "large"],
)
async def test_what_is_no_picture_is_refused(bruna: Staff, upload: bytes, status: int) -> None:
    answer = await bruna.call("POST", "/kb/images", files={"image": ("x.png", upload, "image/png")})
    assert answer.status_code == status, answer.text
