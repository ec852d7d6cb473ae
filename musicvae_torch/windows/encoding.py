"""Many windows through a MusicVAE's encoder and decoder, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from tqdm import tqdm

from musicvae_torch import groove_sampling
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.groove import DRUMS
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.tensors import ModelBatch, model_batch

BATCH_SIZE = 32  # windows; more do not fit the cache of one core
_CUDA_BATCH_SIZE = 512
TEMPERATURE = 0.5


def model_batches(
    config: MusicVAEConfig,
    tokens: np.ndarray,
    lengths: np.ndarray | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
) -> Iterator[ModelBatch]:
    """Windows as a model takes them, on the CPU.

    Args:
        config: of the model.
        tokens: (windows, steps, parts) of the config's converter.
        lengths: (windows, segments) steps that count, of multitrack bars; None: all.
        batch_size: windows a batch.
        progress: show a progress bar.
    """
    starts = range(0, len(tokens), batch_size)
    for start in tqdm(starts, unit="batch", disable=None if progress else True):
        rows = slice(start, start + batch_size)
        own = None if lengths is None else lengths[rows]
        yield model_batch(config, tokens[rows], own)


@torch.no_grad()
def encode_tokens(
    model: MusicVAE,
    tokens: np.ndarray,
    lengths: np.ndarray | None = None,
    *,
    progress: bool = False,
) -> Normal:
    """The posterior of windows, with means and standard deviations (windows, z_size) on the model's
    device; arguments are those of :func:`model_batches`."""
    size = _CUDA_BATCH_SIZE if model.device.type == "cuda" else BATCH_SIZE
    batches = model_batches(model.config, tokens, lengths, batch_size=size, progress=progress)
    posteriors = []
    for batch in batches:
        inputs, _, own_lengths, controls, *_ = batch.on(model.device)
        posteriors.append(model.encode(inputs, own_lengths, controls))
    stddevs = torch.cat([posterior.stddev for posterior in posteriors])
    return Normal(torch.cat([posterior.mean for posterior in posteriors]), stddevs)


def decode_tokens(
    model: MusicVAE,
    z: Tensor,
    *,
    length: int | None = None,
    temperature: float = TEMPERATURE,
    controls: Tensor | None = None,
    seed: int = 0,
    same_noise: bool = False,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Decode latents (windows, z_size) to tokens (windows, steps, parts) of the config's converter.

    Args:
        model: whose latents they are.
        z: the latents.
        length, temperature, controls: as for :meth:`MusicVAE.decode`.
        seed: of the random draws.
        same_noise: draw each window, one at a time, from the same random numbers, so that windows
            differ by their latents alone.
        batch_size: windows at a time, on which the random draws of a window depend.

    Raises:
        ValueError: as :meth:`MusicVAE.decode`.
    """
    converter = get_converter(model.config)
    size = 1 if same_noise else batch_size
    generator = torch.Generator(model.device).manual_seed(seed)
    tokens = []
    for start in range(0, len(z), size):
        if same_noise:
            generator.manual_seed(seed)
        rows = slice(start, start + size)
        own = controls[rows] if controls is not None and controls.dim() == 3 else controls
        outputs = model.decode(z[rows], length, temperature, own, generator)
        if own is not None:
            own = own[..., : outputs.shape[1], :].expand(len(outputs), -1, -1)
        own_array = None if own is None else own.cpu().numpy()
        tokens.append(converter.to_tokens(outputs.cpu().numpy(), own_array))
    return np.concatenate(tokens)


@torch.no_grad()
def play_hits(model: MusicVAE, hits: np.ndarray, z: Tensor | None = None) -> np.ndarray:
    """Find the velocities and offsets that a GrooVAE gives to given drum hits.

    A model of a "humanize" config encodes the hits; with the config
    ``groovae_2bar_hits_control_tfds``, which encodes how hits were played, the latent is the mean
    of its prior. Either may have the hits as controls.

    Args:
        model: of one of these configs (:func:`surrogate.encoder.loading.check_groove_model`).
        hits: (windows, steps, 9), 0 or 1, any dtype.
        z: (windows, z_size) latents to decode instead.

    Returns:
        (windows, steps, 27) float32 rows of a ``GrooveConverter``: the same hits, and for each of
        the nine drums the velocity (0 to 1) and the offset (-1 to 1, positive if early) that a hit
        has, or would have.
    """
    rows = [np.zeros((0, hits.shape[1], 3 * DRUMS), np.float32)]
    encodes_hits = get_converter(model.config).rules.humanize
    for start in range(0, len(hits), BATCH_SIZE):
        own = torch.from_numpy(hits[start : start + BATCH_SIZE].astype(np.float32)).to(model.device)
        controls = own if model.config.control_depth else None
        latents = own.new_zeros(len(own), model.config.z_size)
        if z is not None:
            latents = z[start : start + BATCH_SIZE]
        elif encodes_hits:
            unplayed = own.new_zeros(*own.shape[:-1], 2 * DRUMS)
            latents = model.encode(torch.cat([own, unplayed], -1), controls=controls).mean
        played = groove_sampling.velocities_and_offsets(model, latents, own, controls)
        rows.append(torch.cat([own, played[..., DRUMS:]], -1).cpu().numpy())
    return np.concatenate(rows)


@torch.no_grad()
def draw_hits(
    model: MusicVAE,
    tokens: np.ndarray,
    *,
    drums: Sequence[int] | None = None,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> np.ndarray:
    """Sample the drums that a GrooVAE adds to windows.

    Models of a "tap" config hit drums where something was tapped, when it was, and nowhere else:
    that much is known of what they are to play.

    Args:
        model: such as one of a "tap" config, or one that adds hi-hats.
        tokens: (windows, steps, parts) of the config's converter.
        drums: indices of those that are drawn, which go with the others as they are in `tokens`;
            None: all.
        temperature: of the draws; 0 takes the likelier of hit and no hit.
        seed: of the draws.

    Returns:
        (windows, steps, 27) float32 rows, in which the hits are as hard, and as early or late, as
        the model has them.
    """
    is_tapped = get_converter(model.config).rules.tap
    generator = torch.Generator(model.device).manual_seed(seed)
    rows = [np.zeros((0, tokens.shape[1], 3 * DRUMS), np.float32)]
    for batch in model_batches(model.config, tokens):
        inputs, played, _, controls, *_ = batch.on(model.device)
        z = model.encode(inputs, controls=controls).mean
        given = None if drums is None else played
        sounding = inputs[..., :DRUMS].any(-1) if is_tapped else None
        drawn = groove_sampling.draw_hits(
            model, z, temperature, controls, given, drums, sounding, generator
        )
        if is_tapped:
            early = inputs[..., 2 * DRUMS :].sum(-1, keepdim=True)  # of the one hit of a step
            drawn[..., 2 * DRUMS :] = drawn[..., :DRUMS] * early
        rows.append(drawn.cpu().numpy())
    return np.concatenate(rows)
