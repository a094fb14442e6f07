"""The Evolution client against the sandbox gateway: every method, every way to fail."""

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from plixa.kernel.errors import UpstreamUnavailable
from plixa.whatsapp.client import (
    EVENTS,
    Deadlines,
    EvolutionGateway,
    Gateway,
    GatewayError,
    InstanceMissing,
    LicenceRequired,
    MessageKey,
    NameTaken,
    NotOnWhatsApp,
    OutcomeUnknown,
    Quoted,
    Rejected,
    SendMedia,
    SendText,
    SendVoice,
    Transient,
    Unreachable,
    message_id,
)
from plixa.whatsapp.sandbox import samples, say
from tests.whatsapp.loopback import BY_HAND, KEY, Sandbox, sandbox

ANA = "5511987654321"
ANA_JID = "5511987654321@s.whatsapp.net"
IMPATIENT = Deadlines(connect=1.0, call=0.3, create=0.3, send=0.3, media=0.3)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path) as running:
        yield running


@pytest.fixture
def shop(server: Sandbox) -> Sandbox:
    server.connected()
    return server


@pytest_asyncio.fixture
async def client(server: Sandbox) -> AsyncIterator[EvolutionGateway]:
    async with EvolutionGateway(server.url, KEY) as gateway:
        yield gateway


def text(body: str = "Oi", **more: Any) -> SendText:
    return SendText(to=ANA, text=body, message_id=message_id(), **more)


def heard(server: Sandbox, **deed: Any) -> MessageKey:
    """The key of something Ana sent."""
    said = say(server.url, KEY, phone=ANA, name="Ana", **deed)
    return MessageKey(said, server.receiver.wait("messages.upsert", lambda m: m["key"]["id"] == said)["key"]["remoteJid"])


def test_the_client_is_a_gateway() -> None:
    gateway: type[Gateway] = EvolutionGateway
    assert issubclass(GatewayError, UpstreamUnavailable)
    assert gateway is EvolutionGateway


def test_our_message_ids_look_like_the_web_clients() -> None:
    own = message_id()
    assert own.startswith("3EB0")
    assert len(own) == 22
    assert own == own.upper() != message_id()


# Life of a number


async def test_a_created_number_pairs_and_reports_to_its_webhook_with_our_token(server: Sandbox, client: EvolutionGateway) -> None:
    created = await client.create_instance("plx_1", f"{server.receiver_url}/wh/1", "segredo", "5511900000000")
    assert len(created.token) == 40
    assert created.qr.state == "connecting"
    assert (created.qr.base64 or "").startswith("data:image/png;base64,")
    assert len(created.qr.pairing_code or "") == 8
    server.receiver.wait("connection.update", lambda data: data["state"] == "open")
    assert {caught.headers["x-plixa-token"] for caught in server.receiver.caught} == {"segredo"}
    assert await client.connection_state("plx_1") == "open"
    assert (await client.connect("plx_1")).state == "open"
    row = server.call("GET", "/webhook/find/plx_1").json()
    assert (row["events"], row["webhookByEvents"], row["webhookBase64"]) == (list(EVENTS), False, False)


async def test_a_number_that_waits_gives_its_qr_again(tmp_path: Path) -> None:
    with sandbox(tmp_path, BY_HAND) as server:
        async with EvolutionGateway(server.url, KEY) as client:
            created = await client.create_instance("plx_1", server.receiver_url, "segredo")
            assert await client.connect("plx_1") == created.qr
            assert created.qr.pairing_code is None
            assert await client.connection_state("plx_1") == "connecting"


async def test_a_second_create_of_a_name_says_so(server: Sandbox, client: EvolutionGateway) -> None:
    await client.create_instance("plx_1", server.receiver_url, "segredo")
    with pytest.raises(NameTaken):
        await client.create_instance("plx_1", server.receiver_url, "segredo")


async def test_logging_out_and_deleting_may_be_repeated(shop: Sandbox, client: EvolutionGateway) -> None:
    assert (await client.restart("loja")).state == "open"
    for _ in range(2):
        await client.logout("loja")
    assert await client.connection_state("loja") == "close"
    for _ in range(2):
        await client.delete("loja")
    with pytest.raises(InstanceMissing):
        await client.connection_state("loja")


async def test_a_restart_that_failed_inside_a_200_is_an_error(shop: Sandbox, client: EvolutionGateway) -> None:
    await client.logout("loja")
    with pytest.raises(Transient):
        await client.restart("loja")


async def test_a_webhook_set_again_is_the_one_that_counts(shop: Sandbox, client: EvolutionGateway) -> None:
    await client.set_webhook("loja", f"{shop.receiver_url}/new", "outro")
    said = heard(shop, text="Oi")
    caught = shop.receiver.events("messages.upsert", lambda message: message["key"]["id"] == said.id)[0]
    assert (caught.path, caught.headers["x-plixa-token"]) == ("/new", "outro")


