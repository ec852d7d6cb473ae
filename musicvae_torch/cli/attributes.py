"""The command `learn-attributes`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.options import option

EXAMPLES = """examples:
  learn-attributes data.h5 --musicvae my_trio
  learn-attributes data.h5 --musicvae my_trio --measure validation.h5 --plot matrix.png
  learn-attributes midi --musicvae my_melodies -o melodies.safetensors

A strength of 1 is one standard deviation of the attribute. R² is the share of an attribute's
variance that can be read from the latent: near 0, its vector is of no use.
"""

METHODS = ("probes", "regression", "difference")
_MEASURE = "what they do: Measured by decoding moved latents."


@dataclass(kw_only=True)
class LearnAttributes:
    """Learn of music in which direction of a MusicVAE's latent space note density, register,
    intervals, syncopation and swing lie, and keep these attribute vectors beside its weights.

    Attributes:
        data: a data set of build-dataset; or a folder of MIDI files.
        musicvae: checkpoint of the model.
        out: folder where to write attributes.safetensors; or a file of that suffix; None: the
            checkpoint's folder.
        method: how directions are found: difference is the MusicVAE paper's, which moves more of
            the other attributes along.
        max_windows: windows to learn of, drawn so that large top-level folders do not outweigh
            others.
        measure: songs to measure on, as DATA above: those set aside to validate on, if any.
        measure_windows: windows to measure on.
        temperature: of decoding.
        plot: a picture of the table.
        seed: seed of all that is drawn.
        device: auto, cpu or cuda.
    """

    data: Path = option(positional=True, metavar="DATA")
    musicvae: Path = option(metavar="FOLDER")
    out: Path | None = option(None, short="o", metavar="FOLDER")
    method: str = option("probes", choices=METHODS)
    max_windows: int = option(10_000, least=1, metavar="N")
    measure: Path | None = option(None, group=_MEASURE, metavar="DATA")
    measure_windows: int = option(100, least=1, group=_MEASURE, metavar="N")
    temperature: float = option(0.5, least=0, group=_MEASURE, metavar="T")
    plot: Path | None = option(None, group=_MEASURE, metavar="FILE.png")
    seed: int = option(0, least=0, metavar="N")
    device: str = option("auto")


def learn(options: LearnAttributes) -> None:
    if options.plot:
        import matplotlib  # noqa: F401  # it had better be missing now than after minutes

    from musicvae_torch.attribute_vectors.learning import learn_attributes, measure_attributes
    from musicvae_torch.attribute_vectors.picture import draw_matrix

    shared: dict[str, Any] = {"seed": options.seed, "device": options.device, "progress": True}
    vectors = learn_attributes(
        options.data,
        options.musicvae,
        method=options.method,
        max_windows=options.max_windows,
        **shared,
    )
    path = vectors.save(options.out or options.musicvae)
    record = vectors.record
    print(f"{path}: learnt of {record['windows']} windows of {record['songs']} songs")
    print(f"\n{vectors}")
    if record["left_out"]:
        print(f"\nleft out, as they do not differ here: {', '.join(record['left_out'])}")
    if options.measure is None:
        return
    effects = measure_attributes(
        options.measure,
        options.musicvae,
        vectors,
        max_windows=options.measure_windows,
        temperature=options.temperature,
        **shared,
    )
    print(
        f"\nWhat comes out, by strength ({effects.windows} windows of {options.measure}, "
        f"temperature {effects.temperature:g}):\n\n{effects}"
    )
    if options.plot:
        draw_matrix(effects, options.plot)
        print(f"\n{options.plot}: the table as a picture")


_IDLE = (
    Idle(
        "--measure-windows --temperature",
        lambda own: own.measure is None,
        "applies to what --measure decodes; name songs with that, or leave it out",
    ),
    Idle(
        "--plot",
        lambda own: own.measure is None,
        "draws what --measure finds; name songs with that, or leave it out",
    ),
)
main = Command("learn-attributes", LearnAttributes, learn, EXAMPLES, _IDLE)
