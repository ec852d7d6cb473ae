"""Attribute vectors, moved along, and kept in a file beside their model's weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from musicvae_torch.errors import CheckpointError, OptionError
from musicvae_torch.io.checkpoint import weights_sha256
from musicvae_torch.io.checkpoint_files import ATTRIBUTES_FILE, WEIGHTS_FILE
from musicvae_torch.io.files import replacing
from musicvae_torch.io.hub import local_folder
from musicvae_torch.io.markdown import markdown_table

FORMAT_VERSION = 1
_KIND = "attribute-vectors"
_TENSORS = ("directions", "means", "stddevs", "r2")
_STORED_NAMES = {"r2": "told"}  # names in the file that differ


@dataclass(frozen=True, eq=False)
class AttributeVectors:
    """A direction of the latent for each of some attributes.

    A step of 1 along a direction is one standard deviation of its attribute over the music from
    which the vectors were learnt.

    Attributes:
        names: of the attributes; see ``musicvae_torch.analysis.attributes.ATTRIBUTES``.
        directions: (attributes, z_size) float32.
        means, stddevs: (attributes,) float32, of the attributes over that music, in their units.
        r2: (attributes,) float32, share of each attribute's variance that can be read from the
            latent linearly; near 0, the direction has next to no effect.
        units: of the attributes.
        record: JSON data on where the vectors come from: ``method``, ``data``, ``windows``,
            ``songs``; ``musicvae``, the name of the model, and ``sha256``, of its weights.
    """

    names: tuple[str, ...]
    directions: Tensor
    means: Tensor
    stddevs: Tensor
    r2: Tensor
    units: tuple[str, ...]
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.names)
        shapes = {name: tuple(getattr(self, name).shape) for name in _TENSORS}
        one_each = all(shapes[name] == (count,) for name in _TENSORS[1:])
        right = self.directions.dim() == 2 and len(self.directions) == count and one_each
        if not right or len(self.units) != count:
            raise ValueError(f"{count} names and {len(self.units)} units for tensors of {shapes}")

    def __str__(self) -> str:
        """A Markdown table of the vectors."""
        columns = (self.means, self.stddevs, self.r2, self.directions.norm(dim=1))
        numbers = torch.stack(columns, 1).tolist()
        rows = [
            [name, unit, *(f"{number:.2f}" for number in own)]
            for name, unit, own in zip(self.names, self.units, numbers, strict=True)
        ]
        return markdown_table(["attribute", "unit", "mean", "sd", "R²", "length"], rows)

    @property
    def z_size(self) -> int:
        return self.directions.shape[1]

    def move(self, z: Tensor, strengths: Mapping[str, float]) -> Tensor:
        """Latents moved along directions.

        Args:
            z: (..., z_size), on any device.
            strengths: by attribute, how far, in standard deviations; -2 to 2 is sensible. Several
                add up.

        Returns:
            (..., z_size), new.

        Raises:
            ValueError: there is no vector for an attribute, a strength is not finite, or z is of
                another size.
        """
        if z.shape[-1:] != (self.z_size,):
            raise ValueError(f"z has shape {tuple(z.shape)}, wanted (..., {self.z_size})")
        moved = z.clone()
        for name, strength in strengths.items():
            if not math.isfinite(strength):
                raise OptionError(f"the strength of {name} must be a finite number, not {strength}")
            moved += strength * self.direction(name).to(z)
        return moved

    def direction(self, name: str) -> Tensor:
        """(z_size,) of an attribute; raises OptionError if there is none."""
        if name not in self.names:
            raise OptionError(
                f"there is no attribute vector for {name!r}; choose among: {', '.join(self.names)}"
            )
        return self.directions[self.names.index(name)]

    def save(self, home: str | Path) -> Path:
        """Write the vectors to a file, whole or not at all, and return its path.

        Args:
            home: a folder, such as the checkpoint's, in which to write ATTRIBUTES_FILE; or a path
                that ends in .safetensors.
        """
        path = _file_in(Path(home))
        about = {"names": self.names, "units": self.units, "record": self.record}
        metadata = {
            "kind": _KIND,
            "format_version": str(FORMAT_VERSION),
            "attributes": json.dumps(about),
        }
        # Clones, as tensors that share memory cannot be written.
        tensors = {
            _STORED_NAMES.get(name, name): getattr(self, name).detach().cpu().clone().contiguous()
            for name in _TENSORS
        }
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)
        return path

    @classmethod
    def load(cls, home: str | Path, musicvae: str | Path | None = None) -> AttributeVectors:
        """Read vectors, and make sure that they belong to a model.

        Args:
            home: a checkpoint folder with ATTRIBUTES_FILE in it, or such a file; or "user/name" on
                huggingface.co, if there is no such folder.
            musicvae: the checkpoint folder of the model; None: the one that the file is in.

        Raises:
            CheckpointError: there is no such file, it is damaged, or it is of other weights.
        """
        path = _file_in(local_folder(home))
        folder = path.parent if musicvae is None else local_folder(musicvae)
        if not path.is_file():
            raise CheckpointError(
                f"{path}: no attribute vectors here; learn them with: "
                f"learn-attributes DATA --musicvae {folder}"
            )
        vectors = cls(**_read(path))
        try:
            found = weights_sha256(folder)
        except OSError:
            raise CheckpointError(
                f"{folder / WEIGHTS_FILE}: not readable, so that nothing says whether {path} "
                "belongs to it; name the checkpoint folder of these vectors"
            ) from None
        if found != vectors.record.get("sha256"):
            raise CheckpointError(
                f"{path}: these attribute vectors belong to other weights than {folder}; learn its "
                f"own with: learn-attributes DATA --musicvae {folder}"
            )
        return vectors


def _file_in(home: Path) -> Path:
    return home if home.suffix == ".safetensors" else home / ATTRIBUTES_FILE


def _read(path: Path) -> dict[str, Any]:
    """The fields of stored vectors; for errors see :meth:`AttributeVectors.load`."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: not readable as safetensors: {reason}") from None
    if metadata.get("kind") != _KIND:
        raise CheckpointError(f"{path}: holds no attribute vectors")
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: format_version is {metadata.get('format_version')}, this library reads "
            f"{FORMAT_VERSION}"
        )
    try:
        about = json.loads(metadata["attributes"])
        fields = {name: tensors[_STORED_NAMES.get(name, name)] for name in _TENSORS}
        fields |= {name: tuple(about[name]) for name in ("names", "units")}
        fields["record"] = dict(about["record"])
        AttributeVectors(**fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {' '.join(str(error).split())}") from None
    return fields
