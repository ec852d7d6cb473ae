#!/usr/bin/env python3
"""What tells the band network how to play: nats a step of bass and drums, bar by bar.

    python benchmarks/band_ablations.py MIDI_FOLDER [--max-songs N] [--plot curve.png]

Bass and drums of 16-bar windows, teacher-forced, from the melody; and the same with more said to
the network, or less. With its past cut to a bar, the network sees of bass and drums the bar before
and the one it is in. Intervals are 95 % bootstrap intervals over songs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from musicvae_torch.chords.symbols import chord_class
from musicvae_torch.converters.melody import infer_chord_classes, melody_notes
from musicvae_torch.midi.vocabulary import PARTS, STEPS_PER_BAR
from musicvae_torch.options import programs
from musicvae_torch.windows.encoding import encode_tokens
from surrogate.arrangement.harmony import infer_from_melody
from surrogate.band.controls import densities_of
from surrogate.band.model import HIDDEN, Controls
from surrogate.band.scoring import nats_of
from surrogate.encoder.refine import hide
from surrogate.evaluation.bands import another_window
from surrogate.evaluation.tables import Estimate, markdown, per_song
from surrogate.evaluation.windows import EvaluationWindows, read_evaluation_windows
from surrogate.pipeline import Accompanist

BATCH = 32
MELODY = PARTS.index("melody")
BAND = [PARTS.index("bass"), PARTS.index("drums")]
SHOWN_BARS = (1, 2, 3, 4, 8, 12, 16)


class Windows:
    """Windows, and all that can be said of them.

    Args:
        windows: of real songs.
        accompanist: whose networks speak.
    """

    def __init__(self, windows: EvaluationWindows, accompanist: Accompanist) -> None:
        assert accompanist.band is not None and accompanist.surrogate is not None
        self.accompanist, self.band = accompanist, accompanist.band
        self.song, self.songs = windows.song, len(windows.songs)
        self.tokens = torch.from_numpy(windows.tokens)
        self.given = hide(self.tokens, ("melody",), HIDDEN)
        self.latent = encode_tokens(accompanist.musicvae, windows.tokens).mean
        self.predicted = accompanist.surrogate.predict(self.tokens, ("melody",))[0]

    def nats(self, controls: Controls, given: Tensor | None = None) -> Tensor:
        """(windows, bars), of bass and drums together."""
        given = self.given if given is None else given
        missing = bool((given[..., MELODY] == HIDDEN).all())
        tokens = hide(self.tokens, ("bass", "drums"), HIDDEN) if missing else self.tokens
        rows = [
            by_bar(nats_of(self.band, given[at], tokens[at], part(controls, at)))
            for at in batches(len(tokens))
        ]
        return torch.cat(rows)

    def nats_of_short_memory(self, controls: Controls) -> Tensor:
        """The same, when the player has forgotten all but the bar before."""
        columns = []
        for bar in tqdm(range(self.tokens.shape[1] // STEPS_PER_BAR), leave=False):
            past = self.tokens.clone()
            past[:, : max(bar - 1, 0) * STEPS_PER_BAR, BAND] = HIDDEN
            stop = (bar + 1) * STEPS_PER_BAR
            rows = []
            for at in batches(len(past)):
                # The listener hears the melody to its end, so the window stays whole.
                own = nats_of(
                    self.band, self.given[at], self.tokens[at], part(controls, at), past[at]
                )
                rows.append(by_bar(own[:, stop - STEPS_PER_BAR : stop]))
            columns.append(torch.cat(rows))
        return torch.cat(columns, 1)

    def nats_of_decoder(self, latents: Tensor) -> Tensor:
        """The same of the MusicVAE's decoder, from latents."""
        vae = self.accompanist.musicvae
        rows = [
            by_bar(vae.part_nll(latents[at], self.tokens[at], BAND), every_part=True)
            for at in batches(len(latents))
        ]
        return torch.cat(rows)

    def styled(self, style: Tensor, **more: Tensor) -> Controls:
        return Controls(style=style[:, None], **more)


def batches(count: int) -> list[slice]:
    return [slice(at, at + BATCH) for at in range(0, count, BATCH)]


def part(controls: Controls, at: slice) -> Controls:
    """What is said of some windows."""
    said = (controls.chords, controls.density, controls.style)
    return Controls(*(None if one is None else one[at] for one in said))


def by_bar(nats: Tensor, every_part: bool = False) -> Tensor:
    """(windows, steps, parts) → (windows, bars), means of bass and drums together."""
    own = nats if every_part else nats[..., BAND]
    steps = own.sum(-1)
    return steps.view(len(steps), -1, STEPS_PER_BAR).mean(-1)


