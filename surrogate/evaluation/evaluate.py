"""How good accompaniments of real songs are: parts are hidden, generated anew and compared.

What the rows and columns mean is in docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from tqdm import tqdm

from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.trio import PARTS, to_tokens
from musicvae_torch.notes.vocabulary import NO_EVENT
from surrogate.band.controls import chords_of
from surrogate.evaluation.metrics import (
    accuracy,
    estimate_key,
    groove_consistency,
    notes_per_bar,
    onset_f1,
    pitch_histogram,
    share_in_chords,
    share_in_key,
)
from surrogate.evaluation.songs import SongWindows
from surrogate.evaluation.tables import (
    Estimate,
    Scores,
    differences_table,
    paired_differences,
    per_song,
    scores_table,
)
from surrogate.networks.model import Surrogate
from surrogate.networks.refine import (
    UNKNOWN,
    RefineOptions,
    hide,
    part_indices,
    refine,
    refine_prediction,
)

ENCODER = "encoder that hears all"
OURS = "our surrogate"
OURS_REFINED = "our surrogate, refined"
REFINED = "refinement alone"
BASELINE = "the seed's surrogate"
TRUE_PARTS = "the true parts"
HIDDEN_NATS = "nats hidden"
BATCH = 128


@dataclass(frozen=True)
class Networks:
    """What is compared.

    Attributes:
        musicvae: of trios.
        surrogate: of it; None: its rows are left out.
        baseline: another surrogate of it, as that of accompany-music-vae; None: left out.
    """

    musicvae: MusicVAE
    surrogate: Surrogate | None = None
    baseline: Surrogate | None = None


@dataclass(frozen=True)
class EvaluateOptions:
    """How to compare.

    Attributes:
        given: the parts that are heard; the others are hidden.
        seed: of the prior's sample, of other songs' latents and of the bootstrap.
        refine: how to refine.
        progress: show a progress bar.
    """

    given: tuple[str, ...] = ("melody",)
    seed: int = 0
    refine: RefineOptions = field(default_factory=RefineOptions)
    progress: bool = False

    def __post_init__(self) -> None:
        if len(part_indices(self.given)) == len(PARTS):
            raise ValueError(f"given are {', '.join(self.given)}: that leaves nothing to generate")

    @property
    def hidden(self) -> tuple[str, ...]:
        return tuple(part for part in PARTS if part not in self.given)


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
        """Markdown: what was evaluated on, and three tables."""
        given, hidden = " and ".join(self.options.given), " and ".join(self.options.hidden)
        of_latents = [column for column in self.columns if column.startswith(("latent", "nats"))]
        of_notes = [column for column in self.columns if column not in of_latents]
        seed = self.options.seed
        with_latents = {name: row for name, row in self.rows.items() if name != TRUE_PARTS}
        blocks = [
            f"{self.windows}. Given: {given}; hidden: {hidden}. Means over songs, with 95 % "
            "bootstrap intervals.",
            scores_table(with_latents, of_latents, seed),
            "Decoded freely, the likeliest token at each step:",
            scores_table(self.rows, of_notes, seed),
            f"Song by song, nats a step of the hidden parts, less those of {self.reference}:",
            differences_table(self.differences, HIDDEN_NATS),
            *self.notes,
        ]
        return "\n\n".join(blocks)

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
            "windows": len(self.windows.tokens),
            "songs": self.windows.songs,
            "skipped": self.windows.skipped,
            "rows": rows,
            "reference": self.reference,
            "differences": {name: it.as_json() for name, it in self.differences.items()},
            "notes": self.notes,
        }


def evaluate(
    networks: Networks, windows: SongWindows, options: EvaluateOptions | None = None
) -> Evaluation:
    """Score every way to a latent, and the true parts, on windows of real songs.

    Raises:
        ValueError: the windows or a surrogate do not fit the MusicVAE.
    """
    options = options or EvaluateOptions()
    tokens = torch.from_numpy(windows.tokens).to(networks.musicvae.device)
    posterior = _encode(networks.musicvae, tokens)
    notes: list[str] = []
    sources = _sources(networks, tokens, posterior, windows.song, options, notes)
    truth = [_Truth(window, options.hidden) for window in windows.tokens]
    rows: dict[str, Scores] = {}
    for name, find in tqdm(sources.items(), unit="row", disable=None if options.progress else True):
        z = find()
        scores = _latent_scores(z, posterior)
        scores |= _likelihoods(networks.musicvae, z, tokens, options.hidden)
        scores |= _note_scores(truth, _decode(networks.musicvae, z))
        rows[name] = _by_song(scores, windows)
    rows[TRUE_PARTS] = _by_song(_note_scores(truth, windows.tokens), windows)
    reference = next(name for name in (OURS, REFINED) if name in rows)
    return Evaluation(
        rows,
        list(rows[ENCODER]),
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


# Ways to a latent


def _sources(
    networks: Networks,
    tokens: Tensor,
    posterior: Normal,
    song: np.ndarray,
    options: EvaluateOptions,
    notes: list[str],
) -> dict[str, Callable[[], Tensor]]:
    """By the row's name, what finds latents (windows, z_size); what is left out goes to `notes`."""
    vae, mean = networks.musicvae, posterior.mean
    sources: dict[str, Callable[[], Tensor]] = {ENCODER: lambda: mean}
    climb = partial(_refined, vae, tokens, options)
    for name, surrogate in ((OURS, networks.surrogate), (BASELINE, networks.baseline)):
        if surrogate is None:
            notes.append(f"No row of {name}: none was given.")
            continue
        heard = tuple(part for part in options.given if part in surrogate.hears)
        if not heard:
            notes.append(f"No row of {name}: it hears {' and '.join(surrogate.hears)} only.")
            continue
        if heard != options.given:
            notes.append(f"Of what is given, {name} hears {' and '.join(heard)} only.")
        sources[name] = partial(_predict, surrogate, tokens, heard)
        if name == OURS:
            sources[OURS_REFINED] = partial(climb, surrogate)
            sources[REFINED] = climb
    sources.setdefault(REFINED, climb)
    alone = f"encoder, {' and '.join(options.given)} alone"
    for name, by in ((f"{alone} (others rest)", NO_EVENT), (f"{alone} (others zero)", UNKNOWN)):
        hidden = hide(tokens, options.given, by)
        sources[name] = partial(_encoded_mean, vae, hidden)
    generator = torch.Generator().manual_seed(options.seed)
    sample = torch.randn(mean.shape, generator=generator).to(mean)  # alike on every device
    sources["the prior's mean"] = lambda: torch.zeros_like(mean)
    sources["a sample of the prior"] = lambda: sample
    if song[0] == song[-1]:
        notes.append("No row of another song's latent: there is one song only.")
    else:
        others = torch.from_numpy(other_songs(song, options.seed)).to(mean.device)
        sources["another song's latent"] = lambda: mean[others]
    return sources


