"""What the HTML page knows of a song, as JSON: its notes, bars and times, and its sound.

Notes and bars are in quarters from the song's start; a clock of points (quarter, second) converts
these to seconds.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from musicvae_torch.chords.symbols import NO_CHORD
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track
from surrogate.render.audio import best_compression, mix, peak, synthesize_stems
from surrogate.render.synth import SAMPLE_RATE, Synthesizer
from surrogate.render.view import LANES, View, lanes_of
from surrogate.song.bars import bars_of, last_tick
from surrogate.song.roles import ROLES

HEADROOM = 0.95  # highest sample; what compression adds still fits
DIGITS = 4  # of quarters and seconds

Data = dict[str, Any]


def page_data(title: str, views: Sequence[View], settings: Mapping[str, str]) -> Data:
    """All that the page shows and, once :func:`add_sound` has filled that in, plays.

    Returns:
        `views`, each with its notes, bars, clock and MIDI file, and of each of its parts the index
        of its sound; `audio`, those sounds, each once; `level`, a gain for all of them at which no
        view clips; `facts`, `settings`, `lanes` and `title` to be shown. `lead` of a view is the
        quarter at which the song begins in it, which differs if some have an intro. A view with an
        even version has that one's notes, MIDI file and sounds as `even`, or null.
    """
    names = iter(_file_names(title, _versions(views)))
    leads = _leads(views)
    return {
        "title": title,
        "facts": facts(views[0].score),
        "settings": [[str(name), str(value)] for name, value in settings.items()],
        "lanes": list(LANES),
        "views": [
            {**_view_data(view, names), "lead": lead}
            for view, lead in zip(views, leads, strict=True)
        ],
        "audio": [],
        "level": 1.0,
    }


def _leads(views: Sequence[View]) -> list[float]:
    """The quarter of the first note of a part that all views have from the song, in each of them;
    0, if there is no such part."""
    for role in ROLES:
        firsts = [
            [
                track.notes["start"].min() / view.score.resolution
                for track in view.tracks_of(role)
                if track.index not in view.new and len(track.notes)
            ]
            for view in views
        ]
        if all(firsts):
            return _rounded(np.array([min(own) for own in firsts]))
    return [0.0] * len(views)


def facts(score: Score) -> str:
    """A line that tells a musician what to expect: bars, metres, tempo, length."""
    bars = bars_of(score)
    counted = bars.metres[1 - bars.first :].tolist()
    metres = dict.fromkeys(f"{metre[0]}/{metre[1]}" for metre in counted)
    end = last_tick(score)
    tempos = [60e6 / tempo for tick, tempo in score.tempos.tolist() if tick < max(end, 1)]
    slow, fast = round(min(tempos)), round(max(tempos))
    tempo = f"{slow}" if slow == fast else f"{slow} to {fast}"
    minutes, seconds = divmod(round(float(score.seconds(end))), 60)
    length = f"{minutes}:{seconds:02d}"
    bars_text = "1 bar" if len(counted) == 1 else f"{len(counted)} bars"
    return " · ".join([bars_text, ", ".join(metres), f"{tempo} beats a minute", length])


def _versions(views: Iterable[View]) -> Iterator[View]:
    """All views, each followed by its even version, if it has one."""
    for view in views:
        yield view
        if view.even is not None:
            yield view.even


def _view_data(view: View, names: Iterator[str]) -> Data:
    score = view.score
    bars = bars_of(score)
    # The song may end within its last bar; all of that is drawn.
    seconds = float(score.seconds(last_tick(score)))
    return {
        "title": view.title,
        "seconds": round(seconds, DIGITS),
        "clock": _clock(score, int(bars.ticks[-1])),
        "bars": _rounded(bars.ticks / score.resolution),
        "first": bars.first,
        "metres": bars.metres.tolist(),
        "chords": [
            [round(tick / score.resolution, DIGITS), name.replace(NO_CHORD, "–")]
            for tick, name in view.chords
        ],
        **_version_data(view, next(names)),
        "even": None if view.even is None else _version_data(view.even, next(names)),
    }


def _version_data(view: View, file_name: str) -> Data:
    score = view.score
    return {
        "file": file_name,
        "midi": base64.b64encode(score.to_bytes()).decode("ascii"),
        "tracks": [
            {
                "role": role,
                "new": track.index in view.new,
                "drum": track.is_drum,
                "notes": _note_data(track, score.resolution),
            }
            for track, role in zip(score.tracks, view.roles, strict=True)
        ],
        "stems": {},
    }


def _note_data(track: Track, resolution: int) -> list[tuple[float, ...]]:
    """Start, length, MIDI pitch or drum lane, and velocity of each note."""
    notes = track.notes
    heights = lanes_of(notes["pitch"]) if track.is_drum else notes["pitch"]
    starts = _rounded(notes["start"] / resolution)
    lengths = _rounded((notes["end"] - notes["start"]) / resolution)
    return list(zip(starts, lengths, heights.tolist(), notes["velocity"].tolist(), strict=True))


def _clock(score: Score, end: int) -> list[tuple[float, float]]:
    """Points (quarter, second) between which the tempo stays, from the start to past a tick."""
    changes = score.tempos[:, 0]
    ticks = np.unique([0, *changes[changes < end], end, end + score.resolution])
    quarters, seconds = _rounded(ticks / score.resolution), _rounded(score.seconds(ticks))
    return list(zip(quarters, seconds, strict=True))


class KnownSounds:
    """How parts of songs sound, kept for further pages with the same songs.

    Attributes:
        views: by what makes a view sound as it does, its parts' sounds by role, named by a digest,
            its loudest sample and its seconds.
        sounds: by digest, a gain and the content of a sound file.
    """

    def __init__(self) -> None:
        self.views: dict[bytes, tuple[dict[str, bytes], float, float]] = {}
        self.sounds: dict[bytes, tuple[float, Future[bytes]]] = {}


def add_sound(
    data: Data,
    views: Sequence[View],
    soundfont: str | Path | None,
    known: KnownSounds | None = None,
) -> None:
    """Play the parts of all views; a part that sounds the same in several is stored once.

    Args:
        data: of :func:`page_data`, which is filled in.
        views: those of the data.
        soundfont: see :class:`surrogate.render.synth.Synthesizer`.
        known: sounds with the same SoundFont that need not be made again; new ones are added.
    """
    known = known or KnownSounds()
    synthesizer = Synthesizer(soundfont)
    numbers: dict[bytes, int] = {}
    loudest = HEADROOM
    # Compression takes the most of it, and leaves Python free.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for view, own, shown in _with_data(views, data["views"]):
            digests, highest, seconds = _played(view, synthesizer, known, pool)
            loudest = max(loudest, highest)
            shown["seconds"] = round(max(seconds, shown["seconds"]), DIGITS)
            own["stems"] = {
                role: numbers.setdefault(digest, len(numbers)) for role, digest in digests.items()
            }
        for digest in numbers:
            gain, content = known.sounds[digest]
            text = base64.b64encode(content.result()).decode("ascii")
            data["audio"].append({"data": text, "gain": gain})
    data["level"] = HEADROOM / loudest


def _played(
    view: View, synthesizer: Synthesizer, known: KnownSounds, pool: ThreadPoolExecutor
) -> tuple[dict[str, bytes], float, float]:
    """What is known of a view's sound; first, its parts are played if nothing is."""
    key = sha256(repr(view.roles).encode() + view.score.to_bytes()).digest()
    if key not in known.views:
        encode = best_compression()
        digests = {}
        stems = synthesize_stems(view, synthesizer)
        whole = mix(stems.values())
        for role, stem in stems.items():
            digest = digests[role] = sha256(stem.tobytes()).digest()
            if digest not in known.sounds:
                gain = max(peak(stem) / HEADROOM, 1.0)
                known.sounds[digest] = gain, pool.submit(encode, stem / gain)
        known.views[key] = digests, peak(whole), len(whole) / SAMPLE_RATE
    return known.views[key]


def _with_data(views: Iterable[View], data: Iterable[Data]) -> Iterator[tuple[View, Data, Data]]:
    """All versions, each with its own data and with those of the view that shows it."""
    for view, shown in zip(views, data, strict=True):
        yield view, shown, shown
        if view.even is not None:
            yield view.even, shown["even"], shown


def _rounded(values: np.ndarray) -> list[float]:
    rounded: list[float] = np.round(values, DIGITS).tolist()
    return rounded


def _file_names(title: str, views: Iterable[View]) -> list[str]:
    """Different names for the MIDI files, one for each view."""
    names: list[str] = []
    for view in views:
        stem = re.sub(r"[^a-z0-9]+", "-", f"{title} {view.title}".lower()).strip("-")[:80] or "song"
        while f"{stem}.mid" in names:
            stem += "-again"
        names.append(f"{stem}.mid")
    return names
