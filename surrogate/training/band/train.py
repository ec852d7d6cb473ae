"""Data sets → a band's checkpoint folder, the work of `train-band`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from musicvae_torch.dataset.format import open_dataset, posterior_model
from musicvae_torch.dataset.posteriors import add_posteriors
from musicvae_torch.errors import OptionError
from musicvae_torch.hyperparameters import HYPERPARAMETER_NAMES
from musicvae_torch.io.checkpoint import weights_sha256
from musicvae_torch.kernels.recurrence import require_compiler
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import Hardware, TrainingOptions, fit, load_best
from surrogate.band.config import BandConfig
from surrogate.band.model import Band, styles_of
from surrogate.encoder.model import SurrogateEncoder
from surrogate.training.band.data import BandDataModule
from surrogate.training.band.masking import MaskingOptions
from surrogate.training.band.module import BandTraining


def train_band(
    data: Sequence[str | Path],
    validation: str | Path | None,
    out: str | Path,
    config: BandConfig | None,
    options: TrainingOptions,
    *,
    masking: MaskingOptions | None = None,
    init: str | Path | None = None,
    musicvae: str | Path | None = None,
    freeze_biases: bool = False,
    surrogate: str | Path | None = None,
    compiled: bool = False,
    workers: int | None = None,
    work: str | Path | None = None,
    device: str | Hardware = "auto",
    store: str = "float32",
) -> Path:
    """Train a band; write the best weights, by validation, to folder `out`, and return that.

    Args:
        data: data sets of build-dataset, of 16-bar trios; best with overlapping windows, as of
            --hop 8, which are joined. Styles are learnt from the posteriors that they hold.
        validation: a data set of other songs; None: the songs that `data` have set aside.
        out: folder for the result.
        config: sizes; None: those of `init`, or the defaults.
        options: how to train.
        masking: what to learn; None: the defaults.
        init: checkpoint folder of a band to go on from.
        musicvae: checkpoint folder of a trio whose latents are to be the styles; they are added to
            data sets that lack them. A band of `init` forgets the styles of any other trio.
        freeze_biases: leave the biases by distance of its player's attention as they are, which is
            faster; a band must have learnt them before.
        surrogate: checkpoint folder of a surrogate of the same MusicVAE; it predicts styles from
            melodies.
        compiled: compile the blocks with ``torch.compile``, which wants a C++ compiler.
        workers: processes that make batches; None: as for :class:`BandDataModule`.
        work, device, store: as for ``musicvae_torch.training.train_musicvae``.

    Raises:
        DatasetError, CheckpointError: a data set or a checkpoint cannot be read, or their styles
            are of other sizes.
        OptionError: `init` is of other sizes than `config`, or there is none to freeze; or there is
            no compiler.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    band = None if init is None else _initial_band(init, config, freeze_biases)
    if band is None and freeze_biases:
        raise OptionError("biases can be frozen of a trained band alone; name it as init")
    config = config or (BandConfig() if band is None else band.config)
    if musicvae is not None:
        for path in data:
            add_posteriors(path, musicvae)
        config = replace(config, style_size=MusicVAE.from_pretrained(musicvae).config.z_size)
        if band and init and styles_of(init).get("sha256") != weights_sha256(musicvae):
            band.forget_styles(config.style_size)
    predictor = None if surrogate is None else _style_predictor(surrogate, config.style_size)
    if compiled:
        require_compiler()
    masking = masking or MaskingOptions()
    windows = BandDataModule.read(data, validation, options, masking, config.style_size, workers)
    lightning.seed_everything(options.seed, verbose=False)
    module = BandTraining(config, options, band, predictor, compiled)
    best = fit(module, windows, options, work or f"{out}.training", device)
    record = training_record(windows, options, load_best(module, best))
    if init is not None:
        record["initialised_from"] = {"band": Path(init).name, "sha256": weights_sha256(init)}
        record["biases_frozen"] = freeze_biases
    with open_dataset(data[0]) as file:
        record["styles"] = posterior_model(file)
    if surrogate is not None:
        record["surrogate"] = Path(surrogate).name
    module.band.save_pretrained(out, dtype=getattr(torch, store), records={"training": record})
    return Path(out)


def _initial_band(init: str | Path, config: BandConfig | None, freeze_biases: bool) -> Band:
    """The band to go on from; arguments and errors as for :func:`train_band`."""
    band = Band.from_pretrained(init)
    if config not in (None, band.config):
        raise OptionError(f"{init}: the sizes of a checkpoint cannot be changed; leave them out")
    if freeze_biases:
        band.freeze_biases()
    return band


def _style_predictor(surrogate: str | Path, style_size: int) -> SurrogateEncoder:
    """The surrogate that predicts styles; errors as for :func:`train_band`."""
    predictor = SurrogateEncoder.from_pretrained(surrogate)
    if predictor.config.z_size != style_size:
        raise OptionError(
            f"{surrogate}: predicts {predictor.config.z_size} dimensions, and the band's style "
            f"has {style_size}; name a surrogate of the MusicVAE whose latents are the styles"
        )
    return predictor


def training_record(
    data: BandDataModule, options: TrainingOptions, scores: dict[str, float]
) -> dict[str, Any]:
    """What the weights were trained on, how, and how they score, for config.json."""
    sizes = {
        name: {"songs": len(np.unique(runs.song)), "runs": len(runs.song)}
        for name, runs in (("training", data.training), ("validation", data.validation))
    }
    used = {  # without those of a MusicVAE's objective
        name: value for name, value in asdict(options).items() if name not in HYPERPARAMETER_NAMES
    }
    return {"data": sizes, "options": used, "lessons": asdict(data.masking), "best": scores}
