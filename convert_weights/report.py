"""What is told and recorded of every conversion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert_weights.formats.file_range import FileRange
from convert_weights.sources.releases import NOTICE, Release
from musicvae_torch import __version__
from musicvae_torch.io.checkpoint import FORMAT_VERSION


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        folder: where the network is.
        name: of its config, or of its kind.
        config: with the sizes that the checkpoint has.
        parameters: numbers in the network.
        converted, skipped: arrays of the checkpoint.
        notes: what its user should know.
        owner: whose weights they are and under which licence, as far as is known.
    """

    folder: Path
    name: str
    config: Any
    parameters: int
    converted: int
    skipped: int
    notes: list[str]
    owner: str


def owner_of(release: Release | None) -> str:
    """Whose weights a checkpoint has, and under which licence; None: no release is known of it."""
    if release is None:
        return f"of whoever trained them, under their licence; what Magenta released is {NOTICE}"
    return f"Magenta's {release.name}, {NOTICE}"


def provenance(name: str, kind: str, owner: str, files: Iterable[FileRange]) -> dict[str, Any]:
    """The record of a conversion, for config.json.

    Args:
        name: of the checkpoint.
        kind: its format.
        owner: see :func:`owner_of`.
        files: those that hold it; all are read.
    """
    return {
        "converter": f"convert_weights {__version__}",
        "format_version": FORMAT_VERSION,
        "source": name,
        "source_format": kind,
        "weights": owner,
        "sha256": {file.name: file.sha256() for file in files},
    }