async def test_a_name_with_a_space_and_an_accent_reaches_its_instance(server: Sandbox, client: EvolutionGateway) -> None:
    await client.create_instance("loja da Inês?", server.receiver_url, "segredo")
    server.receiver.wait("connection.update", lambda data: data["state"] == "open")
    assert await client.connection_state("loja da Inês?") == "open"


# Sending


async def test_a_text_is_sent_with_its_quote(shop: Sandbox, client: EvolutionGateway) -> None:
    asked = heard(shop, text="Vocês entregam?")
    sent = await client.send_text("loja", text("Sim!", quoted=Quoted(asked, "Vocês entregam?")))
    assert (sent.jid, sent.status) == (ANA_JID, "PENDING")
    assert abs(sent.timestamp - datetime.now(UTC).timestamp()) < 60
    listed = shop.messages()[-1]
    assert (listed["id"], listed["text"], listed["quoted"]) == (sent.gateway_id, "Sim!", asked.id)
    assert listed["row"]["contextInfo"]["quotedMessage"] == {"conversation": "Vocês entregam?"}


async def test_media_and_voice_arrive_byte_for_byte(shop: Sandbox, client: EvolutionGateway) -> None:
    picture, voice = samples.picture(), samples.voice()
    image = SendMedia(to=ANA, message_id=message_id(), kind="image", content=picture, mime="image/png", caption="Este")
    paper = SendMedia(to=ANA, message_id=message_id(), kind="document", content=b"%PDF-", mime="application/pdf", filename="a.pdf")
    note = SendVoice(to=ANA, message_id=message_id(), content=voice)
    sent = [await client.send_media("loja", image), await client.send_media("loja", paper)]
    sent.append(await client.send_voice("loja", note))
    listed = shop.messages()
    assert [row["id"] for row in listed] == [one.gateway_id for one in sent]
    assert [row["size"] for row in listed] == [len(picture), 5, len(voice)]
    assert [row["mime"] for row in listed] == ["image/png", "application/pdf", "audio/ogg; codecs=opus"]
    assert listed[1]["filename"] == "a.pdf"
    assert listed[2]["row"]["message"]["audioMessage"]["ptt"] is True


async def test_our_message_id_is_kept_from_2_4_on_and_ignored_before(tmp_path: Path, shop: Sandbox) -> None:
    message = text()
    async with EvolutionGateway(shop.url, KEY) as old:
        assert (await old.send_text("loja", message)).gateway_id != message.message_id
    with sandbox(tmp_path / "new", version="2.4.0") as server:
        server.connected()
        async with EvolutionGateway(server.url, KEY) as new:
            assert (await new.send_text("loja", message)).gateway_id == message.message_id


async def test_an_address_that_is_refused_is_tried_once_in_its_other_form(shop: Sandbox, client: EvolutionGateway) -> None:
    shop.control("absent", number="8400@lid")
    message = SendText(to="8400@lid", other_to=ANA_JID, text="Oi", message_id=message_id())
    assert (await client.send_text("loja", message)).jid == ANA_JID
    shop.control("absent", number=ANA)
    with pytest.raises(NotOnWhatsApp):
        await client.send_text("loja", message)
    assert len(shop.messages()) == 1


# Looking


async def test_reading_marks_the_customers_messages(shop: Sandbox, client: EvolutionGateway) -> None:
    keys = [heard(shop, text="um"), heard(shop, text="dois")]
    await client.mark_read("loja", keys)
    await client.mark_read("loja", [])
    assert [message["read"] for message in shop.messages()] == [True, True]


async def test_media_are_fetched_and_missing_media_are_none(shop: Sandbox, client: EvolutionGateway) -> None:
    picture = await client.fetch_media("loja", heard(shop, image=True))
    assert picture is not None
    assert (picture.content, picture.mime) == (samples.picture(), "image/png")
    paper = await client.fetch_media("loja", heard(shop, document=True, filename="lista.pdf"))
    assert paper is not None
    assert paper.filename == "lista.pdf"
    assert await client.fetch_media("loja", heard(shop, text="Oi")) is None
    assert await client.fetch_media("loja", MessageKey("unknown", ANA_JID)) is None


async def test_a_null_answer_is_no_media(shop: Sandbox, client: EvolutionGateway) -> None:
    shop.control("fault", path="getBase64", status=201, body=None)
    assert await client.fetch_media("loja", MessageKey("any", ANA_JID)) is None


async def test_messages_of_one_address_are_found_since_a_time_newest_first(shop: Sandbox, client: EvolutionGateway) -> None:
    now = datetime.now(UTC)
    heard(shop, text="old", timestamp=int((now - timedelta(days=2)).timestamp()))
    sent = [(await client.send_text("loja", text(str(n)))).gateway_id for n in range(101)]
    await client.send_text("loja", SendText(to="5511900002222", text="other", message_id=message_id()))
    shop.receiver.wait("messages.update", lambda data: data["status"] == "READ", count=102)
    found = await client.find_messages("loja", ANA_JID, now - timedelta(hours=1))
    assert [message.key.id for message in found] == sent[::-1]
    assert found[0].statuses == ("SERVER_ACK", "DELIVERY_ACK", "READ")
    assert found[0].raw["message"]["conversation"] == "100"
    assert found[0].key.from_me


