"""Ids in disguise: another type, another spelling, or one digit more is never taken for the id itself, and breaks nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Response

from tests.authorization.asking import ask, question
from tests.authorization.making import thing
from tests.authorization.stage import Scene
from tests.authorization.twins import ELSE_NOBODYS, Ask, offered_by, places, twin

ARABIC = {ord("0") + digit: 0x660 + digit for digit in range(10)}


def disguises(number: int) -> Iterator[Any]:
    """What is nearly the id, as JSON has it."""
    yield from (str(number), [number], [[number]], {"id": number}, True, number + 0.5, f" {number}", f"{number}e0", f"{number}.0")
    yield from (float(number), f"\t{number}", f"{number} ")
    yield from (int(f"{number}0"), int(f"1{number}"), -number, 2**63 + number)
    yield from (f"+{number}", f"0{number}", f"{str(number)[0]}_{str(number)[1:]}", str(number).translate(ARABIC))


@pytest.mark.parametrize("where", ["path", "query", "body"])
async def test_nothing_is_taken_for_an_id_that_is_none(scene: Scene, where: str) -> None:
    stage, wrong = await twin(scene), []
    for one in places(offered_by(scene)):
        if one.place[0] == where and one.thing not in ELSE_NOBODYS and one.route.cells["owner"] == "ok":
            wrong += [fault async for fault in taken(stage, one, await thing(stage, one.thing))]
    assert not wrong, "\n".join(wrong)


async def taken(stage: Any, one: Ask, number: int) -> Any:
    """Which disguises were not seen through."""
    where = "query" if "as_of" in one.extra else "body"
    for value in disguises(number):
        said = value if where_is_json(one) else spelt(one, value)
        if said is None:
            continue
        put = {(where, name): told for name, told in one.extra.items()} | {one.place: [said] if one.is_list else said}
        answer = await ask(stage, await question(stage, one.route, put))
        if answer.status_code not in (404, 422) and not finds_nothing(one, answer):
            yield f"{one} {value!r}: {answer.status_code} {answer.text[:160]}"


def where_is_json(one: Ask) -> bool:
    """Does it stand in a body?"""
    return one.place[0] == "body"


def spelt(one: Ask, value: Any) -> str | None:
    """A disguise in an address; None where it would be the id itself. ``7.0`` is the number 7 in a query, and no path at all."""
    text = str(value)
    plain = text.isdigit() if text.isascii() else False
    is_it = isinstance(value, str) and plain and not text.startswith("0")
    return None if is_it or (one.place[0] == "query" and text.endswith((".0", "e0"))) else text


def finds_nothing(one: Ask, answer: Response) -> bool:
    """Is it a filter, or passed over?"""
    if one.refusal != 200 or not answer.is_success:
        return False
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.text.count("\n") <= 1
    return one.is_list or answer.json()["data"] in ([], {"affected": 0})
