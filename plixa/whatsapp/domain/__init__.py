"""What WhatsApp tells and who is who there, free of any gateway's shapes."""

from plixa.kernel.phones import canonical_phone, phone_variants
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
from plixa.whatsapp.domain.identity import is_direct, lid_of, phone_of
from plixa.whatsapp.domain.peers import aliases_of
from plixa.whatsapp.domain.redaction import redact, without_secrets
from plixa.whatsapp.domain.translate import claims, dedupe_key, message_of, translate

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
    "aliases_of",
    "canonical_phone",
    "claims",
    "dedupe_key",
    "is_direct",
    "lid_of",
    "message_of",
    "phone_of",
    "phone_variants",
    "redact",
    "translate",
    "without_secrets",
]
