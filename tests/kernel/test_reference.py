"""The reference and everything it loads come from this process."""

import re
from collections.abc import AsyncIterator

import pytest
from litestar import Litestar, get
from litestar.testing import AsyncTestClient

from plixa.kernel.envelope import Data, answer_error
from plixa.kernel.reference import create_reference


@get("/v1/things", tags=["Things"])
async def list_things() -> Data[list[int]]:
    """List things, newest first."""
    return Data([])


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[AsyncTestClient[Litestar]]:
    app = Litestar(
        [list_things],
        exception_handlers={Exception: answer_error},
        openapi_config=create_reference("1.2.3"),
        logging_config=None,
    )
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        yield client


async def test_the_page_and_every_file_it_names_come_from_here(client: AsyncTestClient[Litestar]) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    names = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(names) == 4
    for name in names:
        assert name.startswith("/docs/")
        assert (await client.get(name)).status_code == 200, name


async def test_no_file_fetches_fonts_styles_or_scripts_from_elsewhere(client: AsyncTestClient[Litestar]) -> None:
    page, style = await client.get("/docs"), await client.get("/docs/assets/swagger-ui.css")
    assert "://" not in page.text
    assert not re.search(r"@import|url\(\s*['\"]?+(?!data:)", style.text)
    assert "validatorUrl: null" in (await client.get("/docs/start.js")).text


async def test_the_browser_is_told_to_load_nothing_from_elsewhere(client: AsyncTestClient[Litestar]) -> None:
    policy = (await client.get("/docs")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


async def test_the_files_are_served_as_what_they_are(client: AsyncTestClient[Litestar]) -> None:
    for name, kind in {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}.items():
        answer = await client.get(f"/docs/assets/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["content-disposition"].startswith("inline")


async def test_the_bundled_reader_understands_our_version_of_openapi(client: AsyncTestClient[Litestar]) -> None:
    document = (await client.get("/docs/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "isOAS31" in (await client.get("/docs/assets/swagger-ui-bundle.js")).text


async def test_the_document_tells_how_to_sign_in(client: AsyncTestClient[Litestar]) -> None:
    document = (await client.get("/docs/openapi.json")).json()
    assert document["info"]["version"] == "1.2.3"
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["security"] == [{"bearer": []}]
    assert list(document["paths"]) == ["/v1/things"]
    assert document["paths"]["/v1/things"]["get"]["description"] == "List things, newest first."


@pytest.mark.parametrize(
    "path",
    ["/docs/nothing", "/docs/nothing.json", "/docs/assets/index.css", "/docs/assets/..%2f__init__.py", "/docs/assets/"],
)
async def test_what_is_not_there_is_answered_in_the_envelope(client: AsyncTestClient[Litestar], path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "NOT_FOUND"
