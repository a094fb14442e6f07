"""The demo world: a workspace somebody can look around in, made through the same commands as real ones."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from msgspec import Struct

from plixa.automation.commands.pipeline import take_in
from plixa.backoffice.commands.lifecycle import GrantLicence, grant_license
from plixa.backoffice.commands.staff import NewStaff, create_staff
from plixa.identity.commands.registering import Register, register
from plixa.identity.commands.sessions import Entrance
from plixa.inbox.commands.conversations import (
    UpdateConversation,
    close_conversation,
    read_conversation,
    update_conversation,
)
from plixa.inbox.commands.ingest import accept
from plixa.inbox.queries.conversations import Belonging, Filters, list_conversations
from plixa.kernel.assembly import assemble, running
from plixa.kernel.audit import PLATFORM
from plixa.kernel.event_store import Actor
from plixa.kernel.paging import Paging
from plixa.kernel.passwords import PasswordChecker
from plixa.kernel.settings import Settings, derive
from plixa.kernel.throttle import Throttler
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.scheduling.commands.booking import BookAppointment, book_appointment
from plixa.scheduling.commands.resources import CreateResource, create_resource
from plixa.scheduling.commands.schedules import ReplaceSchedule, replace_schedule
from plixa.scheduling.commands.services import CreateService, create_service
from plixa.scheduling.domain.appointment import SlotUnavailable
from plixa.scheduling.domain.rules import Rule
from plixa.scheduling.queries.slots import Period, list_slots
from plixa.whatsapp import domain as gateway
from plixa.whatsapp.commands.instances import NewInstance, add_instance
from plixa.whatsapp.commands.webhook import Delivered
from projections.registry import INLINE

T = TypeVar("T")

OWNER = "lucia@plixa.demo"
AGENT = "ana@plixa.demo"
STAFF = "sam@plixa.demo"
LABELS = (("Pedido", "#2f9e44"), ("Orçamento", "#1971c2"), ("Urgente", "#e03131"))
NAMES = ("Maria", "João", "Ana", "Pedro", "Beatriz", "Lucas", "Camila", "Rafael", "Juliana", "Bruno", "Larissa", "Felipe", "Patrícia")
SURNAMES = ("Silva", "Souza", "Oliveira", "Santos", "Lima", "Pereira", "Costa", "Almeida", "Ferreira", "Rodrigues")
OPENINGS = (
    "Oi, vocês entregam?",
    "Bom dia! Tem horário para sábado?",
    "Quanto custa o corte com escova?",
    "Olá, queria remarcar minha consulta",
    "Vocês aceitam Pix?",
    "Meu pedido ainda não chegou 😕",
)
ANSWERS = (
    "Oi! Entregamos sim, qual é o seu endereço?",
    "Temos às 10h e às 14h30. Qual prefere?",
    "Fica R$ 120,00. Quer agendar?",
    "Claro! Para que dia?",
    "Aceitamos Pix e cartão.",
    "Vou verificar agora e já te aviso.",
)
CLOSINGS = ("Obrigada!", "Perfeito, até lá 👋", "Ótimo, muito obrigado", "👍", "Combinado!")
FIND_DEMO = "SELECT tenant_id, id, name FROM member WHERE email = $1 AND tenant_id > 0"
ADD_AGENT = """INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
SELECT $1, $2, 'Ana Lima', $3, password_hash, 'agent', now() FROM member WHERE tenant_id = $1 AND role = 'owner'"""
ADD_LABEL = "INSERT INTO label (tenant_id, name, color, created_at) VALUES ($1, $2, $3, now())"
MEMBERS = "SELECT id FROM member WHERE tenant_id = scope.tenant ORDER BY id"
CONTACTS = "SELECT id FROM contact WHERE tenant_id = scope.tenant ORDER BY id"
INSTANCE = "SELECT id FROM phone_instance WHERE tenant_id = scope.tenant ORDER BY id LIMIT 1"


class DemoSignIn(Struct, frozen=True):
    """Who may look around, all with the same password; ``staff`` in the backoffice, outside of production only."""

    owner: str
    agent: str
    staff: str
    password: str


class Chat(Struct, frozen=True):
    """One demo customer's exchange: lines in turn, the customer first, beginning at ``start``."""

    phone: str
    name: str
    start: datetime
    lines: tuple[str, ...]


