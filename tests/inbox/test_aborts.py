"""Callers who hang up: nobody is ever given what was meant for somebody else."""

import asyncio
import random
from contextlib import suppress

from tests.inbox.desk import Desk

CANARIES = ("canary-of-one", "canary-of-the-other")


async def test_an_answer_never_reaches_the_wrong_tenant(desk: Desk, other_desk: Desk) -> None:
    dice, desks = random.Random(7), (desk, other_desk)
    numbers = [(await one.open(name=name))["id"] for one, name in zip(desks, CANARIES, strict=True)]
    for one, number, name in zip(desks, numbers, CANARIES, strict=True):
        await one.do("PATCH", f"/{number}", json={"notes": name})

    async def ask(place: int) -> int:
        paths = (f"/{numbers[place]}", f"/{numbers[place]}/open", "", f"/{numbers[place]}/events", f"/{numbers[1 - place]}")
        with suppress(TimeoutError):
            async with asyncio.timeout(dice.random() * 0.04 if dice.random() < 0.4 else None):
                if dice.random() < 0.3:
                    body = {"body": f"{CANARIES[place]} {dice.random()}", "type": "note"}
                    answer = await desks[place].call("POST", f"/{numbers[place]}/messages", json=body)
                else:
                    answer = await desks[place].call("GET", dice.choice(paths))
                assert CANARIES[1 - place] not in answer.text
                assert answer.status_code in (200, 201, 404, 503), answer.text
                return 1
        return 0

    for _ in range(20):
        answered = await asyncio.gather(*(ask(turn % 2) for turn in range(20)))
        assert sum(answered) >= 5
    for one, name in zip(desks, CANARIES, strict=True):
        (shown,) = await one.all()
        assert (shown["contact_name"], shown["notes"]) == (name, name)
        assert await one.is_sound()
