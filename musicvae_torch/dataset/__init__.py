"""Data sets: a folder of MIDI files → an HDF5 file of windows, and windows → batches."""

from musicvae_torch.dataset.augment import transpose
from musicvae_torch.dataset.batches import draw_batches, shifted_tokens
from musicvae_torch.dataset.format import DatasetError, Windows, read_dataset, read_sides

__all__ = [
    "DatasetError",
    "Windows",
    "draw_batches",
    "read_dataset",
    "read_sides",
    "shifted_tokens",
    "transpose",
]
