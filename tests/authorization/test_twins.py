"""Wherever an id may stand, the other tenant's answers as one that nobody has: by both guards, and by each alone."""

import pytest

from plixa.kernel.settings import Settings
from tests.authorization.conftest import setting
from tests.authorization.stage import ENTER, Scene
from tests.authorization.twins import Ask, forget_the_filter, offered_by, pages_of_the_other, places, probe, twin, unlock


def asks_of(scene: Scene) -> list[Ask]:
    """Every place of every route."""
    found = list(places(offered_by(scene)))
    assert len(found) > 60
    return found


OWNERS = {("/v1/scheduling/feeds", "provider_id")}
"""Where only the owner may name anybody but themselves."""


async def leaks(scene: Scene) -> list[str]:
    """What a tenant learns of its twin."""
    me, other = await twin(scene), await twin(scene)
    return await probe(me, other, asks_of(scene))


async def test_every_id_of_the_twin_is_nobodys(scene: Scene) -> None:
    me, other = await twin(scene), await twin(scene)
    found = await probe(me, other, asks_of(scene))
    probed, leaked = await pages_of_the_other(me, other, offered_by(scene))
    assert not found + leaked, "\n".join(found + leaked)
    assert probed > 8


@pytest.mark.parametrize("principal", ["agent", "impersonation", "token_read"])
async def test_and_so_it_is_for_others(scene: Scene, principal: str) -> None:
    me, other = await twin(scene), await twin(scene)
    await ENTER[principal](me)
    headers, me.headers = me.headers, me.workspace.owner.headers
    theirs = [one for one in asks_of(scene) if one.route.cells[principal] == "ok" and one.extra != {"action": "delete"}]
    if principal == "agent":
        me.made.pop("calendar_filter")
        theirs = [one for one in theirs if (one.route.path, one.place[1]) not in OWNERS]
    found = await probe(me, other, theirs, headers)
    assert len(theirs) > 10
    assert not found, "\n".join(found)


async def test_the_filter_holds_alone(settings: Settings, fresh_database: str) -> None:
    await unlock(fresh_database)
    async with setting(settings, fresh_database) as scene:
        found = await leaks(scene)
    assert not found, "\n".join(found)


async def test_row_level_security_holds_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    me, other = await twin(scene), await twin(scene)
    forget_the_filter(monkeypatch)
    found = await probe(me, other, asks_of(scene))
    assert not found, "\n".join(found)


async def test_without_either_the_probe_finds_the_leak(settings: Settings, fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await unlock(fresh_database)
    async with setting(settings, fresh_database) as scene:
        me, other = await twin(scene), await twin(scene)
        forget_the_filter(monkeypatch)
        assert len(await probe(me, other, asks_of(scene))) > 20
