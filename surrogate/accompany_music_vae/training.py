"""How accompany-music-vae trained its network, on a trio's posteriors or on stored ones."""

from __future__ import annotations

from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.nn import functional

from musicvae_torch.dataset import DatasetError, Windows, read_sides
from musicvae_torch.dataset.format import ANY_MODEL
from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import Hardware, TrainingOptions
from musicvae_torch.windows.tensors import ModelBatch
from surrogate.accompany_music_vae.network import PointSurrogate
from surrogate.encoder.model import SurrogateConfig
from surrogate.training.encoder.module import PosteriorTraining
from surrogate.training.encoder.train import run_training, trio_sides, with_epochs


class PointTraining(PosteriorTraining):
    """Training by the mean squared error on the posterior's mean.

    Its optimiser is Keras's RMSprop, which PyTorch has: rho .9, an epsilon of 1e-7 outside the
    square root, no momentum. Keras 2.2, with which the original was trained, clips by the norm of
    all gradients together (tf.keras clips each by its own), as all trainings here do.

    Args:
        musicvae: the trio, which is frozen; None: batches hold its posteriors, and the melody is
            the only part that they need.
        config: sizes of the surrogate.
        options: how to train; the original's are ORIGINAL_OPTIONS.
    """

    surrogate: PointSurrogate

    def __init__(
        self, musicvae: MusicVAE | None, config: SurrogateConfig, options: TrainingOptions
    ) -> None:
        super().__init__(musicvae, options)
        self.surrogate = PointSurrogate(config)
        self.monitors = ["val/latent_error"]
        if musicvae is not None:
            self.monitors.append("val/hidden_nats")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            self.parameters(), lr=self.options.learning_rate, alpha=0.9, eps=1e-7
        )

    def error_of(self, batch: ModelBatch) -> tuple[Tensor, Tensor, Tensor]:
        """The prediction and the posterior's mean, (batch, z_size), and the mean squared error."""
        mean = batch.posterior_mean
        if mean is None:
            mean = self.posterior_of(batch).mean
        predicted = self.surrogate(batch.targets[..., PARTS.index("melody")])
        return predicted, mean, functional.mse_loss(predicted, mean)

    def training_step(self, batch: ModelBatch, _: int) -> Tensor:
        error = self.error_of(batch)[-1]
        self.log("train/latent_error", error, prog_bar=True)
        return error

    def validation_step(self, batch: ModelBatch, index: int) -> None:
        tokens = batch.targets
        predicted, mean, error = self.error_of(batch)
        scores = {"val/latent_error": error, "val/latent_error_of_prior_mean": mean.square().mean()}
        if "val/hidden_nats" in self.monitors:
            scores |= self.surrogate_scores(predicted, tokens, self.surrogate.input_parts)
            scores |= self.constant_scores(index, tokens, mean)
        self.log_dict(scores, batch_size=len(tokens), sync_dist=True)


def train_point_surrogate(
    data: str | Path,
    validation: str | Path | None,
    musicvae: str | Path | None,
    out: str | Path,
    options: TrainingOptions,
    *,
    rnn_size: tuple[int, ...] = (128, 128),
    epochs: float | None = None,
    monitor: str = "val/latent_error",
    work: str | Path | None = None,
    device: str | Hardware = "auto",
    store: str = "float32",
) -> Path:
    """Train a PointSurrogate; write it to folder `out`, and return that.

    Args:
        data, validation: as for :func:`surrogate.training.encoder.train.train_surrogate`; or,
            without `musicvae`, data sets with the posteriors of any trio (such as import-dataset
            makes of that project's files), of which the melody and the mean are needed.
        musicvae: checkpoint folder of a trio; None: stored posteriors stand in for it.
        options: how to train. The original trained with ``TrainingOptions(**ORIGINAL_OPTIONS)``
            for ORIGINAL_EPOCHS, but showed each window once an epoch.
        out, rnn_size, epochs, monitor, work, device, store: as for
            :func:`surrogate.training.encoder.train.train_surrogate`.

    Raises:
        DatasetError, CheckpointError: a data set or the trio cannot be read, or there is neither
            a trio nor posteriors.
        ConfigError, OptionError: a size or an option is out of range.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    if musicvae is None:
        trio, sides = None, _coded_sides(data, validation, options)
        assert sides[0].posterior_mean is not None
        steps, z_size = sides[0].tokens.shape[1], sides[0].posterior_mean.shape[1]
    else:
        trio = MusicVAE.from_pretrained(musicvae)
        sides = trio_sides(data, validation, trio, musicvae)
        steps, z_size = trio.config.max_seq_len, trio.config.z_size
    options = with_epochs(options, epochs, sides[0])
    lightning.seed_everything(options.seed, verbose=False)
    config = SurrogateConfig(max_seq_len=steps, z_size=z_size, rnn_size=rnn_size)
    module = PointTraining(trio, config, options)
    extra = {} if musicvae is None else {"musicvae": Path(musicvae).name}
    return run_training(module, sides, options, out, extra, monitor, work, device, store)


def _coded_sides(
    data: str | Path, validation: str | Path | None, options: TrainingOptions
) -> tuple[Windows, Windows]:
    """Windows with the posteriors that are stored beside them."""
    if options.max_transpose:
        raise OptionError("stored posteriors do not fit transposed windows; use --transpose 0")
    sides = read_sides(data, validation, posteriors_of=ANY_MODEL)
    sizes = []
    for path, windows in zip((data, validation or data), sides, strict=True):
        mean = windows.posterior_mean
        if mean is None:
            raise DatasetError(f"{path}: holds no posteriors; name the trio with --musicvae")
        if windows.tokens.shape[2] not in (1, len(PARTS)):
            shape = windows.tokens.shape
            raise DatasetError(f"{path}: tokens have shape {shape}, wanted melodies or trios")
        sizes.append((*windows.tokens.shape[1:], mean.shape[1]))
    wanted, found = sizes
    if found != wanted:
        raise DatasetError(f"{validation}: has steps, parts and latents {found}, wanted {wanted}")
    return sides
