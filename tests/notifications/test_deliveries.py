"""Resend's webhook: only what was signed with our secret a moment ago is heard."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from httpx import AsyncClient
from msgspec.structs import replace

from plixa.app import create_app
from plixa.kernel.errors import Unauthenticated
from plixa.kernel.settings import Settings, SettingsError, load_settings
from plixa.notifications.domain.deliveries import check_signature
from tests.notifications.svix import SECRET, signature, signed
from tests.support.apps import calling, started

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = (
    '{"type":"email.delivered","created_at":"2026-03-01T12:00:00.000Z","data":{"email_id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794",'
    '"to":["ana@example.com"],"subject":"Olá ✓"}}'
).encode()
MADE_BY_SVIX = {
    "svix-id": "msg_2mZ",
    "svix-timestamp": "1772366400",
    "svix-signature": "v1,lQqVsiw+cKL4AJMXVjcFP2W/nYLygLmmE9Y8pyS9uzo=",
}
"""By the package ``svix`` 2.9, of this body and the suite's secret."""


def test_what_svix_signed_is_believed() -> None:
    assert check_signature(SECRET, MADE_BY_SVIX, BODY, AT) == "msg_2mZ"
    assert signature("msg_2mZ", BODY, 1772366400) == MADE_BY_SVIX["svix-signature"]


@pytest.mark.parametrize("seconds", [-301, -300, 0, 300, 301])
def test_it_is_believed_for_five_minutes_either_way(seconds: int) -> None:
    moment = AT + timedelta(seconds=seconds)
    if abs(seconds) <= 300:
        assert check_signature(SECRET, MADE_BY_SVIX, BODY, moment)
    else:
        with pytest.raises(Unauthenticated):
            check_signature(SECRET, MADE_BY_SVIX, BODY, moment)


def test_one_good_signature_of_several_is_enough_while_a_secret_is_rotated() -> None:
    others = f"v1,AAAA v2,{MADE_BY_SVIX['svix-signature'][3:]} {MADE_BY_SVIX['svix-signature']}"
    assert check_signature(SECRET, MADE_BY_SVIX | {"svix-signature": others}, BODY, AT)


@pytest.mark.parametrize(
    "change",
    [
        {"svix-id": "msg_2mA"},
        {"svix-id": ""},
        {"svix-timestamp": "1772366401"},
        {"svix-timestamp": "-1"},
        {"svix-timestamp": "1772366400.0"},
        {"svix-timestamp": "٣"},
        {"svix-timestamp": "9" * 400},
        {"svix-signature": ""},
        {"svix-signature": "v1,"},
        {"svix-signature": "v1a,lQqVsiw+cKL4AJMXVjcFP2W/nYLygLmmE9Y8pyS9uzo="},
        {"svix-signature": "lQqVsiw+cKL4AJMXVjcFP2W/nYLygLmmE9Y8pyS9uzo="},
        {"svix-signature": "v1,ÿ"},
    ],
)
def test_everything_else_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        check_signature(SECRET, MADE_BY_SVIX | change, BODY, AT)
    for name in MADE_BY_SVIX:
        with pytest.raises(Unauthenticated):
            check_signature(SECRET, {one: value for one, value in MADE_BY_SVIX.items() if one != name}, BODY, AT)
    with pytest.raises(Unauthenticated):
        check_signature(SECRET, MADE_BY_SVIX, BODY.replace(b"ana@", b"eva@"), AT)


async def test_the_webhook_answers_as_its_sender_needs_it(client: AsyncClient, settings: Settings) -> None:
    async def send(body: bytes, **headers: str) -> int:
        return (
            await client.post("/v1/webhooks/resend", content=body, headers=signed("msg_1", body, int(time.time())) | headers)
        ).status_code

    assert await send(BODY) == 200
    assert await send(b'{"type":"contact.created","created_at":"x","data":{}}') == 200
    assert await send(b'{"type":"email.bounced"}') == 422
    assert await send(b"nonsense") == 422
    assert await send(b" " * 300_000) == 413
    assert await send(BODY, **{"svix-signature": "v1,AAAA"}) == 401
    assert (await client.post("/v1/webhooks/resend", content=BODY)).status_code == 401
    async with started(create_app(replace(settings, resend_webhook_secret=None))) as app, calling(app) as deaf:
        answer = await deaf.post("/v1/webhooks/resend", content=BODY, headers=signed("msg_1", BODY, int(time.time())))
        assert answer.status_code == 404


@pytest.mark.parametrize(("name", "value"), [("PLIXA_RESEND_WEBHOOK_SECRET", "secret"), ("PLIXA_CAMPAIGN_FROM", "Plixa <nobody>")])
def test_a_setting_that_cannot_work_stops_the_start(tmp_path: str, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({"PLIXA_HOME": str(tmp_path), name: value})