def other_songs(song: np.ndarray, seed: int) -> np.ndarray:
    """For each window (windows,) of ascending songs, of which there are at least two, the index
    of a random one of another song."""
    rng = np.random.default_rng(seed)
    firsts, ends = np.searchsorted(song, song), np.searchsorted(song, song, side="right")
    # Counted from the end of the window's own song on, around.
    shifts = rng.integers(0, len(song) - (ends - firsts))
    return (ends + shifts) % len(song)


def _batches(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(BATCH) for tensor in tensors), strict=True)


@torch.no_grad()
def _encode(musicvae: MusicVAE, tokens: Tensor) -> Normal:
    found = [musicvae.encode(batch) for (batch,) in _batches(tokens)]
    mean, stddev = (torch.cat([getattr(it, name) for it in found]) for name in ("mean", "stddev"))
    return Normal(mean, stddev, validate_args=False)


def _encoded_mean(musicvae: MusicVAE, tokens: Tensor) -> Tensor:
    return _encode(musicvae, tokens).mean


@torch.no_grad()
def _predict(surrogate: Surrogate, tokens: Tensor, given: tuple[str, ...]) -> Tensor:
    return torch.cat([surrogate.posterior_mean(batch, given) for (batch,) in _batches(tokens)])


def _refined(
    musicvae: MusicVAE,
    tokens: Tensor,
    options: EvaluateOptions,
    surrogate: Surrogate | None = None,
) -> Tensor:
    given, how = options.given, options.refine
    if surrogate is None:
        return refine(musicvae, tokens, given, options=how, progress=options.progress).z
    return refine_prediction(musicvae, surrogate, tokens, given, how, options.progress).z


