"""Files of votes, as listeners send them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicvae_torch.errors import VotesError
from musicvae_torch.io.files import printable
from surrogate.evaluation.listening.excerpts import MELODY
from surrogate.evaluation.listening.key import Key

FORMAT = "musicvae-torch listening test"  # as session.js has it
VERSION = 1
MOST = 2  # of a preference: "by far"


@dataclass(frozen=True)
class Vote:
    """What a listener said of a pair.

    Attributes:
        listener: the name under which they voted.
        song: index of the song.
        first, second: indices of the systems, ascending.
        first_was_a: whether the first one was A, at the left.
        preferences: by question, from 2 (the first by far) to -2 (the second by far).
        comment: may be empty.
    """

    listener: str
    song: int
    first: int
    second: int
    first_was_a: bool
    preferences: dict[str, int]
    comment: str = ""


@dataclass(frozen=True)
class Votes:
    """All votes of a test.

    Attributes:
        key: says what songs, systems and questions are called.
        votes: of all listeners.
    """

    key: Key
    votes: tuple[Vote, ...]


def read_votes(paths: Iterable[str | Path]) -> Votes:
    """Read files of votes of one listening test, one file a listener.

    Raises:
        VotesError: a file is missing, no file of votes, damaged, of another test than the first, or
            of the same listener as another; or there is no file.
    """
    keys: dict[str, Key] = {}
    listeners: dict[str, Path] = {}
    votes: list[Vote] = []
    for path in map(Path, paths):
        content = _content(path)
        try:
            key = Key.unmasked(content["test"]["key"], content["test"]["id"])
            listener = _text(content["listener"])
            found = [_vote(entry, listener, key) for entry in content["votes"]]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            why = str(error) if type(error) is ValueError else "something is missing"
            raise VotesError(
                f"{path}: damaged ({why}); ask the listener to send the votes again"
            ) from None
        keys.setdefault(key.id, key)
        if len(keys) > 1:
            raise VotesError(
                f"{path}: of another listening test than {next(iter(listeners.values()))}"
            )
        if other := listeners.get(listener.casefold()):
            raise VotesError(f"{path}: {listener} voted in {other}, too; leave one of them out")
        if len({(vote.song, vote.first, vote.second) for vote in found}) < len(found):
            raise VotesError(f"{path}: damaged (votes twice on one pair); leave it out")
        listeners[listener.casefold()] = path
        votes += found
    if not votes:
        raise VotesError("no votes; name the files that listeners sent, votes-*.json")
    return Votes(next(iter(keys.values())), tuple(votes))


def _content(path: Path) -> dict[str, Any]:
    """The content of a file of votes; any other file is a VotesError."""
    hint = "not a file of votes; name those that a page of listening-test saved"
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise VotesError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise VotesError(f"{path}: {hint}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise VotesError(f"{path}: {hint}")
    if content.get("version") != VERSION:
        raise VotesError(f"{path}: votes of version {content.get('version')}, wanted {VERSION}")
    return content


def _vote(entry: Any, listener: str, key: Key) -> Vote:
    a, b = (_clip(entry[side], key) for side in "ab")
    if a[0] != b[0] or a[1] == b[1]:
        raise ValueError("a vote on sounds that are no pair")
    first_was_a = a[1] < b[1]
    sign = 1 if first_was_a else -1
    preferences = {name: sign * _preference(entry[name]) for name in key.questions}
    first, second = sorted((a[1], b[1]))
    comment = _text(entry.get("comment", ""))
    return Vote(listener, a[0], first, second, first_was_a, preferences, comment)


def _clip(index: Any, key: Key) -> tuple[int, int]:
    if type(index) is not int or not 0 <= index < len(key.clips):
        raise ValueError("a vote on a sound that is not in the test")
    song, system = key.clips[index]
    if system == MELODY:
        raise ValueError("a vote on the melody alone")
    return song, system


def _preference(value: Any) -> int:
    if type(value) is not int or abs(value) > MOST:
        raise ValueError(f"a preference of {str(value)[:20]!r}, wanted {-MOST} to {MOST}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a value that is not text")
    return printable(value)


def matching(patterns: Sequence[Path]) -> list[Path]:
    """Files by name or by pattern (``votes-*.json``), which some shells leave as they are."""
    paths: list[Path] = []
    for path in patterns:
        found = [] if path.exists() else sorted(path.parent.glob(path.name))
        paths += found or [path]
    return paths