def seed_demo(settings: Settings) -> DemoSignIn:
    """Make the demo workspace where it is missing; who may sign in to it, the same every time."""
    return asyncio.run(_in_kernel(settings, _make_demo))


def seed_history(settings: Settings, days: int = 90, chats: int = 600) -> int:
    """Fill the demo workspace with conversations of the last ``days``; answers how many there are now to look at."""

    async def fill(entrance: Entrance) -> int:
        async with entrance.kernel.system.connection() as connection:
            owner = await connection.fetchrow(FIND_DEMO, OWNER)
        if owner is None:
            return 0
        tenant, actor = owner["tenant_id"], Actor("member", owner["id"], owner["name"])
        await _talk(
            entrance.kernel,
            tenant,
            actor,
            make_chats(random.Random(), chats, timedelta(days=days)),  # noqa: S311
        )
        return chats

    return asyncio.run(_in_kernel(settings, fill))


async def _in_kernel(settings: Settings, work: Callable[[Entrance], Awaitable[T]]) -> T:
    """Run something with the machinery of one process."""
    machinery = assemble(settings, INLINE)
    passwords, throttler = PasswordChecker(settings.argon2), Throttler(str(settings.redis_url))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(machinery))
        stack.callback(passwords.close)
        stack.push_async_callback(throttler.close)
        return await work(Entrance(machinery.kernel, settings, passwords, throttler))


async def _make_demo(entrance: Entrance) -> DemoSignIn:
    """Workspace, owner, agent, labels, a number and a few conversations."""
    kernel = entrance.kernel
    password = derive(entrance.settings.secret_keys[0], "demo sign-in").hex()[:12]
    open_to_staff = entrance.settings.environment != "production"
    signed = DemoSignIn(OWNER, AGENT, STAFF if open_to_staff else "plixa staff create NAME EMAIL", password)
    async with kernel.system.connection() as connection:
        if await connection.fetchrow(FIND_DEMO, OWNER) is not None:
            return signed
    form = Register("Lucia Pereira", OWNER, password, password, "Lucia Studios", "BR", timezone="America/Sao_Paulo", locale="pt")
    tenant = await kernel.numbers.next("tenant_number")
    async with working(kernel, tenant) as uow:
        user = (await perform(uow, lambda: register(uow, entrance, form))).user
        uow.actor = actor = Actor("member", user.id, user.name)
        await perform(uow, lambda: _furnish(uow, entrance.settings))
    if open_to_staff:
        await _let_staff_in(entrance, password, tenant)
    chats = make_chats(random.Random(7), 12, timedelta(days=2))  # noqa: S311 - any will do, the same each time
    await _talk(kernel, tenant, actor, chats)
    async with working(kernel, tenant, actor) as uow:
        services = await _open_salon(uow)
        await _book(uow, services)
    return signed


async def _let_staff_in(entrance: Entrance, password: str, tenant: int) -> None:
    """Somebody for the backoffice, who has given the demo workspace every feature."""
    kernel = entrance.kernel
    async with working(kernel, PLATFORM) as uow:
        person = await perform(uow, lambda: create_staff(uow, entrance.passwords, NewStaff("Sam Costa", STAFF, password)))
    async with working(kernel, tenant, Actor("staff", person.id, person.name)) as uow:
        await perform(uow, lambda: grant_license(uow, entrance.settings, GrantLicence("business")))


async def _furnish(uow: UnitOfWork, settings: Settings) -> None:
    """An agent, labels and a WhatsApp number."""
    await uow.execute(ADD_AGENT, await uow.number("member_number"), AGENT)
    for name, color in LABELS:
        await uow.execute(ADD_LABEL, name, color)
    await add_instance(uow, settings, NewInstance(label="Recepção"))


