"""What automatic answers need to know of a workspace: its surveys, targets, hours and language, remembered for half a second."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from plixa.kernel.uow import UnitOfWork
from plixa.workspace.domain import Day, Hours
from plixa.workspace.queries.settings import SETTINGS
from projections.inbox import InboxRow

CARE: Final = """SELECT t.locale, t.timezone, t.status = 'suspended' OR t.purge_at IS NOT NULL AS is_silent,
    s.first_response_seconds, s.resolution_seconds,
    c.tenant_id AS surveyed, c.enabled, c.question, c.follow_up_enabled, c.follow_up_question, c.thank_you, c.visible_to_agents,
    h.since, h.timezone AS hours_timezone, h.enabled AS hours_enabled, h.message, h.hours::text, h.pause_sla,
    (SELECT array_agg(k.date) FROM closure k WHERE k.tenant_id = t.tenant_id AND k.date >= $2::timestamptz::date - 400) AS closed
FROM tenant t
LEFT JOIN sla_config s ON s.tenant_id = t.tenant_id
LEFT JOIN csat_config c ON c.tenant_id = t.tenant_id
LEFT JOIN LATERAL (
    SELECT * FROM business_hours WHERE tenant_id = t.tenant_id AND since <= $2::timestamptz ORDER BY since DESC LIMIT 1
) h ON true
WHERE t.tenant_id = scope.tenant"""
ANSWERS: Final = """SELECT m.id FROM inbox_message m
JOIN csat_response s ON s.tenant_id = m.tenant_id AND s.conversation_id = m.conversation_id AND s.rating IS NOT NULL
LEFT JOIN inbox_message k ON k.tenant_id = s.tenant_id AND k.id = s.comment_message_id
WHERE m.tenant_id = scope.tenant AND m.id = ANY($2::bigint[]) AND m.author_type IN ('customer', 'bot')
    AND m.recorded_at IN (s.rated_at, k.recorded_at) AND s.agent_id IS DISTINCT FROM $3::bigint"""
"""A rating or comment, and what is said back to it in the same transaction, but for the scores of the agent ``$3``."""
TEXTS: Final = {
    "en": {
        "question": "How was our service? Reply with a number from 1 (bad) to 5 (great).",
        "follow_up": "We are sorry it was not better. What could we improve?",
        "thank_you": "Thank you for your feedback!",
        "away": "We are closed at the moment. We will answer as soon as we are back.",
        "welcome": "Hello! Thank you for your message. We will answer shortly.",
        "opted_out": "You will receive no more of our announcements. Write START to receive them again.",
        "reminder": "Reminder: {service} with {provider} on {date} at {time}. Reply 1 to confirm, or 2 if you need another time.",
        "reminder_confirmed": "Thank you, your appointment is confirmed. See you then!",
        "reminder_move": "All right. Somebody will get in touch with you about another time.",
        "offer": "A time has become free: {service} with {provider} on {date} at {time}. "
        "Reply 1 to take it, or 2 to let it pass. We keep it for you until {until}.",
        "offer_booked": "Done! {service} with {provider} on {date} at {time} is booked for you.",
        "offer_requested": "Thank you! We noted {service} with {provider} on {date} at {time} and will tell you once it is confirmed.",
        "offer_passed": "All right. You stay on our waiting list.",
        "offer_over": "We are sorry, this time is no longer free. You stay on our waiting list.",
    },
    "pt-BR": {
        "question": "Como foi o nosso atendimento? Responda com uma nota de 1 (ruim) a 5 (ótimo).",
        "follow_up": "Lamentamos que não tenha sido melhor. O que podemos melhorar?",
        "thank_you": "Obrigado pela sua avaliação!",
        "away": "Estamos fechados no momento. Responderemos assim que voltarmos.",
        "welcome": "Olá! Obrigado pela sua mensagem. Já vamos responder.",
        "opted_out": "Você não receberá mais os nossos comunicados. Escreva VOLTAR para recebê-los de novo.",
        "reminder": "Lembrete: {service} com {provider}, {date}, às {time}. Responda 1 para confirmar ou 2 se precisar de outro horário.",
        "reminder_confirmed": "Obrigado, o seu horário está confirmado. Até lá!",
        "reminder_move": "Tudo bem. Alguém vai falar com você sobre outro horário.",
        "offer": "Surgiu um horário: {service} com {provider}, {date}, às {time}. "
        "Responda 1 para ficar com ele ou 2 para deixar passar. Ele fica reservado para você até {until}.",
        "offer_booked": "Pronto! {service} com {provider}, {date}, às {time}, está marcado para você.",
        "offer_requested": "Obrigado! Anotamos {service} com {provider}, {date}, às {time}, e avisaremos assim que for confirmado.",
        "offer_passed": "Tudo bem. Você continua na nossa lista de espera.",
        "offer_over": "Desculpe, este horário não está mais livre. Você continua na nossa lista de espera.",
    },
    "es": {
        "question": "¿Cómo fue nuestra atención? Responde con un número del 1 (mala) al 5 (excelente).",
        "follow_up": "Lamentamos que no haya sido mejor. ¿Qué podríamos mejorar?",
        "thank_you": "¡Gracias por tu opinión!",
        "away": "En este momento estamos cerrados. Responderemos en cuanto volvamos.",
        "welcome": "¡Hola! Gracias por tu mensaje. Te respondemos en breve.",
        "opted_out": "No recibirás más nuestros anuncios. Escribe START para volver a recibirlos.",
        "reminder": "Recordatorio: {service} con {provider}, {date}, a las {time}. "
        "Responde 1 para confirmar o 2 si necesitas otro horario.",
        "reminder_confirmed": "Gracias, tu cita está confirmada. ¡Hasta entonces!",
        "reminder_move": "De acuerdo. Alguien se pondrá en contacto contigo para buscar otro horario.",
        "offer": "Se ha liberado un horario: {service} con {provider}, {date}, a las {time}. "
        "Responde 1 para quedártelo o 2 para dejarlo pasar. Te lo guardamos hasta las {until}.",
        "offer_booked": "¡Listo! {service} con {provider}, {date}, a las {time}, está reservado para ti.",
        "offer_requested": "¡Gracias! Hemos anotado {service} con {provider}, {date}, a las {time}, y te avisaremos cuando se confirme.",
        "offer_passed": "De acuerdo. Sigues en nuestra lista de espera.",
        "offer_over": "Lo sentimos, este horario ya no está libre. Sigues en nuestra lista de espera.",
    },
}
"""What is said where the workspace has no words of its own."""


class Csat(Struct, frozen=True):
    """How surveys are made; a text that is null is said in our words, an empty one is not said."""

    enabled: bool = False
    question: str | None = None
    follow_up_enabled: bool = False
    follow_up_question: str | None = None
    thank_you: str | None = None
    visible_to_agents: bool = False


class Settings(Struct, frozen=True):
    """A workspace's settings as automatic answers see them; ``hours`` is None before any were set. ``is_silent``: nothing may be sent."""

    locale: str
    timezone: str
    is_silent: bool
    first_response_seconds: int | None
    resolution_seconds: int | None
    csat: Csat
    hours: Hours | None

    def text(self, name: str) -> str:
        """What is said in the workspace's language, in our words."""
        texts = TEXTS.get("pt-BR" if self.locale.startswith("pt") else self.locale, TEXTS["en"])
        return texts[name]


