"""What requests name: every thing of a workspace that has an id, a token or a code, and every state it may have to be in."""

import io
import secrets
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pyotp
from PIL import Image

from plixa.automation.commands.assignment_rules import CreateAssignmentRule, create_rule
from plixa.contacts.commands.custom_fields import DefineField, define_field
from plixa.contacts.commands.imports import start_import
from plixa.contacts.commands.labels import label_contact
from plixa.contacts.commands.opt_out import OptOut, exclude_contact
from plixa.identity.commands.passwords import offer_reset
from plixa.identity.commands.sessions import open_session
from plixa.identity.domain import recovery_hash
from plixa.identity.queries.members import find_account
from plixa.inbox.commands.conversations import UpdateConversation, close_conversation, read_conversation, update_conversation
from plixa.inbox.commands.labels import label_conversation
from plixa.inbox.commands.messages import Upload, send_media
from plixa.inbox.commands.people import MergeContact, block_contact, merge_contact
from plixa.inbox.commands.saved_replies import SavedReply, create_saved_reply
from plixa.kernel.audit import PLATFORM
from plixa.workspace.commands.sectors import CreateSector, create_sector
from plixa.workspace.commands.settings import set_logo
from plixa.workspace.commands.team import Invite, invite
from tests.authorization import appointments, letters, tickets
from tests.authorization.making import MAKERS, Maker, doing, fixed, of_stage, thing
from tests.authorization.stage import SCHEDULE, SUSPEND, Stage, hire
from tests.identity.people import change
from tests.identity.tokens import new_token
from tests.inbox.desk import LABEL, stamp
from tests.support.numbers import Number, connect_number
from tests.support.world import PASSWORD, add_agent
from tests.whatsapp import webhooks

NEWEST = "SELECT id FROM inbox_conversation WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1"
CONTACT = "SELECT contact_id FROM inbox_conversation WHERE tenant_id = $1 AND id = $2"
MESSAGE = "SELECT min(id) FROM inbox_message WHERE tenant_id = $1 AND conversation_id = $2"
STORED = "SELECT password_hash FROM member WHERE tenant_id = $1 AND id = $2"
TOKEN_ID = "SELECT max(id) FROM access_token WHERE tenant_id = $1 AND member_id = $2 AND kind = $3"
SECOND_FACTOR = """UPDATE member SET two_factor_secret = $3, two_factor_setup_at = now(), two_factor_step = 0,
two_factor_confirmed_at = CASE WHEN $4 THEN now() END WHERE tenant_id = $1 AND id = $2"""
CODE = "INSERT INTO recovery_code (tenant_id, member_id, hash) VALUES ($1, $2, $3)"
PASSPHRASE = "lantern orchard tungsten"
RECOVERY_CODE = "k3jp9-qzx2a"
PHONE = "SELECT phone FROM contact WHERE tenant_id = $1 AND id = $2"
CSV = b"phone,name\n5511912345678,Ana\n"
PICTURE = io.BytesIO()
Image.new("RGB", (8, 8), "#aa3300").save(PICTURE, "PNG")
FILES = {"png": PICTURE.getvalue(), "csv": CSV}
WEEK = [{"weekday": day, "open": "09:00", "close": "17:00", "enabled": 1 <= day <= 5} for day in range(7)]


async def new_email(_stage: Stage) -> str:
    return f"new-{secrets.token_hex(6)}@example.com"


async def new_phone(_stage: Stage) -> str:
    return f"55119{secrets.randbelow(10**8):08}"


async def number(stage: Stage) -> Number:
    return await connect_number(stage.scene.entrance.settings, stage.workspace)


async def phone_instance(stage: Stage) -> int:
    return int((await thing(stage, "number")).id)


async def instance(stage: Stage) -> str:
    return str((await thing(stage, "number")).name)


async def webhook_secret(stage: Stage) -> str:
    return str((await thing(stage, "number")).secret)


async def webhook(stage: Stage) -> webhooks.Webhook:
    """A customer writes."""
    chat = webhooks.Chat(phone=await new_phone(stage), name=f"Customer {stage.canary}", instance=await instance(stage))
    return webhooks.text(chat, stamp(), f"Hello {stage.canary}")


async def conversation(stage: Stage) -> int:
    """Nobody's, with one unread message."""
    path, headers = f"/v1/webhooks/evolution/{await instance(stage)}", {"X-Plixa-Token": await webhook_secret(stage)}
    answer = await stage.scene.client.post(path, json=await webhook(stage), headers=headers)
    assert answer.status_code == 200, answer.text
    return int(await stage.value(NEWEST))


async def contact(stage: Stage) -> int:
    return int(await stage.value(CONTACT, await thing(stage, "conversation")))