async def _open_salon(uow: UnitOfWork) -> list[int]:
    """What can be booked: both members give both services, from Monday to Saturday; answers the services."""
    members = [row["id"] for row in await uow.fetch(MEMBERS)]
    rules = [Rule("open", "09:00", "18:00", weekday) for weekday in range(1, 7)]
    for member in members:
        await perform(uow, partial(replace_schedule, uow, member, ReplaceSchedule("America/Sao_Paulo", rules)))
    basin = await perform(uow, lambda: create_resource(uow, CreateResource("Lavatório", 2)))
    wanted = [
        CreateService(
            name="Corte e escova", duration_minutes=60, price=12000, color="#e64980", resource_ids=[basin.id], provider_ids=members
        ),
        CreateService(name="Manicure", duration_minutes=45, price=4500, color="#7048e8", provider_ids=members),
    ]
    return [(await perform(uow, partial(create_service, uow, one))).id for one in wanted]


async def _book(uow: UnitOfWork, services: list[int]) -> None:
    """Appointments of the next days, for customers who have written."""
    today = datetime.now(UTC)
    chance = random.Random(7)  # noqa: S311
    contacts = [row["id"] for row in await uow.fetch(CONTACTS)]
    for service in services:
        slots = await list_slots(uow, service, None, Period(today + timedelta(days=1), today + timedelta(days=6)))
        for slot in sorted(chance.sample(slots, min(6, len(slots))), key=lambda one: one.start):
            wanted = BookAppointment(service, slot.start, contact_id=chance.choice(contacts))
            with suppress(SlotUnavailable):
                await perform(uow, partial(book_appointment, uow, wanted))


def make_chats(chance: random.Random, count: int, span: timedelta) -> list[Chat]:
    """Customers who wrote within ``span`` before now, the oldest first."""
    now = datetime.now(UTC).replace(microsecond=0)
    starts = sorted(now - span * chance.random() for _ in range(count))
    return [_chat(chance, start) for start in starts]


def _chat(chance: random.Random, start: datetime) -> Chat:
    topic = chance.randrange(len(OPENINGS))
    lines = (OPENINGS[topic], ANSWERS[topic], chance.choice(CLOSINGS))
    name = f"{chance.choice(NAMES)} {chance.choice(SURNAMES)}"
    phone = f"55{chance.choice((11, 21, 31, 41, 51, 71, 81))}9{chance.randrange(60_000_000, 99_999_999)}"
    return Chat(phone, name, start, lines[: chance.randint(1, 3)])


async def _talk(kernel: Kernel, tenant: int, actor: Actor, chats: list[Chat]) -> None:
    """Let the customers write and the workspace answer from its phone; most finished talks are closed."""
    async with working(kernel, tenant, actor) as uow:
        row = await uow.fetchrow(INSTANCE)
        instance = row["id"] if row else 0
        for chat in chats:
            for turn in range(len(chat.lines)):
                await perform(uow, partial(accept, uow, delivered(instance, chat, turn), handle=take_in))
        uow.actor = actor
        await perform(uow, lambda: _tidy(uow, actor))


def delivered(instance: int, chat: Chat, turn: int) -> Delivered:
    """One line of a chat as the gateway would bring it."""
    jid = f"{chat.phone}@s.whatsapp.net"
    identity = f"DEMO{chat.phone}{chat.start:%y%m%d%H%M%S}{turn}"
    fact = gateway.MessageArrived(
        gateway_id=identity,
        peer=gateway.Peer(jid=jid, phone=chat.phone, name=None if turn % 2 else chat.name),
        from_me=bool(turn % 2),
        kind="text",
        body=chat.lines[turn],
        sent_at=chat.start + timedelta(minutes=4 * turn),
    )
    return Delivered(instance, fact, gateway.dedupe_key(fact) or identity, b"{}", datetime.now(UTC))


async def _tidy(uow: UnitOfWork, actor: Actor) -> None:
    """Some conversations are done, some are somebody's, the rest waits."""
    views, _ = await list_conversations(uow, Filters(), Belonging(), Paging(limit=200))
    for view in views:
        if view.last_message is not None and view.last_message.body in CLOSINGS:
            await read_conversation(uow, view.id)
            await close_conversation(uow, view.id)
        elif view.id % 3 == 0:
            await update_conversation(uow, view.id, UpdateConversation(assigned_user_id=actor.id))
