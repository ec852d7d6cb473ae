"""Training a MusicVAE of any config, with Lightning.

:func:`train_musicvae` does it all. In a Trainer of your own, :class:`MusicVAETraining` is the
module and :class:`WindowsDataModule` the data; :func:`fit` runs any such pair so that it can be
stopped and goes on exactly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "Hardware": "musicvae_torch.io.hardware",
    "ModelBatch": "musicvae_torch.windows.tensors",
    "MusicVAETraining": "musicvae_torch.training.module",
    "ScheduledTraining": "musicvae_torch.training.module",
    "TensorFlowAdam": "musicvae_torch.training.optimizer",
    "TrainingOptions": "musicvae_torch.training.options",
    "WindowsDataModule": "musicvae_torch.training.data",
    "elbo_loss": "musicvae_torch.training.objective",
    "fit": "musicvae_torch.training.fitting",
    "load_best": "musicvae_torch.training.musicvae",
    "model_batch": "musicvae_torch.windows.tensors",
    "standard_normal_kl": "musicvae_torch.training.objective",
    "train_musicvae": "musicvae_torch.training.musicvae",
    "training_record": "musicvae_torch.training.musicvae",
}
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


def __getattr__(name: str) -> Any:
    # Lightning and HDF5 take long to import; options, of which help is made, must not wait for it.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
