"""Stems: each track of a song as a MIDI and a WAV file of its own, to be dropped into a DAW."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicvae_torch.io.files import replacing
from musicvae_torch.midi.stems import stem_file
from surrogate.render.audio import mix, peak, write_wav
from surrogate.render.synth import SAMPLE_RATE, Synthesizer
from surrogate.render.view import View
from surrogate.song.bars import bars_of

LONGEST_NAME = 40  # characters of a track's name in that of a file


def write_stems(
    folder: Path, stem: str, view: View, soundfont: str | Path | None = None
) -> list[Path]:
    """Write a MIDI and a WAV file of each track.

    All begin with the song's first tick and are equally long: MIDI files end with the song's last
    bar, WAV files when the last note has faded. Each MIDI file has the song's tempos, metres, keys
    and markers. The WAV files add up to the sound of the whole, softer if that would clip.

    Args:
        folder: is made, if it is not there.
        stem: what names of files begin with; the part or the name of the track follows.
        view: the song.
        soundfont: .sf2; None: pretty_midi's.

    Returns:
        The files that were written.

    Raises:
        MidiError: the song is longer than an hour.
        ModuleNotFoundError: midirenderer is not installed.
        OptionError: the SoundFont cannot be read.
    """
    score = view.score
    synthesizer = Synthesizer(soundfont)
    sounds = [synthesizer.synthesize(score, [track]) for track in score.tracks]
    whole = mix(sounds)
    loudest = max(1.0, peak(whole), *map(peak, sounds))
    end = max(score.end, int(bars_of(score).ticks[-1]))
    paths = []
    for track, name, sound in zip(score.tracks, stem_names(view), sounds, strict=True):
        path = folder / f"{stem}_{name}.mid"
        with replacing(path) as temporary:
            temporary.write_bytes(stem_file(score, track, end).to_bytes())
        padded = np.zeros_like(whole)
        padded[: len(sound)] = sound
        write_wav(path.with_suffix(".wav"), padded / loudest, SAMPLE_RATE)
        paths += [path, path.with_suffix(".wav")]
    return paths


def stem_names(view: View) -> list[str]:
    """A name for each track: its part, or its own name, or its instrument's; no two are equal."""
    return _distinct(
        [
            _plain(track.name if role == "other" else role) or _plain(track.sound)
            for track, role in zip(view.score.tracks, view.roles, strict=True)
        ]
    )


def _plain(name: str) -> str:
    """A name in letters that all file systems take."""
    plain = re.sub(r"\W+", "_", name).strip("_")[:LONGEST_NAME].lower()
    return f"track_{plain}" if plain.isdigit() else plain  # a number stands for a band


def _distinct(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        number, own = 1, name
        while own in found:
            number += 1
            own = f"{name}_{number}"
        found.append(own)
    return found
