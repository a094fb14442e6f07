"""Pages that a link in a mail opens."""

from typing import Final

from plixa.notifications.domain import HERE, WORDING, environment, language_of

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The page runs nothing, is shown in no other, and its address goes nowhere."""


def unsubscribe_page(locale: str, *, is_done: bool) -> str:
    """Asks whether to unsubscribe, or says that it is done."""
    language = language_of(locale)
    template = environment(html=True).from_string((HERE / "unsubscribe.html").read_text("utf-8"))
    return template.render(WORDING[language]["shared"], locale=language, is_done=is_done)