def melody_chords(tokens: np.ndarray) -> np.ndarray:
    """(steps,) classes of the chords that `accompany` infers from a melody (steps,) alone."""
    notes = melody_notes(tokens)
    if not notes:
        return np.full(len(tokens), HIDDEN)
    starts, ends, pitches = (np.array(column) for column in zip(*notes, strict=True))
    harmony = infer_from_melody(starts, ends, pitches, len(tokens) // STEPS_PER_BAR)
    names = harmony.names_at(np.arange(len(tokens)))
    return np.array([chord_class(str(name)) for name in names])


def rows_of(windows: Windows) -> dict[str, Callable[[], Tensor]]:
    """Functions that compute nats (windows, bars), by name of the row."""
    tokens, style = windows.tokens.numpy(), windows.predicted
    real = torch.from_numpy(np.stack([infer_chord_classes(t[:, 0], t[:, 1]) for t in tokens]))
    heard = torch.from_numpy(np.stack([melody_chords(t[:, 0]) for t in tokens]))
    density = torch.from_numpy(np.stack([densities_of(t, 16) for t in tokens]))
    density[..., MELODY] = HIDDEN
    others = another_window(windows.song)
    other = windows.latent[torch.from_numpy(others)]
    other[torch.from_numpy(others == np.arange(len(others)))] = torch.nan  # a song's only window
    return {
        "trio, from the encoder, all parts given": lambda: windows.nats_of_decoder(windows.latent),
        "trio, from the surrogate": lambda: windows.nats_of_decoder(style),
        "band, in the surrogate's style": lambda: windows.nats(windows.styled(style)),
        "without a style": lambda: windows.nats(Controls()),
        "in the style of another window of the song": lambda: windows.nats(windows.styled(other)),
        "and with the chords of melody and bass": lambda: windows.nats(
            windows.styled(style, chords=real)
        ),
        "and with the chords that the melody suggests": lambda: windows.nats(
            windows.styled(style, chords=heard)
        ),
        "and with the notes a bar": lambda: windows.nats(windows.styled(style, density=density)),
        "without the melody": lambda: windows.nats(
            Controls(), torch.full_like(windows.given, HIDDEN)
        ),
        "its past cut to a bar": lambda: windows.nats_of_short_memory(windows.styled(style)),
    }


def draw(curves: dict[str, np.ndarray], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, curve in curves.items():
        if not np.isnan(curve).any():
            axes.plot(np.arange(1, len(curve) + 1), curve, label=name)
    axes.set(xlabel="bar of the window", ylabel="nats a step, bass and drums", ylim=(0, None))
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=110)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="MIDI files")
    parser.add_argument("--max-songs", type=int, metavar="N")
    parser.add_argument("--max-windows", type=int, default=8, metavar="N", help="of a song")
    parser.add_argument("--melody-programs", type=programs, default=programs("0-31,56-87"))
    parser.add_argument("--band", type=Path, metavar="FOLDER", help="(default: shipped)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves")
    arguments = parser.parse_args()
    found = read_evaluation_windows(
        arguments.folder,
        max_songs=arguments.max_songs,
        max_windows=arguments.max_windows,
        melody_programs=arguments.melody_programs,
        seed=arguments.seed,
        progress=True,
    )
    accompanist = Accompanist.from_pretrained(device="cpu", band=arguments.band)
    windows = Windows(found, accompanist)
    print(f"{len(found.tokens)} windows of {len(found.songs)} songs\n")
    curves, whole = {}, {}
    for name, find in tqdm(rows_of(windows).items(), unit="row"):
        nats = find().double().numpy()
        kept = nats[~np.isnan(nats).any(1)]
        curves[name] = kept.mean(0) if len(kept) else np.full(nats.shape[1], np.nan)
        whole[name] = per_song(nats.mean(1), windows.song, windows.songs)
    reference = whole["trio, from the encoder, all parts given"]
    lines = [
        [
            name,
            Estimate.of(values, arguments.seed).text(2),
            Estimate.of(values - reference, arguments.seed).text(2, sign=True),
            *(f"{curves[name][bar - 1]:.2f}" for bar in SHOWN_BARS),
        ]
        for name, values in whole.items()
    ]
    header = ["nats a step", "less the encoder, all parts given", *map(str, SHOWN_BARS)]
    print(markdown(header, lines))
    if arguments.plot:
        draw(curves, arguments.plot)


if __name__ == "__main__":
    main()