async def test_numbers_are_looked_up(shop: Sandbox, client: EvolutionGateway) -> None:
    shop.control("absent", number="5511900001111")
    looked = await client.whatsapp_numbers("loja", ["5531987654321", "5511900001111"])
    assert [(row.number, row.jid, row.exists) for row in looked] == [
        ("5531987654321", "553187654321@s.whatsapp.net", True),
        ("5511900001111", "5511900001111@s.whatsapp.net", False),
    ]


# Failing


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        ({"drop_response": True}, OutcomeUnknown, True),
        ({"status": 500}, OutcomeUnknown, False),
        ({"status": 504, "body": {"error": "gateway timeout"}, "handled": True}, OutcomeUnknown, True),
        ({"status": 400, "message": ["PrismaClientKnownRequestError: ECONN"], "handled": True}, OutcomeUnknown, True),
        ({"status": 201, "body": {"unexpected": True}, "handled": True}, OutcomeUnknown, True),
        ({"status": 400, "message": ["Error: Connection Closed"]}, Transient, False),
        ({"status": 400, "message": ["Error: Timed Out"]}, Transient, False),
        ({"status": 500, "message": "Connection Closed"}, Transient, False),
        ({"status": 429}, Transient, False),
        ({"status": 400, "message": ["Error: media is broken"]}, Rejected, False),
        ({"status": 413}, Rejected, False),
        ({"status": 401, "message": "Unauthorized"}, Unreachable, False),
        ({"status": 403, "body": {"error": "proxy"}}, Unreachable, False),
        ({"status": 404, "message": ["Cannot POST /message/sendText/loja"]}, Unreachable, False),
        ({"status": 503, "body": {"code": "LICENSE_REQUIRED", "register_url": "x"}}, LicenceRequired, False),
    ],
)
async def test_each_failed_send_says_whether_it_may_be_repeated(
    shop: Sandbox, client: EvolutionGateway, fault: dict[str, Any], error: type[GatewayError], done: bool
) -> None:
    shop.control("fault", **fault)
    with pytest.raises(GatewayError) as raised:
        await client.send_text("loja", text())
    assert type(raised.value) is error
    assert error.retry is (error in (Transient, Unreachable))
    assert await client.connection_state("loja") == "open"
    listed = await client.find_messages("loja", ANA_JID, datetime.now(UTC) - timedelta(hours=1))
    assert len(listed) == int(done)


async def test_a_send_that_outlasts_its_deadline_is_unknown_and_another_call_is_transient(shop: Sandbox) -> None:
    shop.control("fault", delay=1.0)
    shop.control("fault", path="connectionState", delay=1.0)
    async with EvolutionGateway(shop.url, KEY, IMPATIENT) as client:
        with pytest.raises(OutcomeUnknown, match=r"0\.3 s"):
            await client.send_text("loja", text())
        with pytest.raises(Transient):
            await client.connection_state("loja")
    assert len(shop.messages()) == 1


async def test_a_gateway_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with EvolutionGateway(f"http://127.0.0.1:{closed.getsockname()[1]}", KEY) as client:
            with pytest.raises(Unreachable):
                await client.send_text("loja", text())


async def test_a_wrong_key_is_unreachable_and_an_unknown_instance_is_missing(shop: Sandbox) -> None:
    async with EvolutionGateway(shop.url, "wrong") as client:
        with pytest.raises(Unreachable, match="key"):
            await client.send_text("loja", text())
        with pytest.raises(InstanceMissing):
            await client.send_text("nobody", text())


async def test_a_refusal_carries_the_gateways_own_words(shop: Sandbox, client: EvolutionGateway) -> None:
    with pytest.raises(Rejected, match="Text is required"):
        await client.send_text("loja", text("  "))


@pytest.mark.parametrize("state", [{"drop_response": True}, {"status": 502}])
async def test_a_lost_answer_to_anything_but_a_send_may_be_asked_again(
    shop: Sandbox, client: EvolutionGateway, state: dict[str, Any]
) -> None:
    shop.control("fault", path="/webhook/set", **state)
    with pytest.raises(Transient):
        await client.set_webhook("loja", shop.receiver_url, "outro")
    await client.set_webhook("loja", shop.receiver_url, "outro")


async def test_a_number_that_is_not_connected_is_transient(shop: Sandbox, client: EvolutionGateway) -> None:
    heard(shop, text="Oi")
    await client.logout("loja")
    for to in (ANA, "5511900002222"):
        with pytest.raises(Transient):
            await client.send_text("loja", SendText(to=to, text="Oi", message_id=message_id()))
