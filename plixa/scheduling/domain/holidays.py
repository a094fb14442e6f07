"""Public holidays of a country, as the ``holidays`` package knows them: without a network, the same everywhere for one version of it."""

from datetime import date
from functools import lru_cache
from typing import Final

import holidays

LONGEST: Final = 255


@lru_cache(maxsize=512)
def list_public_holidays(country: str, locale: str, first: date, last: date) -> tuple[tuple[date, str], ...]:
    """The days off between two dates, both included, moved ones too; named in the language of ``locale`` where the package has it.

    The first call for a country loads its rules from the disk: not for an event loop.
    """
    years = range(first.year, last.year + 1)
    known = holidays.country_holidays(country, years=years, language=language_of(country, locale), observed=True)
    return tuple((day, name[:LONGEST]) for day, name in sorted(known.items()) if first <= day <= last)


def language_of(country: str, locale: str) -> str | None:
    """The package's name of a language; without the wanted one, the country's own."""
    languages = (known := holidays.country_holidays(country)).supported_languages
    wanted = locale.replace("-", "_")
    alike = [language for language in languages if language.partition("_")[0] == wanted.partition("_")[0]]
    return wanted if wanted in languages else next(iter(alike), known.default_language)
