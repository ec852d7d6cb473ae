"""Training a surrogate encoder against the posterior of a trained MusicVAE, with Lightning."""

from __future__ import annotations

from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from musicvae_torch.dataset import read_sides
from musicvae_torch.dataset.codes import weights_sha256
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.trio import PARTS
from musicvae_torch.training import (
    ScheduledTraining,
    TrainingOptions,
    WindowsDataModule,
    fit,
    load_best,
    standard_normal_kl,
    training_record,
)
from surrogate.model import SurrogateConfig, SurrogateEncoder


class SurrogateTraining(ScheduledTraining):
    """Brings the surrogate's distribution, given the melody, close to the trio's posterior.

    The loss is the KL divergence from posterior to prediction, summed over the latent. Batches
    are (batch, steps, parts) tokens, whose posterior is computed as they come, so that windows
    may be transposed at random; or these with the posterior's mean and stddev.
    """

    def __init__(
        self, musicvae: MusicVAE, config: SurrogateConfig, options: TrainingOptions
    ) -> None:
        super().__init__(options)
        self.surrogate = SurrogateEncoder(config)
        # In a list, so that the frozen model is neither trained nor stored.
        self._musicvae = [musicvae.eval().requires_grad_(False)]

    def on_fit_start(self) -> None:
        self._musicvae[0].to(self.device)

    def predict(
        self, tokens: Tensor, mean: Tensor | None = None, stddev: Tensor | None = None
    ) -> tuple[Normal, Normal]:
        """The trio's posterior, as given or else computed, and what the surrogate makes of the
        melody alone."""
        if mean is not None and stddev is not None:
            posterior = Normal(mean, stddev, validate_args=False)
        else:
            with torch.no_grad():
                posterior = self._musicvae[0].encode(tokens)
        return posterior, self.surrogate(tokens[..., 0])

    def training_step(self, batch: Tensor | list[Tensor], _: int) -> Tensor:
        tensors = [batch] if isinstance(batch, Tensor) else batch
        loss = kl_divergence(*self.predict(*tensors)).sum(-1).mean()
        self.log("train/kl", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        tokens = batch[0]
        posterior, predicted = self.predict(*batch)
        scores = {
            "val/kl": kl_divergence(posterior, predicted).sum(-1).mean(),
            "val/kl_of_prior": standard_normal_kl(posterior).mean(),
        }
        latents = {
            "surrogate": predicted.mean,
            "encoder": posterior.mean,
            "prior_mean": torch.zeros_like(posterior.mean),
        }
        musicvae = self._musicvae[0]
        for source, z in latents.items():
            losses = musicvae.part_losses(musicvae.teacher_force(z, tokens), tokens)
            for part, nats in zip(PARTS, losses.sum(1).mean(0), strict=True):
                scores[f"val/{source}_nats_{part}"] = nats
        self.log_dict(scores, batch_size=len(tokens))


def train_surrogate(
    data: str | Path,
    validation: str | Path | None,
    musicvae: str | Path,
    out: str | Path,
    options: TrainingOptions,
    *,
    rnn_size: tuple[int, ...] = (128,),
    work: str | Path | None = None,
    device: str = "auto",
    store: str = "float32",
) -> Path:
    """Train a surrogate of the trio in folder `musicvae` and write it to folder `out`.

    Args:
        data, validation: data sets of build-dataset, of different songs; without the second,
            the songs that `data` has set aside. Codes of `musicvae` that they hold are used where
            windows are not shifted.
        musicvae: checkpoint folder of a trio.
        out: folder for the result.
        options: how to train.
        rnn_size: LSTM units per direction of each layer.
        work, device, store: as for ``musicvae_torch.training.train_musicvae``.

    Returns:
        `out`.

    Raises:
        DatasetError, CheckpointError: a data set or the trio cannot be read.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    trio = MusicVAE.from_pretrained(musicvae)
    sides = read_sides(
        data,
        validation,
        shape=(trio.config.max_seq_len, len(PARTS)),
        codes_of=weights_sha256(musicvae),
    )
    windows = WindowsDataModule(*sides, options)
    config = SurrogateConfig(
        max_seq_len=trio.config.max_seq_len,
        input_depth=trio.config.output_depths[0],
        z_size=trio.config.z_size,
        rnn_size=rnn_size,
        level_lengths=trio.config.encoder_level_lengths,
    )
    lightning.seed_everything(options.seed, verbose=False)
    module = SurrogateTraining(trio, config, options)
    best = fit(module, windows, options, work or f"{out}.training", device, monitor="val/kl")
    scores = load_best(module, best)
    record = training_record(windows, options, scores) | {"musicvae": Path(musicvae).name}
    for name in ("max_beta", "free_bits"):  # of the MusicVAE's objective
        del record["options"][name]
    module.surrogate.save_pretrained(out, dtype=getattr(torch, store), records={"training": record})
    return Path(out)
