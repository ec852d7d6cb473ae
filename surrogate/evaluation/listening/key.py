"""The key of a listening test: which system made each sound, which listeners must not see.

It travels within the page and within each file of votes, masked, so that nobody reads it by
chance. That is no encryption: whoever reads this module can read a key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

_ID_DIGITS = 16


@dataclass(frozen=True)
class Key:
    """The systems and songs that the sounds of a test are of.

    Attributes:
        systems: names of those that are compared.
        songs: names of the songs.
        clips: for each sound of the page the indices of its song and its system; system -1 is the
            melody alone, on which nobody votes.
        questions: what is asked of each pair, by the name under which votes have it.
        digest: of the sounds.
    """

    systems: tuple[str, ...]
    songs: tuple[str, ...]
    clips: tuple[tuple[int, int], ...]
    questions: Mapping[str, str]
    digest: str

    @property
    def id(self) -> str:
        """The id of the test; tests share it only if their sounds and keys are the same."""
        return hashlib.sha256(self._text()).hexdigest()[:_ID_DIGITS]

    def masked(self) -> str:
        """The key as text that nobody reads by chance."""
        return base64.b64encode(_mask(self._text(), self.id)).decode("ascii")

    @classmethod
    def unmasked(cls, text: str, test: str) -> Key:
        """Read what :meth:`masked` gave.

        Args:
            test: the id.

        Raises:
            ValueError: it is no key, or that of another test.
        """
        try:
            fields = json.loads(_mask(base64.b64decode(text, validate=True), test))
            key = cls(
                tuple(map(str, fields["systems"])),
                tuple(map(str, fields["songs"])),
                tuple((int(song), int(system)) for song, system in fields["clips"]),
                {str(name): str(text) for name, text in fields["questions"].items()},
                str(fields["digest"]),
            )
        except (AttributeError, ValueError, TypeError, KeyError, RecursionError):
            raise ValueError("no key of a listening test") from None
        if key.id != test:
            raise ValueError("the key of another test")
        return key

    def _text(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()


def _mask(content: bytes, test: str) -> bytes:
    """Mask, or unmask."""
    stream = hashlib.shake_256(test.encode()).digest(len(content))
    return bytes(a ^ b for a, b in zip(content, stream, strict=True))
