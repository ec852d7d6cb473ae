"""Checks of what callers give a MusicVAE, and its conversion into what the layers read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.errors import OptionError
from musicvae_torch.model.terms import OneHot, Term


@dataclass(frozen=True)
class Inputs:
    """Checks and conversions. All raise ValueError, which names the shape found and the one wanted,
    or OptionError for a length or values that a user may have chosen.

    Attributes:
        config: of the model.
        like: a tensor of the model's floats on its device.
    """

    config: MusicVAEConfig
    like: Tensor

    def latents(self, z: Tensor) -> Tensor:
        """z (batch, z_size) as the model's floats."""
        if z.dim() != 2 or z.shape[1] != self.config.z_size:
            raise ValueError(f"z has shape {tuple(z.shape)}, wanted (batch, {self.config.z_size})")
        if not bool(torch.isfinite(z).all()):
            raise OptionError("z holds values that are not finite")
        return z.to(self.like)

    def windows(self, name: str, rows: Tensor, depth: int) -> list[Term]:
        """Rows (batch, steps, depth), or classes (batch, steps, parts): a term for each part."""
        config = self.config
        one_hot = config.output == "categorical" and depth == config.output_depth
        depths = config.output_depths if one_hot else (depth,)
        width = rows.shape[-1] if rows.dim() == 3 else None
        if width == depth:
            return list(torch.split(rows.to(self.like), list(depths), dim=-1))
        if one_hot and width == len(depths) and rows.dtype == torch.int64:
            # Class -1 is a row of zeros.
            if bool(((rows < -1) | (rows >= rows.new_tensor(depths))).any()):
                raise ValueError(f"{name} hold classes beyond the depths {depths}")
            rows = rows.to(self.like.device)
            return [OneHot(rows[..., i], size) for i, size in enumerate(depths)]
        classes = f" or int64 classes (batch, steps, {len(depths)})" if one_hot else ""
        raise ValueError(
            f"{name} have shape {tuple(rows.shape)}, wanted (batch, steps, {depth}){classes}"
        )

    def controls(self, controls: Tensor | None, batch: int, steps: int) -> Tensor:
        """Controls as (batch, steps, control_depth)."""
        depth = self.config.control_depth
        if controls is None:
            if depth:
                raise ValueError(
                    f"config {self.config.name!r} is conditioned: pass controls "
                    f"of shape ({steps}, {depth}) or ({batch}, {steps}, {depth})"
                )
            return self.like.new_zeros(batch, steps, 0)
        if controls.dim() == 2:
            controls = controls.expand(batch, *controls.shape)
        shape = tuple(controls.shape)
        if len(shape) != 3 or shape[0] != batch or shape[1] < steps or shape[2] != depth:
            raise ValueError(f"controls have shape {shape}, wanted ({batch}, {steps}, {depth})")
        return controls[:, :steps].to(self.like)

    def forcing(
        self, z: Tensor, targets: Tensor, controls: Tensor | None
    ) -> tuple[Tensor, list[Term], Tensor]:
        """Latents, targets and controls of the same windows."""
        z, config = self.latents(z), self.config
        terms = self.windows("targets", targets, config.output_depth)
        batch, steps = targets.shape[:2]
        wanted = config.max_seq_len if config.is_hierarchical_decoder else max(steps, 1)
        if (batch, steps) != (z.shape[0], wanted):
            raise ValueError(
                f"targets have (batch, steps) {(batch, steps)}, wanted {(z.shape[0], wanted)}"
            )
        return z, terms, self.controls(controls, batch, steps)

    def length(self, length: int | None) -> int:
        """Steps to decode; None: of a whole window."""
        longest, hierarchical = self.config.max_seq_len, self.config.is_hierarchical_decoder
        length = longest if length is None else length
        if length < 1 or (hierarchical and length > longest):
            raise OptionError(
                f"length {length} is out of range: this model decodes "
                f"{f'1 to {longest}' if hierarchical else '1 or more'} steps"
            )
        return length

    def parts(self, parts: Sequence[int]) -> None:
        """Indices of parts."""
        count = len(self.config.output_depths)
        if not parts or not set(parts) <= set(range(count)):
            raise ValueError(f"parts must be some of {list(range(count))}, not {list(parts)}")

    def hits(self, hits: Tensor, batch: int) -> Tensor:
        """Drum hits (batch, steps, drums) of a groove."""
        if self.config.output != "groove":
            raise ValueError(f"config {self.config.name!r} plays no grooves")
        drums = self.config.output_depth // 3
        if hits.dim() != 3 or hits.shape[0] != batch or hits.shape[-1] != drums:
            raise ValueError(
                f"hits have shape {tuple(hits.shape)}, wanted ({batch}, steps, {drums})"
            )
        return hits.to(self.like)

    def segments(self, embeddings: Tensor, steps: Tensor) -> Tensor:
        """Embeddings (batch, segments, embedding_size) of segments whose steps are (batch, steps,
        parts)."""
        if self.config.output != "categorical" or self.config.control_depth:
            raise ValueError(
                f"config {self.config.name!r} has no segments to sample: that wants a model of "
                "categorical parts without controls"
            )
        batch, segments = embeddings.shape[:2]
        count, length = len(self.config.output_depths), steps.shape[1]
        if steps.shape != (batch, length, count) or not segments or not length or length % segments:
            raise ValueError(
                f"steps of shape {tuple(steps.shape)} do not go with embeddings of shape "
                f"{tuple(embeddings.shape)} and {count} parts"
            )
        return embeddings.to(self.like)

    def temperatures(self, temperatures: Sequence[float]) -> None:
        """One temperature for each part."""
        count = len(self.config.output_depths)
        if len(temperatures) != count or not all(each >= 0 for each in temperatures):
            raise ValueError(f"temperatures must be {count} numbers from 0, not {temperatures}")


