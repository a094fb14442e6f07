"""A number: what members do to it and what the gateway tells of it, folded into a status. QR codes are not history."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from plixa.kernel.event_store import Aggregate, Event
from plixa.whatsapp.domain.facts import ConnectionChanged, QrChanged

Status = Literal["pending_qr", "connected", "disconnected", "restricted"]

RESTRICTED: Final = 403
BY_MEMBER: Final = "by_member"
QR_LIMIT: Final = "qr_limit"
REMOVED: Final = "removed"
REASONS: Final = {401: "logged_out", 402: "temporarily_banned", 403: "forbidden", 406: "unlinked", 408: "timed_out"}
"""Why WhatsApp closed for good, by its status code; any other is ``closed``."""
RETRIES_LAST: Final = timedelta(minutes=30)
"""Longer than the gateway goes on delivering one event (about 20 minutes), no longer than any change of its clock."""

SHORT_GAP: Final = timedelta(seconds=60)
"""The gateway holds what comes in while it reconnects."""


class Heard(Struct, frozen=True):
    """When news came in, when the gateway's own clock says it happened, and when we had heard from it before."""

    at: datetime
    told_at: datetime | None = None
    before: datetime | None = None


class Added(Event, frozen=True):
    """``gateway_name`` is what the gateway calls it."""

    TOPIC: ClassVar[str] = "phone_instance.added"
    gateway_name: str
    label: str | None = None


class Change(Event, frozen=True, kw_only=True):
    """``told_at``: by the gateway's clock, which has no zone; None for what a member did."""

    at: datetime
    told_at: datetime | None = None


class PairingBegan(Change, frozen=True, kw_only=True):
    """A QR has to be scanned, or (after a restart) the old pairing to be confirmed."""

    TOPIC: ClassVar[str] = "phone_instance.pairing_began"


class QrRenewed(Change, frozen=True, kw_only=True):
    """There is another QR to scan."""

    TOPIC: ClassVar[str] = "phone_instance.qr_changed"


class Connected(Change, frozen=True, kw_only=True):
    """``phone`` in digits."""

    TOPIC: ClassVar[str] = "phone_instance.connected"
    phone: str | None = None
    profile_name: str | None = None


class Interrupted(Change, frozen=True, kw_only=True):
    """The gateway reconnects by itself; ``since``: nothing was heard from it after this."""

    TOPIC: ClassVar[str] = "phone_instance.interrupted"
    since: datetime


class Disconnected(Change, frozen=True, kw_only=True):
    """``reason``: by_member, qr_limit or one of WhatsApp's, whose ``code`` comes with it."""

    TOPIC: ClassVar[str] = "phone_instance.disconnected"
    reason: str
    code: int | None = None


class Restricted(Change, frozen=True, kw_only=True):
    """WhatsApp forbids the number."""

    TOPIC: ClassVar[str] = "phone_instance.restricted"
    code: int = RESTRICTED


class Removed(Change, frozen=True, kw_only=True):
    """The workspace gave the number up; its conversations stay."""

    TOPIC: ClassVar[str] = "phone_instance.removed"


