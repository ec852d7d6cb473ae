"""The rows of evaluate-accompaniment that decode a latent: how each finds it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from musicvae_torch.midi.vocabulary import NO_EVENT
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import encode_tokens
from surrogate.encoder.model import Surrogate
from surrogate.encoder.refine import UNKNOWN, hide, refine, refine_prediction
from surrogate.evaluation.task import Task

ENCODER = "encoder, all parts given"
OURS = "our surrogate"
OURS_REFINED = "our surrogate, refined"
REFINED = "refinement alone"
BASELINE = "accompany-music-vae's surrogate"


def ways_to_a_latent(task: Task) -> dict[str, Callable[[], Tensor]]:
    """The functions that find latents (windows, z_size), by the names of their rows."""
    networks, options, tokens, notes = task.networks, task.options, task.tokens, task.notes
    vae, mean = networks.musicvae, task.posterior.mean
    ways: dict[str, Callable[[], Tensor]] = {ENCODER: lambda: mean}
    for name, surrogate in ((OURS, networks.surrogate), (BASELINE, networks.baseline)):
        if surrogate is None:
            notes.append(f"No row of {name}: none was given.")
            continue
        known = tuple(part for part in options.given if part in surrogate.input_parts)
        if not known:
            notes.append(f"No row of {name}: it takes {' and '.join(surrogate.input_parts)} only.")
            continue
        if known != options.given:
            notes.append(f"Of what is given, {name} takes {' and '.join(known)} only.")
        ways[name] = partial(_predicted, surrogate, tokens, known)
        if name == OURS:
            ways[OURS_REFINED] = partial(_refined, task, surrogate)
            ways[REFINED] = partial(_refined, task)
    ways.setdefault(REFINED, partial(_refined, task))
    alone = f"encoder, {' and '.join(options.given)} alone"
    for name, by in ((f"{alone} (others rest)", NO_EVENT), (f"{alone} (others zero)", UNKNOWN)):
        ways[name] = partial(_encoded_mean, vae, hide(tokens, options.given, by))
    generator = torch.Generator().manual_seed(options.seed)
    sample = torch.randn(mean.shape, generator=generator).to(mean)  # alike on every device
    ways["the prior's mean"] = lambda: torch.zeros_like(mean)
    ways["a sample of the prior"] = lambda: sample
    if task.has_one_song:
        notes.append("No row of another song's latent: there is one song only.")
    else:
        ways["another song's latent"] = task.mean_of_other_songs
    return ways


def _encoded_mean(musicvae: MusicVAE, tokens: Tensor) -> Tensor:
    return encode_tokens(musicvae, tokens.cpu().numpy()).mean


def _predicted(surrogate: Surrogate, tokens: Tensor, given: tuple[str, ...]) -> Tensor:
    return surrogate.predict(tokens, given)[0]


def _refined(task: Task, surrogate: Surrogate | None = None) -> Tensor:
    vae, given, how = task.networks.musicvae, task.options.given, task.options.refine
    progress = task.options.progress
    if surrogate is None:
        return refine(vae, task.tokens, given, options=how, progress=progress).z
    return refine_prediction(vae, surrogate, task.tokens, given, how, progress).z
