#!/usr/bin/env python3
"""How well the melody is guessed and told from its accompaniment, where the truth is known.

    python benchmarks/melody_choice.py FOLDER [--fit] [--songs N] [--seed 0]

Of the MIDI files under FOLDER those count in which a track is named as the melody (its "Melody",
"Vocals", "Lead"; not its harmony, echo or doubling), and at most a third of the lines of three or
more. Names are hidden from the guess, which is right if it is one of the tracks so named.

With --fit also the weights that make the named track likeliest (a conditional logit with a little
weight decay, songs of each folder counting for no more than 300): to be rounded into
surrogate/melody/features.py.

For two hands, a named melody that is one note at a time is joined with another track of its song
into one, as they are and as a transcription of a recording might have them: onsets scattered by 12
ms, notes held by a pedal to the end of each half bar. F1 is of the melody's notes.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score, read_score
from musicvae_torch.midi.tracks import Track
from surrogate.melody.features import FEATURES, alone_share, features, lines
from surrogate.melody.monophony import highest_voice
from surrogate.melody.two_hands import right_hand

WORTH_READING = re.compile(rb"melod|vocal|main voice|vox|lead|singer|solo", re.IGNORECASE)
MELODY = re.compile(
    r"\b(melod(y|ie|ia|ía|ic)|lead vo\w*|main (voice|melody|vo[cx]\w*)|vocals?|vox|singer|"
    r"vocalist|soloist)\s*[1ai]?\b|melody1",
    re.IGNORECASE,
)
LEAD = re.compile(r"\b(lead ?(line|sheet)?|solo)\s*[1a]?\b", re.IGNORECASE)
NOT_IT = re.compile(
    r"harmon(y|ies)|back|echo|second|counter|chord|bass|\bpad|tom|doubl|\b[2-9]\b|\bii|removed|"
    r"choir|boost|acc|rhythm|duet|alto|end |delay|drum|perc|chorus|oohs|aahs|ahh",
    re.IGNORECASE,
)
# "Lead" and "solo" beside one of these are the name of a sound.
SOUND = re.compile(
    r"synth|syn|square|saw|brass|calliope|charang|chiff|guitar|gtr|organ|violin|trumpet|sax|reed|"
    r"voice|tuba|fifth|^lead \d",
    re.IGNORECASE,
)
# What a melody is by common sense: it plays throughout, one note at a time, near a singer's pitch.
SIMPLE_RULE = {"present": 1.0, "alone": 1.0, "register": 0.5, "bass": -2.0}
FOLDER_COUNTS = 300
DECAY = 3.0


@dataclass(frozen=True)
class Named:
    """A song whose melody is known.

    Attributes:
        score: without names.
        folder: where the file lies.
        parts: its lines.
        truth: (lines,) bool.
        values: (lines, features).
    """

    score: Score
    folder: str
    parts: list[list[Track]]
    truth: np.ndarray
    values: np.ndarray


def names_melody(name: str) -> bool:
    name = name.strip(" \0")
    if len(name) > 40 or NOT_IT.search(name):
        return False
    return bool(MELODY.search(name) or (LEAD.search(name) and not SOUND.search(name)))


def named_songs(folder: Path) -> list[Named]:
    songs = []
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in tqdm(paths, "reading", unit="file", leave=False):
        if not WORTH_READING.search(path.read_bytes()):
            continue
        try:
            score = read_score(path)
        except MidiError:
            continue
        melody = {track.index for track in score.tracks if names_melody(track.name)}
        score = replace(score, tracks=tuple(replace(track, name="") for track in score.tracks))
        parts = lines(score)
        truth = np.array([any(track.index in melody for track in part) for part in parts], bool)
        if truth.any() and len(parts) >= 3 and truth.sum() <= max(1, len(parts) // 3):
            values = features(score, parts)
            songs.append(Named(score, path.parent.name, parts, truth, values))
    return songs


def ranks(songs: list[Named], weights: dict[str, float]) -> np.ndarray:
    """(songs,) the place of each song's melody in the guess; 0 is the first."""
    vector = np.array([weights.get(name, 0.0) for name in FEATURES])
    return np.array(
        [
            np.flatnonzero(song.truth[np.argsort(-(song.values @ vector), kind="stable")])[0]
            for song in songs
        ]
    )


