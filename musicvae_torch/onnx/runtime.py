"""An exported MusicVAE or surrogate in ONNX Runtime: NumPy in, NumPy out, no PyTorch.

    model = OnnxMusicVAE("my_model_onnx")
    mean, stddev = model.encode(rows)
    rows = model.decode(mean, temperature=0.5, rng=np.random.default_rng(0))

This file imports nothing else of this package: it may be copied to where the package is not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

FORMAT_VERSION = 1


class OnnxFolder:
    """Base of all exported networks.

    Args:
        folder: as written by ``export-onnx``.
        providers: of ONNX Runtime, such as "CUDAExecutionProvider"; None: the CPU's.
        options: of ONNX Runtime's sessions, such as the number of threads; None: its own.

    Attributes:
        manifest: what manifest.json holds.
        config: the network's sizes, as in the config.json that it was exported from.

    Raises:
        ValueError: the folder holds no export, or one of another kind.
        OSError: a file cannot be read.
    """

    kinds: tuple[str, ...]

    def __init__(
        self,
        folder: str | Path,
        providers: Sequence[str] | None = None,
        options: onnxruntime.SessionOptions | None = None,
    ) -> None:
        path = Path(folder) / "manifest.json"
        if not path.is_file():
            raise ValueError(f"{folder}: no export here; wanted a folder made by export-onnx")
        try:
            self.manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            version, kind = self.manifest["format_version"], self.manifest["kind"]
            if version != FORMAT_VERSION:
                raise ValueError(f"format_version is {version!r}, this reads {FORMAT_VERSION}")
            if kind not in self.kinds:
                raise ValueError(f"holds a {kind!r}, wanted one of: {', '.join(self.kinds)}")
            self.config: dict[str, Any] = self.manifest["config"]
            files = {name: graph["file"] for name, graph in self.manifest["graphs"].items()}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path}: not the manifest of an export: {error}") from None
        chosen = list(providers or ["CPUExecutionProvider"])
        self._sessions = {
            name: onnxruntime.InferenceSession(Path(folder) / file, options, providers=chosen)
            for name, file in files.items()
        }

    def _run(self, graph: str, **inputs: np.ndarray) -> list[np.ndarray]:
        outputs: list[np.ndarray] = self._sessions[graph].run(None, inputs)
        return outputs


class OnnxMusicVAE(OnnxFolder):
    """A MusicVAE, with the arguments and results of ``musicvae_torch.MusicVAE``, in NumPy."""

    kinds = ("musicvae",)

    def encode(
        self,
        rows: np.ndarray,
        lengths: np.ndarray | None = None,
        controls: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The posterior over the latent.

        Args:
            rows: (batch, steps, input_depth); a hierarchical encoder wants max_seq_len steps.
            lengths: (batch,) steps that count, or (batch, segments) for a hierarchical encoder;
                None: all.
            controls: (steps, control_depth) for all, or (batch, steps, control_depth).

        Returns:
            Its mean and standard deviation, (batch, z_size) each, float32.

        Raises:
            ValueError: a shape or a length does not fit.
        """
        rows = np.asarray(rows, np.float32)
        depth, fixed = self.config["input_depth"], self.config["encoder_level_lengths"]
        steps = self.config["max_seq_len"] if fixed else None
        if rows.ndim != 3 or rows.shape[2] != depth or (steps and rows.shape[1] != steps):
            raise ValueError(
                f"rows have shape {rows.shape}, wanted (batch, {steps or 'steps'}, {depth})"
            )
        batch, steps, _ = rows.shape
        segment_steps = fixed[0] if fixed else steps
        shape = (batch, steps // segment_steps) if fixed else (batch,)
        lengths = np.full(shape, segment_steps) if lengths is None else np.asarray(lengths)
        if lengths.shape != shape or lengths.min() < 0 or lengths.max() > segment_steps:
            raise ValueError(f"lengths must be 0 to {segment_steps}, of shape {shape}: {lengths}")
        inputs = {"rows": rows, "lengths": lengths.astype(np.int64)}
        if self.config["control_depth"]:
            inputs["controls"] = self._controls(controls, batch, steps)
        mean, stddev = self._run("encoder", **inputs)
        return mean, stddev

    def decode(
        self,
        z: np.ndarray,
        length: int | None = None,
        temperature: float | Sequence[float] = 1.0,
        controls: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Sample windows from latents.

        Args:
            z: (batch, z_size).
            length: how many steps of the window; None: max_seq_len. A flat decoder can make any
                number.
            temperature: of all parts, or one for each; 0 takes the likeliest.
            controls: as for :meth:`encode`.
            rng: source of randomness; None: a new one.

        Returns:
            (batch, length, output_depth) float32: one-hot in each categorical part.

        Raises:
            ValueError: an argument is out of range, or a shape does not fit.
        """
        z = np.asarray(z, np.float32)
        size, longest = self.config["z_size"], self.config["max_seq_len"]
        if z.ndim != 2 or z.shape[1] != size:
            raise ValueError(f"z has shape {z.shape}, wanted (batch, {size})")
        plan = self.manifest["decoding"]
        length = longest if length is None else length
        segment_steps = plan["segment_steps"] or length
        if length < 1 or length > plan["segments"] * segment_steps:
            raise ValueError(f"length must be at least 1, and of this model at most {longest}")
        parts = len(self.config["output_depths"])
        temperatures = np.broadcast_to(np.asarray(temperature, np.float32), parts)
        if not (temperatures >= 0).all():
            raise ValueError(f"temperature must be 0 or more, not {temperature}")
        conditioned = bool(self.config["control_depth"])
        conditions = self._controls(controls, len(z), length) if conditioned else None
        rng = rng or np.random.default_rng()
        embeddings, states = self._run("decoder_start", z=z)
        row = np.zeros((len(z), sum(self.config["output_depths"])), np.float32)
        rows = []
        for step in range(length):
            segment = step // segment_steps
            if step % segment_steps == 0:
                state = states[:, segment]
            control = {} if conditions is None else {"control": conditions[:, step]}
            logits, state = self._run(
                "decoder_step",
                previous=row,
                embedding=embeddings[:, segment],
                state=state,
                **control,
            )
            uniforms = rng.random((len(z), plan["draws"]), np.float32)
            inputs = {"logits": logits, "temperatures": temperatures, "places": uniforms}
            (row,) = self._run("decoder_sample", **inputs)
            rows.append(row)
        return np.stack(rows, axis=1)

    def sample(
        self,
        n: int,
        length: int | None = None,
        temperature: float | Sequence[float] = 1.0,
        controls: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Decode `n` latents drawn from the prior; for the other arguments see :meth:`decode`."""
        rng = rng or np.random.default_rng()
        z = rng.standard_normal((n, self.config["z_size"]), np.float32)
        return self.decode(z, length, temperature, controls, rng)

    def classes(self, rows: np.ndarray) -> np.ndarray:
        """One-hot rows (..., output_depth) → the class of each part, (..., parts) int64."""
        ends = np.cumsum(self.config["output_depths"])[:-1]
        return np.stack([part.argmax(-1) for part in np.split(rows, ends, axis=-1)], axis=-1)

    def _controls(self, controls: np.ndarray | None, batch: int, steps: int) -> np.ndarray:
        depth = self.config["control_depth"]
        shape = None if controls is None else np.shape(controls)
        if controls is None or shape not in ((steps, depth), (batch, steps, depth)):
            raise ValueError(
                f"controls have shape {shape}, wanted ({steps}, {depth}) or "
                f"({batch}, {steps}, {depth})"
            )
        return np.broadcast_to(np.asarray(controls, np.float32), (batch, steps, depth))


class OnnxSurrogate(OnnxFolder):
    """A surrogate encoder of either kind."""

    kinds = ("surrogate", "point-surrogate")

    def posterior(
        self, tokens: np.ndarray, given: Sequence[str] = ("melody",)
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The predicted posterior of a trio.

        Args:
            tokens: (batch, max_seq_len, parts) classes, -1 for a row of zeros. Parts that are not
                given may hold anything.
            given: the parts that it is given.

        Returns:
            Its mean and standard deviation, (batch, z_size) each, float32; of a surrogate that
            predicts a point, no standard deviation.

        Raises:
            ValueError: a shape, a class or a part does not fit.
        """
        tokens = np.asarray(tokens, np.int64)
        parts, input_parts = self.manifest["parts"], self.config["hears"]
        shape = (self.config["max_seq_len"], len(parts))
        if tokens.shape[1:] != shape:
            raise ValueError(f"tokens have shape {tokens.shape}, wanted (batch, {shape})")
        if isinstance(given, str) or not given or not set(given) <= set(input_parts):
            raise ValueError(f"given is {given!r}; one or more of: {', '.join(input_parts)}")
        depths = self.manifest["depths"]
        for index, part in enumerate(parts):
            own = tokens[..., index]
            if part in given and ((own < -1) | (own >= depths[part])).any():
                raise ValueError(f"{part} tokens must lie between -1 and {depths[part] - 1}")
        inputs = {"tokens": tokens}
        if len(input_parts) > 1:
            mask = np.array([part in given for part in parts])
            inputs["given"] = np.broadcast_to(mask, (len(tokens), len(parts)))
        mean, *stddev = self._run("surrogate", **inputs)
        return mean, stddev[0] if stddev else None
