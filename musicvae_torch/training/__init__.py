"""Training a MusicVAE of any config, with Lightning.

:func:`train_musicvae` does it all. In a Trainer of your own, :class:`MusicVAETraining` is the
module and :class:`WindowsDataModule` the data; :func:`fit` runs any such pair so that it can be
stopped and goes on exactly.
"""

from musicvae_torch.io.devices import Hardware
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
