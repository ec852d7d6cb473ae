"""Data sets: a folder of MIDI files → an HDF5 file of windows, and windows → batches."""

from musicvae_torch.dataset.augment import transpose
from musicvae_torch.dataset.batches import coded_batches, training_batches
from musicvae_torch.dataset.format import Windows, read_dataset, read_sides
from musicvae_torch.errors import DatasetError

__all__ = [
    "DatasetError",
    "Windows",
    "coded_batches",
    "read_dataset",
    "read_sides",
    "training_batches",
    "transpose",
]