class PhoneInstance(Aggregate, frozen=True):
    """One WhatsApp number. ``offline_since`` is set while a number that was connected is not."""

    KIND: ClassVar[str] = "phone_instance"
    gateway_name: str = ""
    status: Status = "pending_qr"
    reason: str | None = None
    phone: str | None = None
    profile_name: str | None = None
    connected_at: datetime | None = None
    disconnected_at: datetime | None = None
    offline_since: datetime | None = None
    heard_at: datetime | None = None
    told_at: datetime | None = None
    is_removed: bool = False

    def hear(self, fact: ConnectionChanged | QrChanged, heard: Heard) -> Iterator[Event]:
        """What the gateway's news changes; nothing where newer news came first, or a member gave the number up."""
        if self.is_removed or self._is_outrun(heard):
            return
        if isinstance(fact, QrChanged):
            yield from self._hear_qr(fact, heard)
        elif fact.state == "open":
            yield from self._hear_open(fact, heard)
        elif fact.state == "connecting":
            yield from self._hear_connecting(heard)
        else:
            yield from self._hear_close(fact, heard)

    def begin_pairing(self, at: datetime) -> Iterator[Event]:
        """A member restarts the number: a pairing of its own, also in the middle of another."""
        yield PairingBegan(at=at)

    def disconnect(self, at: datetime) -> Iterator[Event]:
        """A member unlinks the number."""
        if self.status != "disconnected":
            yield Disconnected(at=at, reason=BY_MEMBER)

    def remove(self, at: datetime) -> Iterator[Event]:
        """The owner gives the number up."""
        if not self.is_removed:
            yield Removed(at=at)

    def missed_since(self, at: datetime) -> datetime | None:
        """Since when messages may have been missed, if the number is back at ``at``; None when it was hardly gone."""
        since = self.offline_since
        return since if since is not None and at - since > SHORT_GAP else None

    def _hear_qr(self, fact: QrChanged, heard: Heard) -> Iterator[Event]:
        if fact.exhausted:
            yield from self._give_up_pairing(heard)
        elif self.status != "connected":
            if self.status != "pending_qr":
                yield PairingBegan(at=heard.at, told_at=heard.told_at)
            yield QrRenewed(at=heard.at, told_at=heard.told_at)

    def _hear_open(self, fact: ConnectionChanged, heard: Heard) -> Iterator[Event]:
        phone, name = fact.number or self.phone, fact.name or self.profile_name
        is_new = self.status != "connected" or self.offline_since is not None
        if is_new or (phone, name) != (self.phone, self.profile_name):
            yield Connected(at=heard.at, told_at=heard.told_at, phone=phone, profile_name=name)

    def _hear_connecting(self, heard: Heard) -> Iterator[Event]:
        """Told of every drop the gateway mends by itself, and when it comes back after an outage of its own."""
        if self.status == "connected" and self.offline_since is None:
            since = min(heard.at, heard.before or heard.at)
            yield Interrupted(at=heard.at, told_at=heard.told_at, since=since)

    def _hear_close(self, fact: ConnectionChanged, heard: Heard) -> Iterator[Event]:
        if fact.state == "refused":
            yield from self._give_up_pairing(heard)
        elif fact.reason == RESTRICTED:
            if self.status != "restricted":
                yield Restricted(at=heard.at, told_at=heard.told_at)
        elif self.status in ("pending_qr", "connected"):
            reason = REASONS.get(fact.reason or 0, "closed")
            yield Disconnected(at=heard.at, told_at=heard.told_at, reason=reason, code=fact.reason)

    def _give_up_pairing(self, heard: Heard) -> Iterator[Event]:
        """Nobody scanned any of the QRs."""
        if self.status == "pending_qr":
            yield Disconnected(at=heard.at, told_at=heard.told_at, reason=QR_LIMIT)

    def _is_outrun(self, heard: Heard) -> bool:
        """Whether it happened before what we know: earlier by the gateway's clock, which was not changed meanwhile."""
        if heard.told_at is None or self.told_at is None or self.heard_at is None:
            return False
        behind = self.told_at - heard.told_at
        return behind > timedelta() and behind + (heard.at - self.heard_at) < RETRIES_LAST


@PhoneInstance.when(Added)
def added(state: PhoneInstance, event: Added) -> PhoneInstance:
    return replace(state, gateway_name=event.gateway_name)


@PhoneInstance.when(QrRenewed)
def qr_renewed(state: PhoneInstance, event: QrRenewed) -> PhoneInstance:
    return told(state, event)


@PhoneInstance.when(PairingBegan)
def pairing_began(state: PhoneInstance, event: PairingBegan) -> PhoneInstance:
    after = told(state, event)
    return replace(after, status="pending_qr", reason=None, offline_since=offline(state, event.at))


@PhoneInstance.when(Connected)
def connected(state: PhoneInstance, event: Connected) -> PhoneInstance:
    return replace(
        told(state, event),
        status="connected",
        reason=None,
        phone=event.phone,
        profile_name=event.profile_name,
        connected_at=state.connected_at if state.status == "connected" else event.at,
        disconnected_at=None,
        offline_since=None,
    )


@PhoneInstance.when(Interrupted)
def interrupted(state: PhoneInstance, event: Interrupted) -> PhoneInstance:
    return replace(told(state, event), offline_since=event.since)


@PhoneInstance.when(Disconnected)
def disconnected(state: PhoneInstance, event: Disconnected) -> PhoneInstance:
    return gone(state, event, "disconnected", event.reason)


@PhoneInstance.when(Restricted)
def restricted(state: PhoneInstance, event: Restricted) -> PhoneInstance:
    return gone(state, event, "restricted", REASONS[RESTRICTED])


@PhoneInstance.when(Removed)
def removed(state: PhoneInstance, event: Removed) -> PhoneInstance:
    return replace(gone(state, event, "disconnected", REMOVED), is_removed=True)


def gone(state: PhoneInstance, event: Change, status: Status, reason: str) -> PhoneInstance:
    since = offline(state, event.at)
    return replace(told(state, event), status=status, reason=reason, disconnected_at=event.at, offline_since=since)


def told(state: PhoneInstance, event: Change) -> PhoneInstance:
    """Remember how far the gateway's news have got."""
    if event.told_at is None:
        return state
    return replace(state, heard_at=event.at, told_at=event.told_at)


def offline(state: PhoneInstance, at: datetime) -> datetime | None:
    """Since when, once the number is no longer connected at ``at``."""
    return state.offline_since or (at if state.status == "connected" else None)
