"""Training a MusicVAE of any config, with Lightning.

:func:`train_musicvae` does it all. In a Trainer of your own, :class:`MusicVAETraining` is the
module and :class:`WindowsDataModule` the data; :func:`fit` runs any such pair so that it can be
stopped and goes on exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicvae_torch.lazy import lazy_names

if TYPE_CHECKING:
    from musicvae_torch.io.hardware import Hardware
    from musicvae_torch.training.data import WindowsDataModule
    from musicvae_torch.training.fitting import fit
    from musicvae_torch.training.module import MusicVAETraining, ScheduledTraining
    from musicvae_torch.training.musicvae import load_best, train_musicvae, training_record
    from musicvae_torch.training.objective import elbo_loss, standard_normal_kl
    from musicvae_torch.training.optimizer import TensorFlowAdam
    from musicvae_torch.training.options import TrainingOptions
    from musicvae_torch.windows.tensors import ModelBatch, model_batch

__all__ = [
    "Hardware",
    "ModelBatch",
    "MusicVAETraining",
    "ScheduledTraining",
    "TensorFlowAdam",
    "TrainingOptions",
    "WindowsDataModule",
    "elbo_loss",
    "fit",
    "load_best",
    "model_batch",
    "standard_normal_kl",
    "train_musicvae",
    "training_record",
]
# The options, of which commands make their help, must not wait for Lightning.
__getattr__ = lazy_names(
    __name__,
    {
        "musicvae_torch.io.hardware": "Hardware",
        "musicvae_torch.training.data": "WindowsDataModule",
        "musicvae_torch.training.fitting": "fit",
        "musicvae_torch.training.module": "MusicVAETraining ScheduledTraining",
        "musicvae_torch.training.musicvae": "load_best train_musicvae training_record",
        "musicvae_torch.training.objective": "elbo_loss standard_normal_kl",
        "musicvae_torch.training.optimizer": "TensorFlowAdam",
        "musicvae_torch.training.options": "TrainingOptions",
        "musicvae_torch.windows.tensors": "ModelBatch model_batch",
    },
)
