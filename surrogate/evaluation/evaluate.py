"""How good accompaniments of real songs are: parts are hidden, generated anew and compared.

What the rows and columns mean is in docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from tqdm import tqdm

from musicvae_torch.converters.trio import PARTS, to_tokens
from musicvae_torch.model.vae import MusicVAE
from surrogate.encoder.refine import part_indices
from surrogate.evaluation.bands import band_nats
from surrogate.evaluation.columns import DISTRIBUTIONS, STRUCTURE, Truth
from surrogate.evaluation.sampled import accompany_windows
from surrogate.evaluation.songs import SongWindows
from surrogate.evaluation.tables import (
    Estimate,
    Scores,
    differences_table,
    mean_where,
    paired_differences,
    per_song,
    scores_table,
)
from surrogate.evaluation.ways import (
    BATCH,
    ENCODER,
    OURS,
    REFINED,
    EvaluateOptions,
    Networks,
    batches,
    encode_all,
    ways_to_a_latent,
)
from surrogate.options import BAND, AccompanyOptions
from surrogate.pipeline import Accompanist

NO_LATENT = "decoder without a latent"
TRUE_PARTS = "the true parts"
HIDDEN_NATS = "nats hidden"


@dataclass(frozen=True)
class Evaluation:
    """Scores of every row.

    Attributes:
        rows: by name, the mean of each song's windows in each column that applies.
        columns: of all rows; those of latents and likelihoods first.
        differences: of the rows to `reference`, on the hidden parts' log-likelihood, paired.
        reference: the row compared with.
        notes: on what was left out.
        windows: that were evaluated on.
        options: that were used.
    """

    rows: dict[str, Scores]
    columns: list[str]
    differences: dict[str, Estimate]
    reference: str
    notes: list[str]
    windows: SongWindows
    options: EvaluateOptions

    def __str__(self) -> str:
        """Markdown: what was evaluated on, the tables, and the verdict."""
        given, hidden = " and ".join(self.options.given), " and ".join(self.options.hidden)
        apart = (*STRUCTURE, *DISTRIBUTIONS)
        of_latents = [column for column in self.columns if column.startswith(("latent", "nats"))]
        of_notes = [name for name in self.columns if name not in (*of_latents, *apart)]
        with_nats = {name: row for name, row in self.rows.items() if HIDDEN_NATS in row}
        blocks = [
            f"{self.windows}. Given: {given}; hidden: {hidden}. Means over songs, with 95 % "
            "bootstrap intervals.",
            self._table(of_latents, with_nats),
            "Decoded freely, the likeliest token at each step, but for the bands of `accompany`, "
            "which are sampled. How far the notes agree with the true parts:",
            self._table(of_notes),
            "How the bands hold together:",
            self._table([name for name in STRUCTURE if name in self.columns]),
            "How their notes are distributed:",
            self._table([name for name in DISTRIBUTIONS if name in self.columns]),
            f"Song by song, nats a step of the hidden parts, less those of {self.reference}:",
            differences_table(self.differences, HIDDEN_NATS),
            *self.notes,
            *([self.verdict()] if NO_LATENT in self.rows else []),
        ]
        return "\n\n".join(blocks)

    def _table(self, columns: Collection[str], rows: dict[str, Scores] | None = None) -> str:
        shown = self.rows if rows is None else rows
        kept = {name: row for name, row in shown.items() if not row.keys().isdisjoint(columns)}
        return scores_table(kept, list(columns), self.options.seed)

    def verdict(self) -> str:
        """Which ways to a latent say more of the hidden parts than no latent at all does."""
        found: dict[str, list[str]] = {"Better": [], "Worse": [], "Not told apart": []}
        against = paired_differences(self.rows, NO_LATENT, HIDDEN_NATS, self.options.seed)
        for name, it in against.items():
            side = "Better" if it.low > 0 else "Worse" if it.high < 0 else "Not told apart"
            found[side].append(f"{name} {it.mean:+.2f}")
        sides = (f"{side}: {', '.join(names)}." for side, names in found.items() if names)
        return (
            f"Against the {NO_LATENT}, in nats a step of the hidden parts, by the interval of the "
            f"differences song by song. {' '.join(sides)}"
        )

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; NaN becomes null."""
        seed = self.options.seed
        rows = {
            name: {
                column: Estimate.of(values, seed).as_json()
                | {"of_songs": [None if np.isnan(value) else value for value in values.tolist()]}
                for column, values in scores.items()
            }
            for name, scores in self.rows.items()
        }
        return {
            "given": list(self.options.given),
            "hidden": list(self.options.hidden),
            "seed": seed,
            "seeds": self.options.seeds,
            "windows": len(self.windows.tokens),
            "songs": self.windows.songs,
            "skipped": self.windows.skipped,
            "rows": rows,
            "reference": self.reference,
            "differences": {name: it.as_json() for name, it in self.differences.items()},
            "notes": self.notes,
            "verdict": self.verdict() if NO_LATENT in self.rows else None,
        }