async def other_contact(stage: Stage) -> int:
    """Somebody who writes to another number, so that the two may be merged and parted again."""
    number = stage.made.pop("number", None)
    found = int(await stage.value(CONTACT, await conversation(stage)))
    stage.made["number"] = number or stage.made["number"]
    return found


async def blocked(stage: Stage) -> None:
    number = await thing(stage, "contact")
    await doing(stage, lambda uow: block_contact(uow, number, blocked=True))


async def merged(stage: Stage) -> None:
    number, into = await thing(stage, "contact"), await thing(stage, "other_contact")
    await doing(stage, lambda uow: merge_contact(uow, number, MergeContact(into)))


async def phone(stage: Stage) -> str:
    return str(await stage.value(PHONE, await thing(stage, "contact")))


async def opted_out(stage: Stage) -> None:
    number = await thing(stage, "contact")
    await doing(stage, lambda uow: exclude_contact(uow, number, OptOut("asked")))


async def import_id(stage: Stage) -> int:
    """A list of contacts that was brought in."""
    return (await doing(stage, lambda uow: start_import(uow, CSV))).id


async def message(stage: Stage) -> int:
    return int(await stage.value(MESSAGE, await thing(stage, "conversation")))


async def file_message(stage: Stage) -> int:
    """One with a file."""
    number = await thing(stage, "conversation")
    upload = Upload(
        content=PICTURE.getvalue(), filename=f"{stage.canary}.png", caption=stage.canary, voice=False, seconds=None, waveform=None
    )
    return await doing(stage, lambda uow: send_media(uow, number, upload))


async def taken_conversation(stage: Stage) -> int:
    """The owner's."""
    number = await thing(stage, "conversation")
    change = UpdateConversation(assigned_user_id=stage.workspace.owner.id)
    await doing(stage, lambda uow: update_conversation(uow, number, change))
    return int(number)


async def closed(stage: Stage) -> None:
    number = await thing(stage, "conversation")
    await doing(stage, lambda uow: close_conversation(uow, number))


async def read(stage: Stage) -> None:
    number = await thing(stage, "conversation")
    await doing(stage, lambda uow: read_conversation(uow, number))


async def label(stage: Stage) -> int:
    return int(await stage.value(LABEL, stage.canary))


async def label_text(stage: Stage) -> str:
    """Its id, where ids are texts."""
    return str(await thing(stage, "label"))


async def rule(stage: Stage) -> int:
    """Gives conversations with a label to the agent."""
    label = await thing(stage, "label_text")
    wanted = CreateAssignmentRule(1, "label", "assign_user", condition_value=label, action_user_id=stage.agent.id)
    return (await doing(stage, partial(create_rule, data=wanted))).id


async def labelled(stage: Stage) -> None:
    number, wanted = await thing(stage, "conversation"), await thing(stage, "label")
    await doing(stage, lambda uow: label_conversation(uow, number, wanted))


async def contact_labelled(stage: Stage) -> None:
    number, wanted = await thing(stage, "contact"), await thing(stage, "label")
    await doing(stage, lambda uow: label_contact(uow, number, wanted))


async def definitions(stage: Stage) -> list[int]:
    """Two custom fields, in another order than theirs."""
    names = ("B " + stage.canary, "A " + stage.canary)
    return [(await doing(stage, partial(define_field, data=DefineField(name, "text")))).id for name in names][::-1]


async def definition(stage: Stage) -> int:
    return int((await thing(stage, "definitions"))[0])


async def values(stage: Stage) -> dict[str, str]:
    """What is to stand in a custom field."""
    return {str(await thing(stage, "definition")): stage.canary}


async def replies(stage: Stage) -> list[int]:
    """Two saved replies, in another order than theirs."""
    wanted = SavedReply(stage.canary, stage.canary)
    return [(await doing(stage, partial(create_saved_reply, data=wanted))).id for _ in range(2)][::-1]


async def reply(stage: Stage) -> int:
    return int((await thing(stage, "replies"))[0])


async def sector(stage: Stage) -> int:
    wanted = CreateSector(name=stage.canary, description=stage.canary, user_ids=[stage.agent.id])
    return (await doing(stage, lambda uow: create_sector(uow, wanted))).id


async def logo(stage: Stage) -> None:
    await doing(stage, lambda uow: set_logo(uow, stage.scene.entrance.settings, PICTURE.getvalue()))


async def member(stage: Stage) -> int:
    """Somebody else."""
    return (await add_agent(stage.scene.entrance, stage.workspace, f"Rui {stage.canary}")).id