async def find_settings(uow: UnitOfWork) -> Settings:
    """The workspace's settings, as they were at most half a second ago."""
    key = (uow.tenant, SETTINGS, 0)
    known: Settings | None = uow.kernel.recall.get(key)
    return known or uow.kernel.recall.put(key, await read_settings(uow))


async def read_settings(uow: UnitOfWork) -> Settings:
    """The workspace's settings."""
    row = await uow.fetchrow(CARE, uow.now)
    if row is None:
        raise LookupError("A workspace without a row.")
    csat = Csat()
    if row["surveyed"] is not None:
        csat = Csat(*(row[name] for name in Csat.__struct_fields__))
    hours = None
    if row["since"] is not None:
        week = msgspec.json.decode(row["hours"], type=list[Day])
        kept = (row["since"], row["hours_timezone"], row["hours_enabled"], row["message"])
        hours = Hours(*kept, week, row["pause_sla"], frozenset(row["closed"] or ()))
    standing = (row["locale"], row["timezone"], row["is_silent"])
    return Settings(*standing, row["first_response_seconds"], row["resolution_seconds"], csat, hours)


async def hide_scores(uow: UnitOfWork, rows: list[InboxRow]) -> list[InboxRow]:
    """The rows as the caller may see them: agents see what customers gave them where the owner lets them, and nobody else's."""
    viewer = uow.principal
    if viewer is None or viewer.role == "owner" or all(row.csat_rating is None for row in rows):
        return rows
    visible = await may_see_scores(uow)
    answers = await list_withheld(uow, [row.last_message_id for row in rows if row.csat_rating is not None and row.last_message_id])
    return [
        replace(
            row,
            csat_rating=row.csat_rating if visible and row.csat_agent_id == viewer.user_id else None,
            last_message_body=None if row.last_message_id in answers else row.last_message_body,
        )
        for row in rows
    ]


async def list_withheld(uow: UnitOfWork, messages: Iterable[int]) -> frozenset[int]:
    """Those of the messages that tell the caller a score they may not see."""
    viewer, numbers = uow.principal, list(messages)
    if viewer is None or viewer.role == "owner" or not numbers:
        return frozenset()
    mine = viewer.user_id if await may_see_scores(uow) else None
    return frozenset(row["id"] for row in await uow.fetch(ANSWERS, numbers, mine))


async def may_see_scores(uow: UnitOfWork) -> bool:
    """Does the caller see any scores?"""
    viewer = uow.principal
    return viewer is None or viewer.role == "owner" or (await find_settings(uow)).csat.visible_to_agents
