"""The networks of an accompaniment: a MusicVAE of trios, its surrogate encoder, and more."""

from __future__ import annotations

from pathlib import Path

import torch

from musicvae_torch.attribute_vectors import ATTRIBUTES_FILE, AttributeVectors
from musicvae_torch.converters.groove import GROOVE_RULES
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.checkpoint import read_config, shipped_checkpoint
from musicvae_torch.io.checkpoint_files import CONFIG_FILE
from musicvae_torch.io.hub import local_folder
from musicvae_torch.kernels.gemm import FLOAT32
from musicvae_torch.model.vae import MusicVAE
from surrogate.accompany_music_vae.network import PointSurrogate
from surrogate.encoder.model import Surrogate, SurrogateEncoder, part_depths
from surrogate.options import NO_GROOVE

DEFAULT_MUSICVAE = "trio_16bar_small"
DEFAULT_SURROGATE = "trio_16bar_small_surrogate"
DEFAULT_BASELINE = "trio_16bar_small_point"  # of accompany-music-vae's kind, to compare with
DEFAULT_GROOVE = "groovae_2bar_humanize_small"
DEFAULT_WITHOUT_LATENT = "trio_16bar_small_no_latent"  # the trio, trained on without its latent


def load_surrogate(
    folder: str | Path,
    device: str | torch.device = "cpu",
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
) -> Surrogate:
    """Load a checkpoint folder that holds any kind of surrogate encoder, in evaluation mode.

    Args:
        folder, device, revision, cache_dir, token: as for :meth:`Surrogate.from_pretrained`.

    Raises:
        CheckpointError: a file is missing or unreadable, or holds another kind of network; or it
            cannot be fetched.
    """
    folder = local_folder(folder, revision=revision, cache_dir=cache_dir, token=token)
    kind = read_config(folder).get("kind")
    for network in (SurrogateEncoder, PointSurrogate):
        if network.kind == kind:
            return network.from_pretrained(folder, device)
    raise CheckpointError(
        f"{Path(folder) / CONFIG_FILE}: holds a {kind!r}, wanted a "
        f"{SurrogateEncoder.kind!r} or a {PointSurrogate.kind!r}"
    )


def load_networks(
    musicvae: str | Path | None,
    surrogate: str | Path | None,
    device: torch.device,
    alone: bool = False,
    dtype: str = FLOAT32,
) -> tuple[MusicVAE, Surrogate | None]:
    """Load a MusicVAE and its surrogate; None stands for those that ship with the package.

    Args:
        alone: load no surrogate.
        dtype: precision of products; see ``multiply_in`` of the networks.

    Raises:
        CheckpointError: a folder cannot be read, or the two do not belong together.
        OptionError: the device has no such precision.
    """
    trio = MusicVAE.from_pretrained(musicvae or shipped_checkpoint(DEFAULT_MUSICVAE), device)
    check_trio(trio)
    trio.multiply_in(dtype)
    if alone:
        return trio, None
    home = surrogate or shipped_checkpoint(DEFAULT_SURROGATE)
    network = load_surrogate(home, device)
    try:
        check_surrogate(trio, network)
    except CheckpointError as error:
        if surrogate or not musicvae:
            raise CheckpointError(f"{home}: {error}") from None
        raise CheckpointError(
            f"{musicvae}: the pretrained surrogate belongs to another model ({error}); name "
            "its own with --surrogate, or do without one: --method refine-only"
        ) from None
    return trio, network.multiply_in(dtype)


def load_groove(folder: str | Path | None, device: torch.device) -> MusicVAE | None:
    """Load a GrooVAE that plays drum hits.

    Args:
        folder: of the checkpoint; None: the one that ships with the package, if there is one;
            options.NO_GROOVE: none.

    Returns:
        The model; None: there is none.

    Raises:
        CheckpointError: the folder cannot be read, or holds another kind of model.
    """
    if str(folder) == NO_GROOVE:
        return None
    if folder is None:
        try:
            folder = shipped_checkpoint(DEFAULT_GROOVE)
        except CheckpointError:
            return None
    model = MusicVAE.from_pretrained(folder, device)
    try:
        check_groove_model(model)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None
    return model


def load_attributes(musicvae: str | Path | None) -> AttributeVectors | None:
    """The attribute vectors beside a MusicVAE (None stands for the one that ships), if it has any.

    Raises:
        CheckpointError: they are damaged or of other weights.
    """
    home = local_folder(musicvae or shipped_checkpoint(DEFAULT_MUSICVAE))
    return AttributeVectors.load(home) if (home / ATTRIBUTES_FILE).exists() else None


def check_trio(musicvae: MusicVAE) -> None:
    """Raises:
    CheckpointError: the model plays no trios.
    """
    vae = musicvae.config
    if vae.output_depths != DEPTHS or vae.output != "categorical" or vae.control_depth:
        raise CheckpointError(f"the MusicVAE {vae.name!r} plays no trios of depths {DEPTHS}")


def check_groove_model(model: MusicVAE) -> None:
    """Raises:
    CheckpointError: the model cannot tell from hits alone how they are played.
    """
    config = model.config
    rules = GROOVE_RULES.get(config.base)
    if config.output == "groove" and rules and (rules.humanize or rules.control_depth):
        return
    able = [name for name, own in GROOVE_RULES.items() if own.humanize or own.control_depth]
    raise CheckpointError(
        f"the model {config.name!r} does not play hits that are given; a groove model for that is "
        f"of the config {' or '.join(able)}"
    )


def check_surrogate(musicvae: MusicVAE, surrogate: Surrogate) -> None:
    """Raises:
    CheckpointError: the two do not belong together.
    """
    vae, config = musicvae.config, surrogate.config
    depth = sum(part_depths(config.input_parts))
    if config.input_depth != depth:
        raise CheckpointError(
            f"the surrogate takes {config.input_depth} classes; {' and '.join(config.input_parts)} "
            f"have {depth}"
        )
    if (vae.z_size, vae.max_seq_len) != (config.z_size, config.max_seq_len):
        raise CheckpointError(
            f"the surrogate predicts {config.z_size} latent dimensions of "
            f"{config.max_seq_len} steps, the MusicVAE wants {vae.z_size} of {vae.max_seq_len}"
        )