def accuracy(places: np.ndarray) -> str:
    """Shares of songs whose melody comes first, and among the first three."""
    first, three = (places < 1).mean(), (places < 3).mean()
    # 95 % of a share of so many songs, by the normal distribution.
    within = 1.96 * np.sqrt(first * (1 - first) / len(places))
    return f"{first:6.1%} ± {within:.1%}   {three:6.1%}"


def fit(songs: list[Named], without: str = "") -> dict[str, float]:
    counts = Counter(song.folder for song in songs)
    importance = torch.tensor([min(1.0, FOLDER_COUNTS / counts[song.folder]) for song in songs])
    # (songs, lines, features), filled up with lines that cannot be chosen.
    values = pad_sequence([torch.tensor(song.values) for song in songs], batch_first=True)
    truth = pad_sequence([torch.tensor(song.truth) for song in songs], batch_first=True)
    real = pad_sequence([torch.ones(len(song.truth)).bool() for song in songs], batch_first=True)
    if without:
        values[..., list(FEATURES).index(without)] = 0
    weights = torch.zeros(len(FEATURES), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logs = (values @ weights).masked_fill(~real, -torch.inf).log_softmax(1)
        named = logs.masked_fill(~truth, -torch.inf).logsumexp(1)
        total = DECAY / 2 * weights.square().sum() - (importance * named).sum()
        total.backward()
        return total

    optimizer.step(loss)
    return dict(zip(FEATURES, weights.detach().tolist(), strict=True))


def cross_validate(songs: list[Named], without: str = "", folds: int = 5) -> np.ndarray:
    """(songs,) places by weights that were fitted to the other folds."""
    places = np.zeros(len(songs), int)
    for fold in range(folds):
        others = [song for index, song in enumerate(songs) if index % folds != fold]
        places[fold::folds] = ranks(songs[fold::folds], fit(others, without))
    return places


Notes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # starts, ends, pitches, is melody


def timed_notes(song: Named, row: int) -> np.ndarray:
    """(3, notes) start and end in seconds and pitch of a line, by start, then pitch."""
    own = np.concatenate([track.notes for track in song.parts[row]])
    times = song.score.seconds(own["start"]), song.score.seconds(own["end"])
    together = np.stack([*times, own["pitch"].astype(float)])
    return together[:, np.lexsort((together[2], together[0]))]


def named_line(song: Named) -> np.ndarray:
    """The first line that is named as the melody, as :func:`timed_notes`."""
    return timed_notes(song, int(np.flatnonzero(song.truth)[0]))


def two_handed(song: Named, generator: np.random.Generator, rendered: bool) -> Notes | None:
    """A melody and a lower track of its song in one; None where there are none fit for it."""
    right = named_line(song)
    if right.shape[1] < 60 or alone_share(right[0], right[1]) < 0.9:
        return None
    kept = highest_voice(right[0], right[1], right[2].astype(int))
    middle = right[2].mean()
    lower = [timed_notes(song, row) for row in np.flatnonzero(~song.truth).tolist()]
    lower = [
        left
        for left in lower
        if left.shape[1] >= 60
        and 40 <= left[2].mean() <= middle - 7
        and np.percentile(left[2], 90) <= middle + 2
    ]
    if not lower:
        return None
    left = lower[int(generator.integers(len(lower)))]
    both = np.concatenate([right, left], axis=1)
    truth = np.concatenate([kept, np.zeros(left.shape[1], bool)])
    if rendered:
        both[0] += generator.normal(0, 0.012, both.shape[1])
        half_bars = np.arange(
            0, song.score.end + 4 * song.score.resolution, song.score.resolution * 2
        )
        lifts = song.score.seconds(half_bars)
        lifted = lifts[np.searchsorted(lifts, both[1] - 0.05).clip(max=len(lifts) - 1)]
        both[1] = np.maximum(np.maximum(both[1], lifted), both[0] + 0.02)
    order = np.lexsort((both[2], both[0]))
    return both[0, order], both[1, order], both[2, order].astype(int), truth[order]


def plain_skyline(starts: np.ndarray, ends: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """The notes that nothing higher sounds over as they begin."""
    kept = np.ones(len(starts), bool)
    for note, (start, pitch) in enumerate(zip(starts, pitches, strict=True)):
        over = (starts <= start) & (ends > start) & (pitches > pitch)
        kept[note] = not over.any()
    return kept


def split(starts: np.ndarray, ends: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    right = right_hand(starts, ends, pitches)
    own = np.arange(len(starts)) if right is None else np.flatnonzero(right)
    kept = np.zeros(len(starts), bool)
    kept[own] = highest_voice(starts[own], ends[own], pitches[own])
    return kept


WAYS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "plain skyline": plain_skyline,
    "highest voice": highest_voice,
    "right hand, highest voice": split,
}


def f1_table(songs: list[Named], seed: int) -> None:
    for rendered in (False, True):
        generator = np.random.default_rng(seed)
        cases = [case for song in songs if (case := two_handed(song, generator, rendered))]
        print(f"\n{'rendered' if rendered else 'as written'}, {len(cases)} songs")
        print(f"{'':28}precision  recall  F1     median F1")
        for name, way in WAYS.items():
            scores = []
            for *notes, truth in cases:
                kept = way(*notes)
                hit = (kept & truth).sum()
                total = kept.sum() + truth.sum()
                scores.append((hit / max(kept.sum(), 1), hit / truth.sum(), 2 * hit / total))
            precision, recall, f1 = np.mean(scores, axis=0)
            median = np.median([score[2] for score in scores])
            print(f"{name:28}{precision:.3f}      {recall:.3f}   {f1:.3f}  {median:.3f}")


def kept_of_one_part(songs: list[Named]) -> str:
    """What parting hands costs a melody that is chords in part, be it of one hand or of two."""
    shares = []
    for song in songs:
        starts, ends, pitches = named_line(song)
        if len(starts) >= 60 and alone_share(starts, ends) <= 0.9:
            voice = highest_voice(starts, ends, pitches.astype(int))
            shares.append((split(starts, ends, pitches.astype(int)) & voice).sum() / voice.sum())
    if not shares:
        return "no melodies of chords"
    return f"{len(shares)} melodies of chords keep {np.mean(shares):.1%} of their highest voice"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="MIDI files")
    parser.add_argument("--fit", action="store_true", help="fit weights to these songs")
    parser.add_argument("--songs", type=int, metavar="N", help="at most so many, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    arguments = parser.parse_args()

    songs = named_songs(arguments.folder)
    order = np.random.default_rng(arguments.seed).permutation(len(songs))[: arguments.songs]
    songs = [songs[index] for index in order.tolist()]
    if not songs:
        parser.error(f"{arguments.folder}: no song with a track that is named as its melody")
    counted = sum(len(song.parts) for song in songs) / len(songs)
    print(f"{len(songs)} songs of {counted:.1f} lines on average")
    ways = {"simple rule": SIMPLE_RULE, "FEATURES": {n: f.weight for n, f in FEATURES.items()}}
    if arguments.fit:
        ways["fitted here"] = fit(songs)
    print(f"{'':20}first            of the first three")
    for name, weights in ways.items():
        print(f"{name:20}{accuracy(ranks(songs, weights))}")
    if arguments.fit:
        print(f"{'cross-validated':20}{accuracy(cross_validate(songs))}")
        for name, weight in ways["fitted here"].items():
            without = accuracy(cross_validate(songs, name))
            print(f"  {name:10}{weight:6.2f}  {without}  without it, cross-validated")
    f1_table(songs, arguments.seed)
    print(f"\n{kept_of_one_part(songs)}")


if __name__ == "__main__":
    main()
