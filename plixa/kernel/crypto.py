"""Keys: the master keys seal data keys and secrets; every stream's content is encrypted with a key of its own.

Destroying a stream's data key makes its events unreadable for ever, while the chain, which covers the ciphertext, still verifies.
Sealed form: 4 bytes naming the master key, 12 bytes nonce, AES-256-GCM ciphertext with its 16-byte tag.
"""

import hmac
import os
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eventsourcing.persistence import Cipher
from eventsourcing.utils import Environment

from plixa.kernel.settings import derive

NONCE = 12


class Unreadable(Exception):
    """The sealed bytes were made with another key, for another place, or were altered."""


class Vault:
    """Seals small secrets with the newest master key and opens them with any of the known ones."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._ciphers = {sha256(key).digest()[:4]: AESGCM(key) for key in keys}
        self._newest = sha256(keys[0]).digest()[:4]
        self._pseudonyms = derive(keys[-1], "pseudonyms")

    def seal(self, secret: bytes, place: str) -> bytes:
        """Encrypt ``secret`` for one ``place`` (table, column, tenant, row): moved elsewhere it no longer opens."""
        nonce = os.urandom(NONCE)
        return self._newest + nonce + self._ciphers[self._newest].encrypt(nonce, secret, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """The secret sealed for ``place``; raises Unreadable."""
        cipher = self._ciphers.get(sealed[:4])
        if cipher is None:
            raise Unreadable(f"No master key opens {place}. Add the key it was sealed with to PLIXA_SECRET_KEY.")
        try:
            return cipher.decrypt(sealed[4 : 4 + NONCE], sealed[4 + NONCE :], place.encode())
        except InvalidTag as error:
            raise Unreadable(f"The secret in {place} was altered or belongs elsewhere.") from error

    def pseudonym(self, who: str) -> str:
        """32 hex digits, the same for the same person, that lead nobody back to them who does not have the oldest master key."""
        return hmac.digest(self._pseudonyms, who.encode(), "sha256").hex()[:32]


class StreamCipher(Cipher):
    """AES-256-GCM with one stream's data key: 12 bytes nonce, ciphertext, 16 bytes tag."""

    def __init__(self, environment: Environment | None = None, *, key: bytes = b"") -> None:
        self._cipher = AESGCM(key or bytes.fromhex((environment or Environment()).get("CIPHER_KEY", "")))

    def encrypt(self, plaintext: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, plaintext, None)

    def decrypt(self, ciphertext: bytes) -> bytes:
        return self._cipher.decrypt(ciphertext[:NONCE], ciphertext[NONCE:], None)


def place_of_key(tenant: int, stream: UUID) -> str:
    """Where a stream's wrapped key belongs, as the vault seals it."""
    return f"stream_key/{tenant}/{stream}"


def new_data_key() -> bytes:
    """32 random bytes."""
    return AESGCM.generate_key(bit_length=256)
