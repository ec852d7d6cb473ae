"""How good accompaniments of real songs are: parts are hidden, generated and compared.

What the rows and columns mean is in docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from tqdm import tqdm

from musicvae_torch.converters.trio import PARTS, to_tokens
from musicvae_torch.model.vae import MusicVAE
from surrogate.encoder.refine import part_indices
from surrogate.evaluation.bands import band_nats
from surrogate.evaluation.columns import Truth
from surrogate.evaluation.reports import HIDDEN_NATS, NO_LATENT, Evaluation
from surrogate.evaluation.sampled import accompany_windows
from surrogate.evaluation.tables import (
    Scores,
    mean_where,
    paired_differences,
    per_song,
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
from surrogate.evaluation.windows import EvaluationWindows
from surrogate.options import BAND, AccompanyOptions
from surrogate.pipeline import Accompanist

TRUE_PARTS = "the true parts"


def evaluate(
    networks: Networks, windows: EvaluationWindows, options: EvaluateOptions | None = None
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


def _by_song(scores: Scores, windows: EvaluationWindows) -> Scores:
    return {
        name: per_song(values, windows.song, len(windows.songs)) for name, values in scores.items()
    }


def _accompanied(
    networks: Networks,
    windows: EvaluationWindows,
    truth: list[Truth],
    options: EvaluateOptions,
    notes: list[str],
) -> dict[str, Scores]:
    """Rows of bands as `accompany` makes them, by each method that there are networks for."""
    seeds = f"{options.seeds} seed{'s' * (options.seeds > 1)}"
    rows = {}
    if networks.band is not None:
        rows[f"`accompany`, {seeds}"] = _sampled(networks, windows, truth, options, BAND)
    if networks.surrogate is not None and set(options.given) <= set(networks.surrogate.input_parts):
        name = f"`accompany --method surrogate`, {seeds}"
        rows[name] = _sampled(networks, windows, truth, options, "surrogate")
    else:
        notes.append("No row of `accompany`'s surrogate: none takes all that is given.")
    return {name: _by_song(scores, windows) for name, scores in rows.items()}


def _sampled(
    networks: Networks,
    windows: EvaluationWindows,
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
    losses = [musicvae.losses_of(own, real, parts).mean(1) for own, real in batches(z, tokens)]
    return _named(-torch.cat(losses).double().cpu().numpy(), hidden)


def _named(nats: np.ndarray, hidden: Collection[str]) -> Scores:
    """Columns of (windows, hidden parts)."""
    names = [f"nats {part}" for part in PARTS if part in hidden]
    return dict(zip(names, nats.T, strict=True)) | {HIDDEN_NATS: nats.sum(1)}


def _decode(musicvae: MusicVAE, z: Tensor) -> np.ndarray:
    """(windows, steps, 3) likeliest tokens, fed back."""
    decoded = (musicvae.decode(batch, temperature=0) for batch in z.split(BATCH))
    return np.concatenate([to_tokens(rows.cpu().numpy()) for rows in decoded]).astype(np.int64)


def _truth(windows: EvaluationWindows, hidden: Collection[str]) -> list[Truth]:
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
