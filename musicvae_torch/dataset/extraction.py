"""One MIDI file → its windows for a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from musicvae_torch.analysis.timeline import drum_song
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.base import Converter, Window
from musicvae_torch.converters.groove import GROOVE_RULES, GrooveConverter, NotDrumsError
from musicvae_torch.converters.registry import get_converter, has_drums_alone
from musicvae_torch.converters.trio import TRIO_RULES
from musicvae_torch.dataset.fingerprints import Fingerprint, fingerprint
from musicvae_torch.dataset.options import WindowOptions
from musicvae_torch.dataset.phrases import song_phrases
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.fast import read_song
from musicvae_torch.midi.notes import Song, transpose_song
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR

DIGEST_BYTES = 16
# Why a song is left out of grooves.
NOT_DRUMS = "notes that are no drums (build-dataset --drums-only leaves such notes out)"


def same_windows(config: MusicVAEConfig, other: MusicVAEConfig) -> bool:
    """Whether tokens mean the same to two configs, both of which have a converter."""
    ours, theirs = get_converter(config), get_converter(other)
    classes = [getattr(getattr(one, "rules", None), "classes", None) for one in (ours, theirs)]
    return type(ours) is type(theirs) and classes[0] == classes[1]


def default_hop(config: MusicVAEConfig) -> int | None:
    """Bars from window to window: of trios such that they do not overlap; of grooves 1, as in the
    windows of the Groove MIDI Dataset that Magenta published; None for other configs."""
    if config.base in TRIO_RULES:
        return config.max_seq_len // STEPS_PER_BAR
    return 1 if config.base in GROOVE_RULES else None


@dataclass(frozen=True)
class ExtractedSong:
    """What a data set keeps of a song.

    Attributes:
        digest: (16,) uint8 hash of the file's bytes.
        print: by which near-duplicates are found; None if the song is too short for one.
        tokens: (windows, steps, parts).
        columns: further columns of windows: arrays (windows, ...) by name.
        phrases: by which other arrangements are found, (n,) uint64; None if not asked for.
    """

    digest: np.ndarray
    print: Fingerprint | None
    tokens: np.ndarray
    columns: dict[str, np.ndarray]
    phrases: np.ndarray | None = None


@dataclass(frozen=True)
class Skipped:
    """A file without windows: the reason, which other files may share, and the detail."""

    reason: str
    detail: str = ""


def file_digest(path: Path) -> bytes:
    """The hash of a file's bytes."""
    return hashlib.blake2b(path.read_bytes(), digest_size=DIGEST_BYTES).digest()


def extract_file(
    path: Path, options: WindowOptions, *, phrases: bool = False
) -> ExtractedSong | Skipped:
    """A song's distinct windows, with its phrases if asked for, or why it has none."""
    try:
        if path.exists() and not path.is_file():  # a pipe, say, which would never end
            return Skipped("unreadable", "not a regular file")
        digest = file_digest(path)
        song = read_song(path)
    except (OSError, MidiError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return Skipped("unreadable", reason or str(error).removeprefix(f"{path}: "))
    try:
        found = extract_song(song, digest, options)
    except MidiError as error:
        reason = NOT_DRUMS if isinstance(error, NotDrumsError) else "unusable notes"
        return Skipped(reason, str(error))
    if phrases and isinstance(found, ExtractedSong):
        drums = has_drums_alone(options.converter())
        found = replace(found, phrases=song_phrases(song, drums))
    return found


def extract_song(song: Song, digest: bytes, options: WindowOptions) -> ExtractedSong | Skipped:
    """Extract a song whose file has that digest; see :func:`extract_file`.

    Raises:
        NotDrumsError: the config is a groove's, and a pitch is no drum's.
        MidiError: the song is one on which Magenta fails, too.
    """
    seeds = [options.seed, *np.frombuffer(digest, np.uint32).tolist()]
    converter = options.converter(seed=seeds[1])
    if options.drums_only and isinstance(converter, GrooveConverter):
        if not song.notes["is_drum"].any():
            return Skipped("no drums")
        song, unknown = drum_song(song, converter)
        if not len(song.notes):
            return Skipped("no drums", f"that the config knows; {unknown} hits of others")
    rng = np.random.default_rng(seeds)
    most = converter.transpose_range if options.mode == "train" else 0
    shift = int(rng.integers(-most, most + 1))
    kept = _distinct(_windows(converter, song, shift))
    if not kept:
        return Skipped(converter.why_none(song))
    if options.max_windows is not None and len(kept) > options.max_windows:
        picks = rng.choice(len(kept), options.max_windows, replace=False)
        kept = [kept[pick] for pick in sorted(picks)]
    instruments = {track for window in kept for track in window.instruments}
    shifted = [(window, shift) for window in kept]
    keys = [n for n in range(-options.max_shift, options.max_shift + 1) if n]
    others = rng.permutation(keys)[: options.transpositions].tolist()
    shifted += _in_other_keys(converter, song, kept, shift, others)
    return ExtractedSong(
        digest=np.frombuffer(digest, np.uint8),
        print=fingerprint(song.notes, instruments),
        tokens=np.stack([window.tokens for window, _ in shifted]),
        columns=_columns(shifted),
    )


def _windows(converter: Converter, song: Song, shift: int) -> Iterator[Window]:
    # Without `to_tensors`, whose own draws would leave no record.
    shifted = transpose_song(song, shift) if shift else song
    return chain.from_iterable(converter.song_windows(shifted))


def _distinct(windows: Iterator[Window]) -> list[Window]:
    found: dict[bytes, Window] = {}
    for window in windows:
        found.setdefault(window.tokens.tobytes(), window)
    return list(found.values())


def _in_other_keys(
    converter: Converter, song: Song, kept: list[Window], shift: int, others: list[int]
) -> Iterator[tuple[Window, int]]:
    """The windows in other keys, with their shifts; without those that lie elsewhere when they are
    shifted, because notes beyond the pitch range are lost."""
    known = {(window.start, window.instruments) for window in kept}
    for other in others:
        for window in _windows(converter, song, shift + other):
            if (window.start, window.instruments) in known:
                yield window, shift + other


def _columns(windows: list[tuple[Window, int]]) -> dict[str, np.ndarray]:
    tracks = zip_longest(*(window.instruments for window, _ in windows), fillvalue=-1)
    columns: dict[str, np.ndarray] = {
        "bar": np.array([window.bar for window, _ in windows], np.int32),
        "start": np.array([window.start for window, _ in windows], np.float64),
        "instruments": np.array(list(tracks), np.int16).reshape(-1, len(windows)).T,
        "transposition": np.array([shift for _, shift in windows], np.int8),
    }
    if isinstance(windows[0][0].length, np.ndarray):
        columns["length"] = np.stack([window.length for window, _ in windows]).astype(np.int16)
    return columns
