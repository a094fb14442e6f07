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
    h.since, h.timezone AS hours_timezone, h.enabled AS hours_enabled, h.message, h.hours::text, h.pause_sla
FROM tenant t
LEFT JOIN sla_config s ON s.tenant_id = t.tenant_id
LEFT JOIN csat_config c ON c.tenant_id = t.tenant_id
LEFT JOIN LATERAL (
    SELECT * FROM business_hours WHERE tenant_id = t.tenant_id AND since <= $2::timestamptz ORDER BY since DESC LIMIT 1
) h ON true
WHERE t.tenant_id = scope.tenant"""
TEXTS: Final = {
    "en": {
        "question": "How was our service? Reply with a number from 1 (bad) to 5 (great).",
        "follow_up": "We are sorry it was not better. What could we improve?",
        "thank_you": "Thank you for your feedback!",
        "away": "We are closed at the moment. We will answer as soon as we are back.",
        "welcome": "Hello! Thank you for your message. We will answer shortly.",
        "opted_out": "You will receive no more of our announcements. Write START to receive them again.",
    },
    "pt-BR": {
        "question": "Como foi o nosso atendimento? Responda com uma nota de 1 (ruim) a 5 (ótimo).",
        "follow_up": "Lamentamos que não tenha sido melhor. O que podemos melhorar?",
        "thank_you": "Obrigado pela sua avaliação!",
        "away": "Estamos fechados no momento. Responderemos assim que voltarmos.",
        "welcome": "Olá! Obrigado pela sua mensagem. Já vamos responder.",
        "opted_out": "Você não receberá mais os nossos comunicados. Escreva VOLTAR para recebê-los de novo.",
    },
    "es": {
        "question": "¿Cómo fue nuestra atención? Responde con un número del 1 (mala) al 5 (excelente).",
        "follow_up": "Lamentamos que no haya sido mejor. ¿Qué podríamos mejorar?",
        "thank_you": "¡Gracias por tu opinión!",
        "away": "En este momento estamos cerrados. Responderemos en cuanto volvamos.",
        "welcome": "¡Hola! Gracias por tu mensaje. Te respondemos en breve.",
        "opted_out": "No recibirás más nuestros anuncios. Escribe START para volver a recibirlos.",
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
        hours = Hours(row["since"], row["hours_timezone"], row["hours_enabled"], row["message"], week, row["pause_sla"])
    standing = (row["locale"], row["timezone"], row["is_silent"])
    return Settings(*standing, row["first_response_seconds"], row["resolution_seconds"], csat, hours)


async def hide_scores(uow: UnitOfWork, rows: Iterable[InboxRow]) -> list[InboxRow]:
    """The rows as the caller may see them: agents see what customers gave them where the owner lets them, and nobody else's."""
    rows = list(rows)
    viewer = uow.principal
    if viewer is None or viewer.role == "owner" or all(row.csat_rating is None for row in rows):
        return rows
    visible = await may_see_scores(uow)
    return [row if visible and row.csat_agent_id == viewer.user_id else replace(row, csat_rating=None) for row in rows]


async def may_see_scores(uow: UnitOfWork) -> bool:
    """Does the caller see any scores?"""
    viewer = uow.principal
    return viewer is None or viewer.role == "owner" or (await find_settings(uow)).csat.visible_to_agents
