"""The sandbox gateway speaks Evolution API 2.3.7 over real HTTP and plays the customers."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from plixa.whatsapp.domain import MessageArrived, Reacted, translate
from plixa.whatsapp.sandbox import Retry, samples, say
from plixa.whatsapp.sandbox.wire import jid_of
from tests.whatsapp.loopback import BY_HAND, KEY, Receiver, Sandbox, running, sandbox

ANA = "+55 11 98765-4321"
ANA_JID = "5511987654321@s.whatsapp.net"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path) as running_sandbox:
        yield running_sandbox


@pytest.fixture
def shop(gateway: Sandbox) -> Sandbox:
    gateway.connected()
    return gateway


def upserted(gateway: Sandbox, message_id: str) -> Any:
    return gateway.receiver.wait("messages.upsert", lambda data: data["key"]["id"] == message_id)


def acknowledged(gateway: Sandbox, status: str) -> Any:
    return gateway.receiver.wait("messages.update", lambda data: data["status"] == status)


def speak(gateway: Sandbox, **deed: Any) -> Any:
    """The webhook of one customer's deed."""
    return upserted(gateway, say(gateway.url, KEY, **{"phone": ANA, "name": "Ana", **deed}))


def send(gateway: Sandbox, text: str = "Sim!", number: str = "5511987654321", **more: Any) -> httpx.Response:
    return gateway.call("POST", "/message/sendText/loja", {"number": number, "text": text, **more})


# Guards and errors


def test_an_unknown_instance_is_404_even_with_a_wrong_key_and_a_wrong_key_is_401(shop: Sandbox) -> None:
    unknown = shop.call("GET", "/instance/connectionState/nobody", key="wrong")
    wrong = shop.call("GET", "/instance/connectionState/loja", key="wrong")
    message = ['The "nobody" instance does not exist']
    assert unknown.json() == {"status": 404, "error": "Not Found", "response": {"message": message}}
    assert wrong.json() == {"status": 401, "error": "Unauthorized", "response": {"message": "Unauthorized"}}
    assert (unknown.status_code, wrong.status_code) == (404, 401)


def test_a_taken_name_is_403_before_the_key_is_looked_at(shop: Sandbox) -> None:
    body = {"instanceName": "loja", "integration": "WHATSAPP-BAILEYS"}
    assert shop.call("POST", "/instance/create", body, key="wrong").status_code == 403
    assert shop.call("POST", "/instance/create", {**body, "instanceName": "x"}, key="wrong").status_code == 401


def test_an_instance_token_opens_only_its_own_instance(shop: Sandbox) -> None:
    token = shop.create("outra")["hash"]
    assert shop.call("GET", "/instance/connectionState/outra", key=token).status_code == 200
    assert shop.call("GET", "/instance/connectionState/loja", key=token).status_code == 401
    listed = shop.call("GET", "/instance/fetchInstances", key=token).json()
    assert [row["name"] for row in listed] == ["outra"]
    assert len(shop.call("GET", "/instance/fetchInstances").json()) == 2
    assert shop.call("GET", "/instance/fetchInstances?instanceName=nobody").status_code == 404


def test_an_unknown_route_and_a_missing_property_answer_in_the_envelope(shop: Sandbox) -> None:
    assert shop.call("PUT", "/instance/restart/loja").json()["response"]["message"] == ["Cannot PUT /instance/restart/loja"]
    missing = shop.call("POST", "/message/sendText/loja", {"number": "1"})
    assert missing.status_code == 400
    assert missing.json()["response"]["message"] == [['instance requires property "text"']]


# Life of a number


