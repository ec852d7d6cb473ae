#!/usr/bin/env python3
"""What styles change: how busy bands are with the surrogate's latent, others, and moved ones.

    python benchmarks/band_styles.py MIDI_FOLDER

The melodies of 16-bar windows of real songs get a bass and drums by the band network, with the
defaults of `accompany` but for the style or the density. The last column is the correlation, over
windows, of drum hits a bar with those of the real song whose latent is the style.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from band_sampling import default_sampling, parser_of, play, read_windows
from torch import Tensor
from tqdm import tqdm

from musicvae_torch.midi.vocabulary import FIRST_NOTE, PARTS
from musicvae_torch.windows.encoding import encode_tokens
from surrogate.band.sampling import Sampling
from surrogate.evaluation.metrics import notes_per_bar
from surrogate.evaluation.tables import markdown
from surrogate.generators.band import DENSITY
from surrogate.pipeline import Accompanist

_, BASS, DRUMS = range(len(PARTS))


def odd_sixteenths(band: np.ndarray) -> float:
    """The share of bass and drum onsets of (steps, 3) classes on odd sixteenths; NaN: no onsets."""
    onsets = [np.flatnonzero(band[:, BASS] >= FIRST_NOTE), np.flatnonzero(band[:, DRUMS])]
    steps = np.concatenate(onsets)
    return float((steps % 2).mean()) if len(steps) else float("nan")


def busy(bands: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Hits a bar (windows,); and a row's cells."""
    hits = np.array([notes_per_bar(band[:, DRUMS], "drums") for band in bands])
    notes = np.array([notes_per_bar(band[:, BASS], "bass") for band in bands])
    odd = np.nanmean([odd_sixteenths(band) for band in bands])
    return hits, [f"{notes.mean():.2f}", f"{hits.mean():.2f}", f"{odd:.2f}"]


def denser(sampling: Sampling, by: float) -> Sampling:
    """What `accompany --density` does."""
    return replace(sampling, density=tuple(odds + by * DENSITY for odds in sampling.density))


@torch.no_grad()
def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    windows = read_windows(arguments)
    pair = Accompanist.from_pretrained(device="cpu")
    assert pair.surrogate is not None and pair.attributes is not None
    predicted = pair.surrogate.predict(torch.from_numpy(windows.tokens), ("melody",))[0]
    encoded = encode_tokens(pair.musicvae, windows.tokens).mean
    others = np.roll(np.arange(len(encoded)), 1)
    usual, hits = default_sampling(), busy(windows.tokens)[0]
    rows: dict[str, tuple[Tensor | None, Sampling]] = {
        "no style": (None, usual),
        "the surrogate's style": (predicted, usual),
        "another song's style": (encoded[others], usual),
    }
    for by in (-2.0, 2.0):
        moved = pair.attributes.move(predicted, {"band_density": by})
        rows[f"band density {by:+g} (attribute vector)"] = moved, usual
    for by in (-2.0, 2.0):
        rows[f"`--swing {by:g}`"] = pair.attributes.move(predicted, {"swing": by}), usual
    for by in (-2.0, -1.0, 1.0, 2.0):
        rows[f"`--density {by:g}`"] = predicted, denser(usual, by)
    lines = [["real", *busy(windows.tokens)[1], ""]]
    for name, (style, sampling) in tqdm(rows.items(), unit="row"):
        own, cells = busy(play(pair, windows, sampling, style, arguments.seed))
        of = hits[others] if name.startswith("another") else hits
        known = style is not None and len(own) > 1
        lines.append([name, *cells, f"{np.corrcoef(own, of)[0, 1]:.2f}" if known else ""])
    header = ["bass notes a bar", "drum hits a bar", "onsets on odd sixteenths", "correlation"]
    print(f"{len(windows.tokens)} windows of {len(windows.songs)} songs\n")
    print(markdown(header, lines))


if __name__ == "__main__":
    main()