def evaluate(
    networks: Networks, windows: SongWindows, options: EvaluateOptions | None = None
) -> Evaluation:
    """Score every way to a latent, no latent, sampled bands and the true parts, on windows of real
    songs.

    Raises:
        ValueError: the windows or a network do not fit the MusicVAE.
    """
    options = options or EvaluateOptions()
    vae = networks.musicvae
    tokens = torch.from_numpy(windows.tokens).to(vae.device)
    posterior = encode_all(vae, tokens)
    notes: list[str] = []
    ways = ways_to_a_latent(networks, tokens, posterior, windows.song, options, notes)
    truth = _truth(windows, options.hidden)
    rows: dict[str, Scores] = {}
    for name, find in tqdm(ways.items(), unit="row", disable=None if options.progress else True):
        z = find()
        scores = _latent_scores(z, posterior) | _decoded(vae, z, tokens, truth, options.hidden)
        rows[name] = _by_song(scores, windows)
    if networks.without_latent is None:
        notes.append(f"No row of a {NO_LATENT}: none was given.")
    else:
        zeros = torch.zeros_like(posterior.mean)
        own = _decoded(networks.without_latent, zeros, tokens, truth, options.hidden)
        rows[NO_LATENT] = _by_song(own, windows)
    for name, nats in band_nats(networks, tokens, posterior, windows.song, options, notes):
        rows[name] = _by_song(_named(-nats, options.hidden), windows)
    if options.seeds:
        rows |= _accompanied(networks, windows, truth, options, notes)
    rows[TRUE_PARTS] = _by_song(
        _note_scores(truth, windows.tokens, windows.velocities, options.hidden), windows
    )
    reference = next(name for name in (OURS, REFINED) if name in rows)
    return Evaluation(
        rows,
        [*rows[ENCODER], *(name for name in rows[TRUE_PARTS] if name not in rows[ENCODER])],
        paired_differences(rows, reference, HIDDEN_NATS, options.seed),
        reference,
        notes,
        windows,
        options,
    )


def _by_song(scores: Scores, windows: SongWindows) -> Scores:
    return {
        name: per_song(values, windows.song, len(windows.songs)) for name, values in scores.items()
    }


def _accompanied(
    networks: Networks,
    windows: SongWindows,
    truth: list[Truth],
    options: EvaluateOptions,
    notes: list[str],
) -> dict[str, Scores]:
    """Rows of bands as `accompany` makes them, by each method that there are networks for."""
    seeds = f"{options.seeds} seed{'s' * (options.seeds > 1)}"
    rows = {}
    if networks.band is not None:
        rows[f"`accompany`, {seeds}"] = _sampled(networks, windows, truth, options, BAND)
    if networks.surrogate is not None and set(options.given) <= set(networks.surrogate.hears):
        name = f"`accompany --method surrogate`, {seeds}"
        rows[name] = _sampled(networks, windows, truth, options, "surrogate")
    else:
        notes.append("No row of `accompany`'s surrogate: none hears all that is given.")
    return {name: _by_song(scores, windows) for name, scores in rows.items()}