def test_a_created_number_shows_a_real_qr_and_pairs_by_itself(gateway: Sandbox) -> None:
    created = gateway.create(number="5511900000000")
    assert isinstance(created["hash"], str)
    assert base64.b64decode(created["qrcode"]["base64"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert len(created["qrcode"]["pairingCode"]) == 8
    opened = gateway.receiver.wait("connection.update", lambda data: data["state"] == "open")
    assert (opened["wuid"], opened["statusReason"]) == ("5511900000000@s.whatsapp.net", 200)
    assert gateway.receiver.wait("qrcode.updated")["qrcode"]["base64"] == created["qrcode"]["base64"]
    state = gateway.call("GET", "/instance/connect/loja").json()
    assert state == {"instance": {"instanceName": "loja", "state": "open"}}


def test_webhooks_carry_the_headers_that_were_set_and_only_the_events_asked_for(gateway: Sandbox) -> None:
    url = f"{gateway.receiver_url}/wh"
    webhook = {"url": url, "headers": {"X-Plixa-Token": "s"}, "events": ["CONNECTION_UPDATE"], "byEvents": True}
    gateway.connected(webhook=webhook)
    assert {caught.event for caught in gateway.receiver.caught} == {"connection.update"}
    caught = gateway.receiver.caught[-1]
    assert (caught.path, caught.headers["x-plixa-token"]) == ("/wh/connection-update", "s")
    assert caught.body["apikey"] is None


def test_setting_a_webhook_without_events_crashes_and_an_empty_list_means_all(shop: Sandbox) -> None:
    webhook = {"enabled": True, "url": shop.receiver_url}
    assert shop.call("POST", "/webhook/set/loja", {"webhook": webhook}).status_code == 500
    stored = shop.call("POST", "/webhook/set/loja", {"webhook": {**webhook, "events": []}})
    assert stored.status_code == 201
    assert "MESSAGES_UPSERT" in stored.json()["events"]
    assert shop.call("GET", "/webhook/find/loja").json() == stored.json()


def test_settings_want_all_six_booleans(shop: Sandbox) -> None:
    names = ("rejectCall", "groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory")
    refused = shop.call("POST", "/settings/set/loja", {"rejectCall": True})
    assert len(refused.json()["response"]["message"][0]) == 5
    assert shop.call("POST", "/settings/set/loja", dict.fromkeys(names, True)).status_code == 201


def test_a_logged_out_number_says_close_and_cannot_restart_or_send(shop: Sandbox) -> None:
    assert shop.call("DELETE", "/instance/logout/loja").json()["status"] == "SUCCESS"
    closed = shop.receiver.wait("connection.update", lambda data: data["state"] == "close")
    assert closed["statusReason"] == 401
    assert shop.receiver.wait("logout.instance") is None
    assert shop.call("DELETE", "/instance/logout/loja").status_code == 400
    restarted = shop.call("POST", "/instance/restart/loja")
    assert (restarted.status_code, restarted.json()["error"]) == (200, True)
    assert send(shop).json()["response"]["message"] == "Connection Closed"


def test_a_deleted_number_is_gone(shop: Sandbox) -> None:
    assert shop.call("DELETE", "/instance/delete/loja").status_code == 200
    assert shop.call("GET", "/instance/connectionState/loja").status_code == 404


def test_a_number_waits_until_it_is_paired_by_hand_and_can_be_banned(tmp_path: Path) -> None:
    with sandbox(tmp_path, BY_HAND) as gateway:
        gateway.create()
        assert gateway.call("GET", "/instance/connect/loja").json()["count"] == 1
        assert gateway.control("pair", instance="loja")["owner"].endswith("@s.whatsapp.net")
        gateway.control("unlink", instance="loja", code=403)
        assert gateway.receiver.wait("status.instance")["disconnectionReasonCode"] == 403


def test_a_restart_keeps_numbers_messages_and_media(tmp_path: Path) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        with running(tmp_path, receiver, url) as first:
            first.connected()
            picture = speak(first, image=True)["key"]["id"]
        with running(tmp_path, receiver, url) as second:
            receiver.wait("connection.update", lambda data: data["state"] == "open", count=2)
            assert [message["id"] for message in second.messages()] == [picture]
            answer = second.call("POST", "/chat/getBase64FromMediaMessage/loja", {"message": {"key": {"id": picture}}})
            assert base64.b64decode(answer.json()["base64"]) == samples.picture()


# Delivery


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_final_refusal_loses_the_event(shop: Sandbox, status: int) -> None:
    shop.receiver.statuses = [status]
    lost = say(shop.url, KEY, phone=ANA, text="one")
    upserted(shop, lost)
    speak(shop, text="two")
    fate = [caught.answered for caught in shop.receiver.caught if caught.answered == status]
    assert fate == [status]


def test_anything_else_is_tried_again_until_it_is_taken(shop: Sandbox) -> None:
    webhook = {"enabled": True, "url": shop.receiver_url, "events": ["MESSAGES_UPSERT"]}
    shop.call("POST", "/webhook/set/loja", {"webhook": webhook})
    shop.receiver.statuses = [503, 500, 429, 413, 302]
    said = say(shop.url, KEY, phone=ANA, text="Oi")
    shop.receiver.wait("messages.upsert", lambda data: data["key"]["id"] == said, count=6)
    assert [caught.answered for caught in shop.receiver.events("messages.upsert")] == [503, 500, 429, 413, 302, 200]


def test_the_pauses_double_to_their_limit_within_a_fifth() -> None:
    pauses = [Retry().pause(attempt, 0) for attempt in range(1, 9)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    assert Retry().pause(2, -1) == 8
    assert Retry().pause(1, -1) == 5


# Sending


def test_a_text_is_pending_then_acknowledged_in_order(shop: Sandbox) -> None:
    answer = send(shop)
    assert answer.status_code == 201
    sent = answer.json()
    assert (sent["key"]["remoteJid"], sent["key"]["fromMe"], sent["status"]) == (ANA_JID, True, "PENDING")
    assert shop.receiver.wait("send.message") == sent
    for status in ("SERVER_ACK", "DELIVERY_ACK", "READ"):
        assert acknowledged(shop, status)["keyId"] == sent["key"]["id"]
    assert shop.messages()[0]["statuses"] == ["SERVER_ACK", "DELIVERY_ACK", "READ"]


def test_a_status_out_of_order_can_be_played(shop: Sandbox) -> None:
    sent = send(shop).json()["key"]["id"]
    shop.control("acknowledge", id=sent, status="ERROR")
    assert acknowledged(shop, "ERROR")["keyId"] == sent


def test_a_number_that_is_absent_is_refused_with_exists_false(shop: Sandbox) -> None:
    shop.control("absent", number="5511900001111")
    refused = send(shop, number="5511900001111")
    assert refused.status_code == 400
    jid = "5511900001111@s.whatsapp.net"
    assert refused.json()["response"]["message"] == [{"jid": jid, "exists": False, "number": "5511900001111"}]


def test_a_quote_without_its_message_is_looked_up_or_dropped(shop: Sandbox) -> None:
    asked = speak(shop, text="Vocês entregam?")["key"]
    quoting = send(shop, quoted={"key": asked}).json()
    assert quoting["contextInfo"]["quotedMessage"]["conversation"] == "Vocês entregam?"
    assert send(shop, quoted={"key": {**asked, "id": "unknown"}}).json()["contextInfo"] is None


@pytest.mark.parametrize(
    ("number", "jid"),
    [
        ("+55 (11) 98765-4321", "5511987654321@s.whatsapp.net"),
        ("5531987654321", "553187654321@s.whatsapp.net"),
        ("553187654321", "553187654321@s.whatsapp.net"),
        ("5215512345678", "525512345678@s.whatsapp.net"),
        ("5491123456789", "541123456789@s.whatsapp.net"),
        ("8400@lid", "8400@lid"),
        ("5511987654321:12@s.whatsapp.net", "5511987654321@s.whatsapp.net"),
    ],
)
def test_numbers_become_the_addresses_the_real_gateway_makes(number: str, jid: str) -> None:
    assert jid_of(number) == jid


def test_media_want_bare_base64_and_documents_a_name(shop: Sandbox) -> None:
    def media(**body: Any) -> httpx.Response:
        return shop.call("POST", "/message/sendMedia/loja", {"number": "5511987654321", **body})

    content = base64.b64encode(samples.picture()).decode()
    assert media(mediatype="image", media=f"data:image/png;base64,{content}").status_code == 400
    assert media(mediatype="document", media=content).status_code == 400
    sent = media(mediatype="image", media=content, caption="Olha").json()
    assert sent["message"]["imageMessage"]["caption"] == "Olha"
    assert sent["message"]["imageMessage"]["fileLength"]["low"] == len(samples.picture())
    assert shop.messages()[0]["sha256"] == hashlib.sha256(samples.picture()).hexdigest()


def test_deleting_for_everyone_reports_the_whole_row(shop: Sandbox) -> None:
    key = send(shop).json()["key"]
    body = {"id": key["id"], "remoteJid": key["remoteJid"], "fromMe": True}
    assert shop.call("DELETE", "/chat/deleteMessageForEveryone/loja", body).status_code == 201
    gone = shop.receiver.wait("messages.delete")
    assert (gone["key"]["id"], gone["status"]) == (key["id"], "DELETED")


def test_presence_and_reactions_answer_as_the_real_one(shop: Sandbox) -> None:
    key = speak(shop, text="Oi")["key"]
    presence = {"number": "5511987654321", "presence": "composing", "delay": 10}
    assert shop.call("POST", "/chat/sendPresence/loja", presence).json() == {"presence": "composing"}
    assert shop.call("POST", "/instance/setPresence/loja", {"presence": "available"}).status_code == 201
    reaction = shop.call("POST", "/message/sendReaction/loja", {"key": key, "reaction": "👍"})
    assert reaction.json()["message"]["reactionMessage"]["text"] == "👍"


# Customers


def test_a_text_arrives_with_the_name_and_a_new_contact(shop: Sandbox) -> None:
    message = speak(shop, text="Oi, vocês entregam?")
    assert message["key"] == {"remoteJid": ANA_JID, "fromMe": False, "id": message["key"]["id"]}
    assert (message["pushName"], message["messageType"]) == ("Ana", "conversation")
    assert message["message"]["conversation"] == "Oi, vocês entregam?"
    assert message["message"]["messageContextInfo"]["messageSecret"]["0"] == 0x89
    assert shop.receiver.wait("contacts.upsert")["pushName"] == "Ana"
    speak(shop, text="?")
    assert shop.receiver.wait("contacts.update")["remoteJid"] == ANA_JID


@pytest.mark.parametrize(
    ("deed", "kind", "mime"),
    [
        ({"image": True, "text": "Este"}, "imageMessage", "image/png"),
        ({"audio": True}, "audioMessage", "audio/ogg; codecs=opus"),
        ({"document": True}, "documentMessage", "application/pdf"),
        ({"sticker": True}, "stickerMessage", "image/webp"),
        ({"video": b"\x00\x00\x00\x18ftypmp42", "mime": "video/mp4"}, "videoMessage", "video/mp4"),
    ],
)
def test_media_arrive_with_bytes_to_fetch(shop: Sandbox, deed: dict[str, Any], kind: str, mime: str) -> None:
    message = speak(shop, **deed)
    assert (message["messageType"], message["message"][kind]["mimetype"]) == (kind, mime)
    wanted = {"message": {"key": {"id": message["key"]["id"]}}}
    media = shop.call("POST", "/chat/getBase64FromMediaMessage/loja", wanted)
    assert media.status_code == 201
    content = base64.b64decode(media.json()["base64"])
    assert len(content) == message["message"][kind]["fileLength"]["low"] > 0


def test_places_people_and_unknown_kinds_arrive(shop: Sandbox) -> None:
    assert speak(shop, location=True)["message"]["locationMessage"]["name"] == "MASP"
    assert "waid=5511977776666" in speak(shop, contact=True)["message"]["contactMessage"]["vcard"]
    assert speak(shop, message={"eventMessage": {"name": "Festa"}})["messageType"] == "eventMessage"


def test_a_reply_points_at_the_last_message_or_a_named_one(shop: Sandbox) -> None:
    sent = send(shop, "Entregamos.").json()["key"]["id"]
    reply = speak(shop, text="Que bom", quote="last")
    assert reply["contextInfo"]["stanzaId"] == sent
    assert reply["contextInfo"]["quotedMessage"]["conversation"] == "Entregamos."
    picture = speak(shop, image=True, quote=reply["key"]["id"])
    assert picture["message"]["imageMessage"]["contextInfo"]["stanzaId"] == reply["key"]["id"]


def test_a_reaction_an_edit_and_a_revoke_name_their_message(shop: Sandbox) -> None:
    said = speak(shop, text="Quero dios")["key"]["id"]
    assert speak(shop, react="❤️", quote=said)["message"]["reactionMessage"]["key"]["id"] == said
    say(shop.url, KEY, phone=ANA, edit=said, text="Quero dois")
    edited = shop.receiver.wait("messages.edited")
    assert (edited["type"], edited["key"]["id"]) == ("MESSAGE_EDIT", said)
    assert edited["editedMessage"] == {"conversation": "Quero dois"}
    say(shop.url, KEY, phone=ANA, delete=said)
    gone = shop.receiver.wait("messages.delete")
    assert (gone["id"], gone["status"]) == (said, "DELETED")
    assert shop.receiver.wait("messages.edited", lambda data: data["type"] == "REVOKE")["key"]["id"] == said


@pytest.mark.parametrize(
    ("shape", "key"),
    [
        ("2.3.4", {"remoteJid": ANA_JID, "senderPn": ANA_JID, "previousRemoteJid": "8400@lid"}),
        ("2.3.6", {"remoteJid": "8400@lid", "remoteJidAlt": ANA_JID, "addressingMode": "lid"}),
        ("2.3.7", {"remoteJid": ANA_JID, "remoteJidAlt": ANA_JID, "addressingMode": "lid"}),
        ("2.4.0", {"remoteJid": ANA_JID, "remoteJidAlt": "8400@lid", "addressingMode": "pn"}),
    ],
)
def test_a_lid_is_named_as_each_version_names_it(shop: Sandbox, shape: str, key: dict[str, str]) -> None:
    heard = speak(shop, text="Oi", lid="8400", shape=shape)["key"]
    assert {name: heard[name] for name in key} == key


def test_a_lid_without_a_phone_stays_a_lid(shop: Sandbox) -> None:
    assert speak(shop, text="Oi", phone=None, lid="8400")["key"]["remoteJid"] == "8400@lid"


def test_a_brazilian_number_keeps_its_ninth_digit_only_when_told_so(shop: Sandbox) -> None:
    assert speak(shop, text="Oi", phone="+5531987654321")["key"]["remoteJid"] == "553187654321@s.whatsapp.net"
    exact = speak(shop, text="Oi", phone="5531987654321", exact=True)
    assert exact["key"]["remoteJid"] == "5531987654321@s.whatsapp.net"


def test_a_message_typed_on_the_owners_phone_is_an_echo(shop: Sandbox) -> None:
    echo = speak(shop, text="Já vai", own_phone=True)
    assert (echo["key"]["fromMe"], echo["pushName"], echo["source"]) == (True, "Você", "android")
    assert shop.messages()[0]["source"] == "own_phone"


def test_every_deed_means_something_to_our_translation(shop: Sandbox) -> None:
    speak(shop, text="Oi")
    for kind in ("image", "audio", "document", "sticker", "location", "contact"):
        speak(shop, **{kind: True})
    speak(shop, message={"eventMessage": {}})
    speak(shop, react="👍")
    facts = [fact for caught in shop.receiver.events("messages.upsert") for fact in translate(caught.body)]
    kinds = sorted(fact.kind for fact in facts if isinstance(fact, MessageArrived))
    assert kinds == ["contact", "document", "image", "location", "sticker", "text", "unsupported", "voice"]
    assert [fact.emoji for fact in facts if isinstance(fact, Reacted)] == ["👍"]


def test_a_deed_that_makes_no_sense_is_refused_with_a_reason(shop: Sandbox) -> None:
    for deed in ({"phone": ANA}, {"text": "Oi"}, {"phone": ANA, "edit": "last"}, {"phone": ANA, "txt": "Oi"}):
        assert shop.call("POST", "/sandbox/say", deed).status_code == 400
    assert shop.call("POST", "/sandbox/say", {"phone": ANA, "text": "Oi"}, key="wrong").status_code == 401
