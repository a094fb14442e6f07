"""What slots are, in sixty lines: tick by tick, with nothing but ``zoneinfo``. All that is given falls on ticks."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from plixa.scheduling.domain.rules import Rule
from plixa.scheduling.domain.slots import SHUT, TAKEN, ClosedDay, Offer, Provider


@lru_cache(maxsize=64)
def walls(zone: str, ticks: range) -> dict[int, datetime]:
    return {tick: datetime.fromtimestamp(tick, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for tick in ticks}


class Brute:
    def __init__(self, offer: Offer, provider: Provider, closed: list[ClosedDay], ticks: range) -> None:
        self.offer, self.ticks, self.zone, self.wall = offer, ticks, ZoneInfo(provider.zone), walls(provider.zone, ticks)
        self.dates = sorted({wall.date() for wall in self.wall.values()})
        ruled: dict[str, set[int]] = {"open": set(), "blocked": set()}
        for at in self.dates:
            own = [rule for rule in provider.rules if rule.date == at]
            weekly = [rule for rule in provider.rules if rule.weekday == (at.weekday() + 1) % 7]
            for rule in own if any(rule.kind == "open" for rule in own) else own + weekly:
                ruled[rule.kind].update(self.span(datetime.combine(at, time()), rule))
        on = {one.date: "holiday" if one.source == "holiday" else "closure" for one in closed}
        self.shut = {cause: {tick for tick in ticks if on.get(self.wall[tick].date()) == cause} for cause in SHUT} | {
            "blocked": ruled["blocked"]
        }
        self.open, self.hours = ruled["open"], ruled["open"].difference(*self.shut.values())

    def span(self, midnight: datetime, rule: Rule) -> range:
        start, end = (midnight + timedelta(hours=int(wall[:2]), minutes=int(wall[3:])) for wall in (rule.start_time, rule.end_time))
        last = [tick for tick in self.ticks if self.wall[tick] == end]
        return range(self.first(start), last[-1] if last and rule.end_time != "24:00" else self.first(end), self.ticks.step)

    def first(self, wall: datetime) -> int:
        return next((tick for tick in self.ticks if self.wall[tick] >= wall), self.ticks.stop)

    def slots(self, busy: Mapping[str, set[int]], now: int) -> set[int]:
        return {start for start in self.grid(self.hours, busy) if not self.causes(start, busy, now)}

    def grid(self, hours: set[int], busy: Mapping[str, set[int]]) -> set[int]:
        """It begins where free time does, and anew with a day that is open as a whole."""
        whole = set(self.dates) - {self.wall[tick].date() for tick in self.ticks if tick not in hours}
        taken = {tick for times in busy.values() for at in times for tick in range(at, at + self.offer.lead + 1, self.ticks.step)}
        found, first, before = set(), 0, None
        for tick in self.ticks:
            day, before = self.wall[tick].date(), self.wall.get(tick - self.ticks.step, self.wall[tick]).date()
            if tick not in hours or tick in taken:
                first = 0
            elif not first or (day != before and day in whole):
                first = next(at for at in range(tick, tick + 7200, 60) if self.minute(at) * 60 % self.offer.round == 0)
            if first and tick >= first and (tick - first) % self.offer.step == 0:
                found.add(tick)
        return found

    def minute(self, at: int) -> int:
        return (wall := datetime.fromtimestamp(at, self.zone)).hour * 60 + wall.minute

    @lru_cache(maxsize=8)  # noqa: B019 - no longer than the test
    def horizon(self, now: int) -> int:
        return self.first(datetime.fromtimestamp(now, self.zone).replace(tzinfo=None, fold=0) + timedelta(days=self.offer.max_advance_days))

    def causes(self, start: int, busy: Mapping[str, set[int]], now: int) -> list[str]:
        """All that stands against a start beside the grid."""
        during, notice = range(start, start + self.offer.length, self.ticks.step), now + self.offer.min_notice * 60
        around = range(start - self.offer.lead, during.stop, self.ticks.step)
        against = {cause: not self.shut[cause].isdisjoint(during) for cause in SHUT} | {"outside": not self.open.issuperset(during)}
        against |= {"past": start < now, "notice": now <= start < notice, "horizon": start >= self.horizon(now)}
        against |= {cause: not busy[cause].isdisjoint(around) for cause in TAKEN}
        return [cause for cause, stands in against.items() if stands]