def _sampled(
    networks: Networks,
    windows: SongWindows,
    truth: list[Truth],
    options: EvaluateOptions,
    method: str,
) -> Scores:
    """The mean over seeds of each window's score."""
    accompanist = Accompanist(
        networks.musicvae,
        networks.surrogate,
        networks.attributes,
        band=networks.band,
        styled=networks.styled,
    )
    of_seeds = []
    for seed in range(options.seed, options.seed + options.seeds):
        how = AccompanyOptions(given=options.given, seed=seed, method=method)
        bands = accompany_windows(accompanist, windows, how, options.progress)
        of_seeds.append(_note_scores(truth, *bands, options.hidden))
    return {name: mean_where(np.stack([one[name] for one in of_seeds])) for name in of_seeds[0]}


# Scores, each (windows,)


def _latent_scores(z: Tensor, posterior: Normal) -> Scores:
    error = z - posterior.mean
    return {
        "latent RMSE": _rms(error),
        "latent error in spreads": _rms(error / posterior.stddev),
    }


def _rms(values: Tensor) -> np.ndarray:
    return (values**2).mean(-1).sqrt().double().cpu().numpy()


def _decoded(
    musicvae: MusicVAE, z: Tensor, tokens: Tensor, truth: list[Truth], hidden: Collection[str]
) -> Scores:
    """The likelihood of the true parts (windows, steps, 3), and scores of what is decoded."""
    return _likelihoods(musicvae, z, tokens, hidden) | _note_scores(truth, _decode(musicvae, z))


@torch.no_grad()
def _likelihoods(musicvae: MusicVAE, z: Tensor, tokens: Tensor, hidden: Collection[str]) -> Scores:
    """Log-likelihood of the true hidden parts, in nats a step."""
    parts = part_indices(hidden)
    losses = [musicvae.part_nll(own, real, parts).mean(1) for own, real in batches(z, tokens)]
    return _named(-torch.cat(losses).double().cpu().numpy(), hidden)


def _named(nats: np.ndarray, hidden: Collection[str]) -> Scores:
    """Columns of (windows, hidden parts)."""
    names = [f"nats {part}" for part in PARTS if part in hidden]
    return dict(zip(names, nats.T, strict=True)) | {HIDDEN_NATS: nats.sum(1)}


def _decode(musicvae: MusicVAE, z: Tensor) -> np.ndarray:
    """(windows, steps, 3) likeliest tokens, fed back."""
    decoded = (musicvae.decode(batch, temperature=0) for batch in z.split(BATCH))
    return np.concatenate([to_tokens(rows.cpu().numpy()) for rows in decoded]).astype(np.int64)


def _truth(windows: SongWindows, hidden: Collection[str]) -> list[Truth]:
    return [
        Truth(tokens, hidden, _velocities(velocities, hidden))
        for tokens, velocities in zip(windows.tokens, windows.velocities, strict=True)
    ]


def _velocities(velocities: np.ndarray, parts: Collection[str]) -> dict[str, np.ndarray]:
    """Of some parts, the velocities of (steps, 3) that are any."""
    columns = dict(zip(PARTS, velocities.T, strict=True))
    return {part: columns[part][columns[part] > 0] for part in parts}


def _note_scores(
    truth: list[Truth],
    tokens: np.ndarray,
    velocities: np.ndarray | None = None,
    hidden: Collection[str] = (),
) -> Scores:
    """Of (windows, steps, 3) classes and, where notes have any, velocities."""
    played = [None] * len(truth) if velocities is None else list(velocities)
    scores = [
        real.compare(window, None if own is None else _velocities(own, hidden))
        for real, window, own in zip(truth, tokens, played, strict=True)
    ]
    return {name: np.array([row[name] for row in scores]) for name in scores[0]}
