"""Data sets: a folder of MIDI files → an HDF5 file of windows, and windows → batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicvae_torch.lazy import lazy_names

if TYPE_CHECKING:
    from musicvae_torch.dataset.augment import transpose
    from musicvae_torch.dataset.batches import draw_batches, shifted_tokens
    from musicvae_torch.dataset.format import Windows, read_dataset, read_sides
    from musicvae_torch.errors import DatasetError

__all__ = [
    "DatasetError",
    "Windows",
    "draw_batches",
    "read_dataset",
    "read_sides",
    "shifted_tokens",
    "transpose",
]
# The options, of which commands make their help, must not wait for HDF5.
__getattr__ = lazy_names(
    __name__,
    {
        "musicvae_torch.dataset.augment": "transpose",
        "musicvae_torch.dataset.batches": "draw_batches shifted_tokens",
        "musicvae_torch.dataset.format": "Windows read_dataset read_sides",
        "musicvae_torch.errors": "DatasetError",
    },
)
