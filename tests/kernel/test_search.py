"""The words of texts: whichever way a text is split, the plain one or the fast one, its words are the same."""

import re
import unicodedata
from random import Random

import pytest

from plixa.kernel.search import LONGEST, MOST, folded, lexemes


def by_definition(text: str) -> list[str]:
    """Letter by letter."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()
    return [word[:LONGEST] for word in re.findall(r"\w+", plain)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Olá, AÇÃO não-lida!", ["ola", "acao", "nao", "lida"]),
        ("a_b\tc'd\x1f7,5", ["a_b", "c", "d", "7", "5"]),
        ("Straße ﬁm", ["strasse", "fim"]),
        ("ħéllo \u0489x\u034fy Ωμέγα", ["ħello", "x", "y", "ωμεγα"]),
        ("x" * 60, ["x" * LONGEST]),
        (" .\n", []),
    ],
)
def test_words_have_neither_accents_nor_case(text: str, words: list[str]) -> None:
    assert folded(text) == by_definition(text) == words


def test_texts_of_any_letters_are_split_as_defined() -> None:
    dice = Random(7)
    for last in (0x7F, 0x17F, 0x36F, 0x1EFF, 0xFFFF):
        for _ in range(500):
            text = "".join(letter for letter in (chr(dice.randint(1, last)) for _ in range(40)) if letter.isprintable() or letter.isspace())
            assert folded(text) == by_definition(text)


def test_lexemes_name_each_word_once_and_every_ending_of_a_phone() -> None:
    assert lexemes(42, "Oi oi, Maria", None, "maria José") == "42/oi 42/maria 42/jose"
    assert lexemes(42, "oi", phones=("551199", "1199")) == "42/oi 42/551199 42/51199 42/1199"
    assert lexemes(42, None, "", " ") == ""
    assert len(lexemes(42, " ".join(map(str, range(2 * MOST)))).split()) == MOST