async def token(stage: Stage) -> int:
    """An API token's id."""
    return int((await new_token(stage.kernel, "api", stage.tenant, stage.workspace.owner.id, "read")).partition("|")[0])


async def session(stage: Stage) -> int:
    """Another session of whoever calls."""
    caller = stage.caller if stage.principal != "staff" else stage.workspace.owner.id
    stored = await stage.value(STORED, caller)
    return int((await doing(stage, lambda uow: open_session(uow, caller, stored or ""))).partition("|")[0]) if stored else 1


async def asked(stage: Stage) -> Any:
    """An invitation that waits."""
    settings = stage.scene.entrance.settings
    wanted = Invite(email=await new_email(stage))
    return await doing(stage, lambda uow: invite(uow, settings, wanted))


async def invitation(stage: Stage) -> int:
    return int((await thing(stage, "asked")).id)


async def invitation_token(stage: Stage) -> str:
    return str((await thing(stage, "asked")).accept_url).partition("#token=")[2]


async def reset_token(stage: Stage) -> str:
    """Of a link the owner was mailed."""
    token, url = secrets.token_urlsafe(32), stage.scene.entrance.settings.public_url
    account = await find_account(stage.kernel.system, stage.workspace.owner.email)
    await doing(stage, lambda uow: offer_reset(uow, account, token, url))
    return token


async def factor(stage: Stage, *, confirmed: bool) -> str:
    """The secret of the caller's second factor, with one recovery code."""
    secret, tenant = pyotp.random_base32(), PLATFORM if stage.principal == "staff" else stage.tenant
    sealed = stage.kernel.vault.seal(secret.encode(), f"member/{tenant}/{stage.caller}/two_factor_secret")
    await change(stage.kernel, SECOND_FACTOR, tenant, stage.caller, sealed, confirmed)
    if confirmed and stage.principal != "removed_member":
        await change(stage.kernel, CODE, tenant, stage.caller, recovery_hash(secret, RECOVERY_CODE))
    return secret


async def two_factor(stage: Stage) -> str | None:
    """The caller's second factor is on, unless it is what they lack."""
    return None if stage.principal == "two_factor_unenrolled" else await factor(stage, confirmed=True)


async def totp(stage: Stage) -> str:
    """What their app shows, when it is on or about to be."""
    secret = await factor(stage, confirmed=stage.principal == "two_factor_pending")
    return pyotp.TOTP(secret).now()


async def endpoint(stage: Stage) -> str:
    return f"https://updates.push.services.mozilla.com/wpush/v2/{stage.canary}"


async def subscribed(stage: Stage) -> None:
    """The caller's browser wants notifications."""
    path = "/v1/admin/push/subscriptions" if stage.principal == "staff" else "/v1/push/subscriptions"
    answer = await stage.scene.client.post(path, json={"endpoint": await endpoint(stage)}, headers=stage.headers)
    assert answer.status_code == 201, answer.text


async def staff_email(stage: Stage) -> str:
    await hire(stage)
    return str(stage.made["staff_email"])


async def suspended(stage: Stage) -> None:
    await stage.change(SUSPEND)


async def deletion_scheduled(stage: Stage) -> None:
    await stage.change(SCHEDULE)


THINGS: dict[str, Maker] = {
    "password": fixed(PASSWORD),
    "new_password": fixed(PASSPHRASE),
    "recovery_code": fixed(RECOVERY_CODE),
    "week": fixed(WEEK),
    "tomorrow": of_stage(lambda _stage: (datetime.now(UTC) + timedelta(days=1)).isoformat()),
    "agent": of_stage(lambda stage: stage.agent.id),
    "owner_email": of_stage(lambda stage: stage.workspace.owner.email),
    "tenant_id": of_stage(lambda stage: stage.tenant),
    "word": of_stage(lambda stage: stage.canary),
    **{
        make.__name__: make
        for make in (
            *(new_email, number, phone_instance, instance, webhook_secret, webhook),
            *(
                conversation,
                contact,
                other_contact,
                blocked,
                merged,
                phone,
                opted_out,
                import_id,
                message,
                file_message,
                taken_conversation,
                closed,
                read,
                sector,
                logo,
            ),
            *(label, label_text, rule, labelled, contact_labelled, definitions, definition, values, replies, reply, new_phone),
            *(member, token, session, asked, invitation, invitation_token, reset_token),
            *(two_factor, totp, endpoint, subscribed, staff_email, suspended, deletion_scheduled),
        )
    },
    **appointments.THINGS,
    **tickets.THINGS,
    **letters.THINGS,
}
"""By name: what ``$name`` and ``{name}`` stand for in the table, and what may be ``given``."""

MAKERS.update(THINGS)