# Scores, each (windows,)


def _latent_scores(z: Tensor, posterior: Normal) -> Scores:
    error = z - posterior.mean
    return {
        "latent RMSE": _rms(error),
        "latent error in spreads": _rms(error / posterior.stddev),
    }


def _rms(values: Tensor) -> np.ndarray:
    return (values**2).mean(-1).sqrt().double().cpu().numpy()


@torch.no_grad()
def _likelihoods(musicvae: MusicVAE, z: Tensor, tokens: Tensor, hidden: Collection[str]) -> Scores:
    """Log-likelihood of the true hidden parts, in nats a step."""
    parts = part_indices(hidden)
    losses = [musicvae.losses_of(own, real, parts).mean(1) for own, real in _batches(z, tokens)]
    nats = -torch.cat(losses)
    values = nats.double().cpu().numpy()  # (windows, hidden parts)
    names = [f"nats {PARTS[part]}" for part in parts]
    return dict(zip(names, values.T, strict=True)) | {HIDDEN_NATS: values.sum(1)}


def _decode(musicvae: MusicVAE, z: Tensor) -> np.ndarray:
    """(windows, steps, 3) likeliest tokens, fed back."""
    decoded = (musicvae.decode(batch, temperature=0) for batch in z.split(BATCH))
    return np.concatenate([to_tokens(rows.cpu().numpy()) for rows in decoded]).astype(np.int64)


class _Truth:
    """A real window (steps, 3), and what its hidden parts are compared with."""

    def __init__(self, tokens: np.ndarray, hidden: Collection[str]) -> None:
        self.parts = dict(zip(PARTS, tokens.T, strict=True))
        self.hidden = [part for part in PARTS if part in hidden]
        pitched = self.parts["melody"], self.parts["bass"]
        self.key = estimate_key(pitch_histogram(*pitched))
        self.chords = chords_of(*pitched)
        self.density = {part: notes_per_bar(self.parts[part], part) for part in self.hidden}
        self.groove = {part: groove_consistency(self.parts[part], part) for part in self.hidden}

    def compare(self, tokens: np.ndarray) -> dict[str, float]:
        """Scores of generated (steps, 3)."""
        parts = dict(zip(PARTS, tokens.T, strict=True))
        hidden = self.hidden
        scores = {f"{part} right": accuracy(parts[part], self.parts[part]) for part in hidden}
        if "drums" in hidden:
            hits, steps = onset_f1(parts["drums"], self.parts["drums"])
            scores |= {"drum hits F1": hits, "drum steps F1": steps}
        if "bass" in hidden:
            scores["bass in key"] = share_in_key(parts["bass"], self.key)
            scores["bass in harmony"] = share_in_chords(parts["bass"], self.chords)
        for part in hidden:
            error = notes_per_bar(parts[part], part) - self.density[part]
            scores[f"{part} density error"] = abs(error)
        for part in hidden:
            error = groove_consistency(parts[part], part) - self.groove[part]
            scores[f"{part} groove error"] = abs(error)
        return scores


def _note_scores(truth: list[_Truth], tokens: np.ndarray) -> Scores:
    scores = [real.compare(window) for real, window in zip(truth, tokens, strict=True)]
    return {name: np.array([row[name] for row in scores]) for name in scores[0]}
