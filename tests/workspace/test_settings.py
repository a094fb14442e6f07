"""Settings of a workspace: changed by the owner, read by members, each change told of once."""

import io
from typing import Any

import pytest
from httpx import AsyncClient
from PIL import Image

from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

CONFIG, SECURITY, LOGO = "/v1/workspace-config", "/v1/security-config", "/v1/workspace-config/logo"
CONFIRM = "UPDATE member SET two_factor_confirmed_at = now() WHERE tenant_id = $1 AND id = $2 RETURNING id"


def picture(kind: str, size: tuple[int, int] = (40, 20), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#3366aa").save(out, kind, **options)
    return out.getvalue()


async def test_zone_language_and_currency_change_at_once(client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace) -> None:
    body = {
        "timezone": "America/Manaus",
        "locale": "es",
        "currency": "USD",
        "name": "Lúcia & Co",
        "status": "suspended",
        "plan": "business",
    }
    answer = await client.put(CONFIG, json=body, headers=lucia.headers)
    assert answer.status_code == 200
    seen = (await client.get(CONFIG, headers=ana.headers)).json()["data"]
    assert seen == answer.json()["data"]
    assert (seen["timezone"], seen["locale"], seen["currency"], seen["name"]) == ("America/Manaus", "es", "USD", "Lúcia & Co")
    me = (await client.get("/v1/me", headers=lucia.headers)).json()["data"]["tenant"]
    assert (me["status"], me["plan"]["key"]) == ("active", "starter")
    newest = (await read_trail(client, lucia_studios))[0]
    assert newest["before"] == {"timezone": "America/Sao_Paulo", "locale": "en", "currency": "BRL", "name": "Lúcia Studios"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timezone": "America/Sao Paulo"}, "timezone"),
        ({"locale": "sr_BA"}, "locale"),
        ({"currency": "EURO"}, "currency"),
        ({"name": ""}, "name"),
    ],
)
async def test_what_does_not_exist_is_refused(client: AsyncClient, lucia: Member, change: dict[str, str], field: str) -> None:
    body = {"timezone": "UTC", "locale": "en", "currency": "EUR"} | change
    answer = await client.put(CONFIG, json=body, headers=lucia.headers)
    assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, [field])


async def test_an_owner_without_a_second_factor_cannot_demand_one(
    client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace
) -> None:
    refused = await client.put(SECURITY, json={"require_two_factor": True}, headers=lucia.headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "TWO_FACTOR_REQUIRED_FOR_OWNER")
    await lucia_studios.rows(CONFIRM, lucia.id)
    allowed = await client.put(SECURITY, json={"require_two_factor": True}, headers=lucia.headers)
    assert allowed.json()["data"]["members_without_two_factor"] == [ana.id]
    switched = await client.put(SECURITY, json={"require_two_factor": False}, headers=lucia.headers)
    assert switched.json()["data"]["require_two_factor"] is False
    assert [one["action"] for one in (await read_trail(client, lucia_studios))[:2]] == ["security.updated"] * 2


@pytest.mark.parametrize(("kind", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
async def test_a_logo_is_made_anew_and_served_to_anybody(client: AsyncClient, lucia: Member, kind: str, mime: str) -> None:
    upload = picture(kind) + b"<script>alert(1)</script>"
    answer = await client.post(LOGO, files={"logo": ("logo.svg", upload, "image/svg+xml")}, headers=lucia.headers)
    assert answer.status_code == 200, answer.text
    url = answer.json()["data"]["logo_url"]
    served = await client.get(url)
    assert served.status_code == 200
    assert served.headers["content-type"] == mime
    assert served.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in served.headers["content-security-policy"]
    assert b"script" not in served.content
    assert Image.open(io.BytesIO(served.content)).size == (40, 20)
    replaced = await client.post(LOGO, files={"logo": ("b.png", picture("PNG"))}, headers=lucia.headers)
    assert (await client.get(url)).status_code == 404
    await client.delete(LOGO, headers=lucia.headers)
    assert (await client.get(replaced.json()["data"]["logo_url"])).status_code == 404
    assert (await client.get(CONFIG, headers=lucia.headers)).json()["data"]["logo_url"] is None
    assert (await client.delete(LOGO, headers=lucia.headers)).status_code == 204


async def test_nothing_of_a_photograph_but_its_pixels_is_kept(client: AsyncClient, lucia: Member) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    exif[0x0112] = 6
    upload = picture("JPEG", exif=exif)
    answer = await client.post(LOGO, files={"logo": ("a.jpg", upload)}, headers=lucia.headers)
    served = await client.get(answer.json()["data"]["logo_url"])
    assert b"secret" not in served.content
    assert Image.open(io.BytesIO(served.content)).size == (20, 40)


@pytest.mark.parametrize(
    ("upload", "status"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422),
        (b"", 422),
        (b"GIF89a" + bytes(100), 422),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), 422),
        (picture("PNG")[:60], 422),
        (bytes(1024 * 1024 + 1), 413),
    ],
)
async def test_what_is_no_picture_is_refused(client: AsyncClient, lucia: Member, upload: bytes, status: int) -> None:
    answer = await client.post(LOGO, files={"logo": ("a.png", upload)}, headers=lucia.headers)
    assert answer.status_code == status


async def test_exif_that_no_camera_wrote_stands_in_the_way_of_nothing(client: AsyncClient, lucia: Member) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "cam", 6
    honest = exif.tobytes()
    odd = honest.replace(b"\x01\x0f\x00\x02\x00\x00\x00\x04", b"\x01\x0f\x00\x0b\x00\x00\x00\x01")  # a name that is said to be a number
    assert odd != honest
    answer = await client.post(LOGO, files={"logo": ("a.jpg", picture("JPEG", exif=odd))}, headers=lucia.headers)
    assert answer.status_code == 200
    served = await client.get(answer.json()["data"]["logo_url"])
    assert Image.open(io.BytesIO(served.content)).size == (20, 40)


@pytest.mark.parametrize(("kind", "side"), [("PNG", 9_000), ("WEBP", 2_100)])
async def test_a_small_file_of_gigabytes_is_refused_before_it_is_decoded(client: AsyncClient, lucia: Member, kind: str, side: int) -> None:
    bomb = picture(kind, (side, side), optimize=True)
    assert len(bomb) < 1024 * 1024
    answer = await client.post(LOGO, files={"logo": ("a.png", bomb)}, headers=lucia.headers)
    assert answer.status_code == 422


async def test_the_list_of_first_steps_is_computed_and_dismissed_once(
    client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace
) -> None:
    seen = (await client.get("/v1/onboarding", headers=ana.headers)).json()["data"]
    assert {step["key"]: step["done"] for step in seen["steps"]} == {
        "connect_whatsapp": False,
        "first_message": False,
        "business_hours": False,
        "welcome_message": False,
        "saved_reply": False,
        "invite_team": True,
        "choose_plan": False,
        "two_factor": False,
    }
    for _ in range(2):
        answer = await client.post("/v1/onboarding/dismiss", headers=lucia.headers)
        assert answer.json()["data"]["dismissed"] is True
    assert [one["action"] for one in await read_trail(client, lucia_studios)].count("onboarding.dismissed") == 1


async def test_what_forms_choose_from(client: AsyncClient, ana: Member) -> None:
    seen = (await client.get("/v1/meta", headers=ana.headers)).json()["data"]
    assert "America/Sao_Paulo" in seen["timezones"]
    assert {"code": "BRL", "name": "Brazilian Real"} in seen["currencies"]
    assert seen["plans"]["starter"]["limits"]["seats"] == 2