def encoder_lengths(
    lengths: Tensor, batch: int, steps: int, level_lengths: Sequence[int]
) -> Tensor | None:
    """Lengths of an encoder's lowest segments, (batch * segments,); None, if all are full.

    Args:
        lengths: (batch,) of windows of so many steps; of a hierarchical encoder 0 or `steps` each,
            or (batch, segments).
        level_lengths: of the encoder; empty if it is flat.
    """
    segment_steps = level_lengths[0] if level_lengths else steps
    segments = steps // segment_steps if level_lengths else 1
    check_lengths(lengths, batch, segments if level_lengths else None, segment_steps, steps)
    if level_lengths and lengths.dim() == 1:
        if not bool(torch.isin(lengths, torch.tensor([0, steps], device=lengths.device)).all()):
            raise ValueError(
                f"a hierarchical encoder takes windows of length 0 or {steps}, or one length "
                f"per segment; got lengths {lengths.tolist()}"
            )
        lengths = (lengths // segments).unsqueeze(1).expand(batch, segments)
    return None if bool((lengths == segment_steps).all()) else lengths.reshape(-1)


def check_lengths(
    lengths: Tensor, batch: int, segments: int | None, segment_steps: int, steps: int
) -> None:
    """Check that lengths are (batch,) from 0 to `steps`, or, if there are segments, (batch,
    segments) from 0 to `segment_steps`; raises ValueError if they are not."""
    shapes = [(batch,)] if segments is None else [(batch,), (batch, segments)]
    if tuple(lengths.shape) not in shapes:
        wanted = " or ".join(str(shape) for shape in shapes)
        raise ValueError(f"lengths have shape {tuple(lengths.shape)}, wanted {wanted}")
    most = steps if lengths.dim() == 1 else segment_steps
    if not bool(((lengths >= 0) & (lengths <= most)).all()):
        raise ValueError(f"lengths must lie between 0 and {most}, got {lengths.tolist()}")
