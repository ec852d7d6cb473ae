#!/usr/bin/env python3
"""Piano rolls of held-out songs, to listen by eye.

    python benchmarks/held_out_pictures.py FOLDER OUT [--songs 10] [--seed 0]

Draws songs of FOLDER at random among those that have a window of sixteen bars, before anything is
decoded, and of each its first window. A picture has three rows: the trio as it was written; what
`accompany` makes of its melody alone, at the defaults; and what it makes by --method surrogate.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np


def first_windows(folder: Path, songs: int, seed: int) -> list[tuple[Path, np.ndarray]]:
    """Songs drawn at random, and the tokens (256, 3) of their first windows."""
    from musicvae_torch.converters.registry import get_converter
    from musicvae_torch.converters.trio import WINDOW_BARS
    from musicvae_torch.errors import MidiError
    from musicvae_torch.midi.notes import is_midi

    paths = sorted(path for path in folder.rglob("*") if is_midi(path))
    converter = get_converter("hier-trio_16bar", hop_bars=WINDOW_BARS)
    drawn: list[tuple[Path, np.ndarray]] = []
    for index in np.random.default_rng(seed).permutation(len(paths)).tolist():
        try:
            windows = converter.to_tensors(paths[index])
        except MidiError:
            continue
        if windows and len(drawn) < songs:
            drawn.append((paths[index], windows[0].tokens))
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="MIDI files")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the pictures")
    parser.add_argument("--songs", type=int, default=10, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of songs")
    parser.add_argument("--musicvae", type=Path, metavar="FOLDER", help="(default: shipped)")
    parser.add_argument("--surrogate", type=Path, metavar="FOLDER", help="(default: shipped)")
    parser.add_argument("--band", type=Path, metavar="FOLDER", help="(default: shipped)")
    arguments = parser.parse_args()

    from musicvae_torch.converters.registry import get_converter
    from surrogate import Accompanist, AccompanyOptions
    from surrogate.evaluation.sampled import accompany_windows
    from surrogate.evaluation.windows import EvaluationWindows
    from surrogate.render.piano_roll import draw_piano_roll

    songs = first_windows(arguments.folder, arguments.songs, arguments.seed)
    networks = Accompanist.from_pretrained(
        arguments.musicvae, arguments.surrogate, band=arguments.band
    )
    truth = np.stack([tokens for _, tokens in songs]).astype(np.int64)
    names = [path.name for path, _ in songs]
    windows = EvaluationWindows(truth, np.full_like(truth, 80), np.arange(len(songs)), names, {})
    played = [
        accompany_windows(networks, windows, AccompanyOptions(method=method))[0]
        for method in (None, "surrogate")
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, (path, tokens) in enumerate(songs, 1):
        rows = np.concatenate([tokens, *(way[number - 1] for way in played)])
        name = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
        picture = arguments.out / f"{number:02d}_{name}.png"
        midi = get_converter("hier-trio_16bar").from_tokens(rows)
        draw_piano_roll(midi, picture, f"{path.parent.name}/{path.name}")
        print(picture)


if __name__ == "__main__":
    main()
