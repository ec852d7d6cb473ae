"""Data sets: a folder of MIDI files → an HDF5 file of windows, and windows → batches."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musicvae_torch.dataset.augment import transpose
    from musicvae_torch.dataset.batches import draw_batches, shifted_tokens
    from musicvae_torch.dataset.format import Windows, read_dataset, read_sides
    from musicvae_torch.errors import DatasetError

_HOMES = {
    "DatasetError": "musicvae_torch.errors",
    "Windows": "musicvae_torch.dataset.format",
    "draw_batches": "musicvae_torch.dataset.batches",
    "read_dataset": "musicvae_torch.dataset.format",
    "read_sides": "musicvae_torch.dataset.format",
    "shifted_tokens": "musicvae_torch.dataset.batches",
    "transpose": "musicvae_torch.dataset.augment",
}
__all__ = [
    "DatasetError",
    "Windows",
    "draw_batches",
    "read_dataset",
    "read_sides",
    "shifted_tokens",
    "transpose",
]


def __getattr__(name: str) -> Any:
    # Lightning and HDF5 take long to import; options, of which help is made, must not wait for it.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
