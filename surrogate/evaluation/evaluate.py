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

from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import decode_tokens
from surrogate.encoder.refine import part_indices
from surrogate.evaluation.bands import band_nats
from surrogate.evaluation.columns import velocities_by_part
from surrogate.evaluation.reports import HIDDEN_NATS, NO_LATENT, Evaluation
from surrogate.evaluation.sampled import accompany_windows
from surrogate.evaluation.tables import Scores, mean_where, paired_differences
from surrogate.evaluation.task import BATCH, EvaluateOptions, Networks, Task
from surrogate.evaluation.ways import ENCODER, OURS, REFINED, ways_to_a_latent
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
    task = Task(networks, windows, options)
    ways = ways_to_a_latent(task)
    rows: dict[str, Scores] = {}
    for name, find in tqdm(ways.items(), unit="row", disable=None if options.progress else True):
        z = find()
        scores = _latent_scores(z, task.posterior) | _decoded(task, networks.musicvae, z)
        rows[name] = task.by_song(scores)
    if networks.without_latent is None:
        task.notes.append(f"No row of a {NO_LATENT}: none was given.")
    else:
        zeros = torch.zeros_like(task.posterior.mean)
        rows[NO_LATENT] = task.by_song(_decoded(task, networks.without_latent, zeros))
    for name, nats in band_nats(task):
        rows[name] = task.by_song(_named(-nats, options.hidden))
    if options.seeds:
        rows |= _accompanied(task)
    rows[TRUE_PARTS] = task.by_song(_note_scores(task, windows.tokens, windows.velocities))
    reference = next(name for name in (OURS, REFINED) if name in rows)
    return Evaluation(
        rows,
        [*rows[ENCODER], *(name for name in rows[TRUE_PARTS] if name not in rows[ENCODER])],
        paired_differences(rows, reference, HIDDEN_NATS, options.seed),
        reference,
        task.notes,
        windows,
        options,
    )


def _accompanied(task: Task) -> dict[str, Scores]:
    """Rows of bands as `accompany` makes them, by each method that there are networks for."""
    networks, options = task.networks, task.options
    seeds = f"{options.seeds} seed{'s' * (options.seeds > 1)}"
    rows = {}
    if networks.band is not None:
        rows[f"`accompany`, {seeds}"] = _sampled(task, BAND)
    if networks.surrogate is not None and set(options.given) <= set(networks.surrogate.input_parts):
        rows[f"`accompany --method surrogate`, {seeds}"] = _sampled(task, "surrogate")
    else:
        task.notes.append("No row of `accompany`'s surrogate: none takes all that is given.")
    return rows


def _sampled(task: Task, method: str) -> Scores:
    """The mean over seeds of each window's score, song by song."""
    networks, options = task.networks, task.options
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
        bands = accompany_windows(accompanist, task.windows, how, options.progress)
        of_seeds.append(_note_scores(task, *bands))
    names = of_seeds[0]
    return task.by_song(
        {name: mean_where(np.stack([one[name] for one in of_seeds])) for name in names}
    )


# Scores, each (windows,)


def _latent_scores(z: Tensor, posterior: Normal) -> Scores:
    error = z - posterior.mean
    errors = {"latent RMSE": error, "latent error in spreads": error / posterior.stddev}
    return {
        name: (values**2).mean(-1).sqrt().double().cpu().numpy() for name, values in errors.items()
    }


@torch.no_grad()
def _decoded(task: Task, musicvae: MusicVAE, z: Tensor) -> Scores:
    """The log-likelihood of the true hidden parts, in nats a step, and scores of the likeliest
    tokens, fed back."""
    parts = part_indices(task.options.hidden)
    losses = [
        musicvae.part_nll(own, real, parts).mean(1)
        for own, real in zip(torch.split(z, BATCH), torch.split(task.tokens, BATCH), strict=True)
    ]
    nats = -torch.cat(losses).double().cpu().numpy()
    tokens = decode_tokens(musicvae, z, temperature=0, batch_size=BATCH).astype(np.int64)
    return _named(nats, task.options.hidden) | _note_scores(task, tokens)


def _named(nats: np.ndarray, hidden: Collection[str]) -> Scores:
    """Columns of (windows, hidden parts)."""
    names = [f"nats {part}" for part in PARTS if part in hidden]
    return dict(zip(names, nats.T, strict=True)) | {HIDDEN_NATS: nats.sum(1)}


def _note_scores(task: Task, tokens: np.ndarray, velocities: np.ndarray | None = None) -> Scores:
    """Scores of (windows, steps, 3) classes and, if notes have any, velocities."""
    played = [None] * len(tokens) if velocities is None else list(velocities)
    scores = [
        real.compare(window, None if own is None else velocities_by_part(own, task.options.hidden))
        for real, window, own in zip(task.truth, tokens, played, strict=True)
    ]
    return {name: np.array([row[name] for row in scores]) for name in scores[0]}
