"""A listening test as one HTML file that needs no network.

Its parts are beside this file: `test.html` is the body, `test.css` the looks beyond those of
`surrogate/render/page.css`; `session.js` knows what a listener has voted, `screens.js` shows it.
The frame and the players are those of `surrogate/render`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from musicvae_torch.errors import NoSongsError, OptionError
from musicvae_torch.io.files import replacing
from surrogate.evaluation.listening.excerpts import MELODY, Excerpt, find_songs, render_excerpts
from surrogate.evaluation.listening.key import Key
from surrogate.render.audio import best_compression
from surrogate.render.page import fill_frame, resource
from surrogate.render.synth import SAMPLE_RATE, Synthesizer

TITLE = "Listening test"
QUESTIONS = {"fit": "Which band fits the melody better?", "like": "Which would you rather hear?"}
LISTENING = 5.0  # seconds for which both must have been heard before one can vote
JUDGING = 20.0  # seconds that a vote takes beyond listening once to both, as a guess
_SHARED = ("page_sound.js", "page_elements.js")
_OWN = ("session.js", "screens.js")


@dataclass
class Made:
    """A test that was written.

    Attributes:
        songs: names of those that are in it.
        left_out: a line for each song that is not, which says why.
        pairs: how many a listener hears.
        minutes: how long that takes, as a guess.
    """

    songs: list[str]
    left_out: list[str]
    pairs: int
    minutes: int


class _Sound(NamedTuple):
    """A sound of the page: compressed, its length, and the indices of its song and its system."""

    audio: bytes
    seconds: float
    owner: tuple[int, int]


def write_test(
    path: str | Path,
    systems: Mapping[str, Path],
    melody: Path | None = None,
    excerpt: Excerpt | None = None,
    title: str = TITLE,
    pairs: int | None = None,
    seed: int = 0,
    soundfont: str | Path | None = None,
    progress: bool = False,
) -> Made:
    """Write a page on which listeners compare what systems made of the same songs, pair by pair.

    It names neither systems nor songs. Each listener hears the pairs in an order of their own, each
    system at the left or at the right by chance.

    Args:
        path: of the .html file.
        systems: folders of MIDI files by the systems' names, at least two.
        melody: folder of the melodies alone, which listeners can then hear, too.
        excerpt: which part of each song is heard; the default is the first half minute.
        title: of the page; listeners see it.
        pairs: most that one listener hears, drawn for each listener; None: all.
        seed: of the order in which sounds lie in the page.
        soundfont: .sf2; the default is pretty_midi's.
        progress: show a progress bar.

    Raises:
        ModuleNotFoundError: midirenderer is not installed.
        OptionError: there are fewer than two systems, a folder lacks MIDI files, no song is in all
            of them, or the SoundFont cannot be read.
    """
    if len(systems) < 2:
        raise OptionError("a listening test compares at least two folders")
    encode = best_compression()
    synthesizer = Synthesizer(soundfont)
    found = find_songs(systems, melody)
    names: list[str] = []
    sounds: list[_Sound] = []
    played = render_excerpts(found, excerpt or Excerpt(), synthesizer, len(systems))
    for name, clips in tqdm(
        played, total=len(found.paths), unit="song", disable=None if progress else True
    ):
        for system, samples in clips.items():
            seconds = round(len(samples) / SAMPLE_RATE, 3)
            sounds.append(_Sound(encode(samples), seconds, (len(names), system)))
        names.append(name)
    if not names:
        raise NoSongsError("no song can be heard: " + "; ".join(found.left_out))
    rng = np.random.default_rng(seed)
    # So that the place of a sound in the page does not tell which system made it.
    sounds = [sounds[index] for index in rng.permutation(len(sounds)).tolist()]
    owners = tuple(sound.owner for sound in sounds)
    digests = (hashlib.sha256(sound.audio).digest() for sound in sounds)
    digest = hashlib.sha256(b"".join(digests)).hexdigest()
    key = Key(tuple(systems), tuple(names), owners, QUESTIONS, digest)
    data = _page_data(key, sounds, _pairs(key, rng), title, pairs)
    with replacing(path) as temporary:
        temporary.write_text(_html(title, data), encoding="utf-8")
    heard = len(data["pairs"]) if pairs is None else min(pairs, len(data["pairs"]))
    once = 2 * float(np.mean([sound.seconds for sound in sounds])) + JUDGING
    return Made(names, found.left_out, heard, max(round(heard * once / 60), 1))


def _pairs(key: Key, rng: np.random.Generator) -> list[list[int]]:
    """All pairs of sounds of the same song, in random order, each with the sound of the melody;
    -1: there is none."""
    at = {owner: clip for clip, owner in enumerate(key.clips)}
    pairs = []
    for song in range(len(key.songs)):
        for one, other in combinations(range(len(key.systems)), 2):
            both = [at[song, one], at[song, other]]
            pairs.append([*rng.permutation(both).tolist(), at.get((song, MELODY), -1)])
    return [pairs[n] for n in rng.permutation(len(pairs)).tolist()]


def _page_data(
    key: Key, sounds: list[_Sound], pairs: list[list[int]], title: str, limit: int | None
) -> dict[str, Any]:
    return {
        "id": key.id,
        "key": key.masked(),
        "title": title,
        "questions": list(QUESTIONS.items()),
        "pairs": pairs,
        "limit": len(pairs) if limit is None else limit,
        "listening": LISTENING,
        "seconds": [sound.seconds for sound in sounds],
        "level": 1.0,
        "audio": [
            {"data": base64.b64encode(sound.audio).decode("ascii"), "gain": 1.0} for sound in sounds
        ],
    }


def _html(title: str, data: Mapping[str, Any]) -> str:
    own, shared = "surrogate.evaluation.listening", "surrogate.render"
    style = resource(shared, "page.css") + resource(own, "test.css")
    scripts = [resource(shared, name) for name in _SHARED] + [resource(own, name) for name in _OWN]
    return fill_frame(resource(own, "test.html"), title, style, scripts, data)
