"""What WhatsApp tells and who is who there, free of any gateway's shapes."""

from plixa.whatsapp.domain.facts import (
    Acknowledged,
    AckStatus,
    ConnectionChanged,
    ConnectionState,
    ContactCard,
    Edited,
    Fact,
    Ignored,
    Location,
    Media,
    MessageArrived,
    MessageKind,
    Peer,
    PeerNamed,
    QrChanged,
    Reacted,
    Revoked,
)
from plixa.whatsapp.domain.identity import canonical_phone, is_direct, lid_of, phone_of, phone_variants
from plixa.whatsapp.domain.redaction import redact
from plixa.whatsapp.domain.translate import dedupe_key, translate

__all__ = [
    "AckStatus",
    "Acknowledged",
    "ConnectionChanged",
    "ConnectionState",
    "ContactCard",
    "Edited",
    "Fact",
    "Ignored",
    "Location",
    "Media",
    "MessageArrived",
    "MessageKind",
    "Peer",
    "PeerNamed",
    "QrChanged",
    "Reacted",
    "Revoked",
    "canonical_phone",
    "dedupe_key",
    "is_direct",
    "lid_of",
    "phone_of",
    "phone_variants",
    "redact",
    "translate",
]
