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

A strength of 1 is one standard deviation of the attribute. The command prints the R² of each
attribute, the share of its variance that can be predicted from the latent: if it is near 0, the
vector is useless.
"""

METHODS = ("probes", "regression", "difference")
_MEASURE = "effects: With --measure, latents are moved along each vector and decoded."


@dataclass(kw_only=True)
class LearnAttributes:
    """Learn attribute vectors: the directions of a MusicVAE's latent space along which density,
    register, interval, syncopation and swing change. They are stored beside the model's weights.

    Attributes:
        data: a data set from build-dataset; or a folder of MIDI files.
        musicvae: folder of the model.
        out: folder in which to write attributes.safetensors, or a .safetensors file; None: the
            model's folder.
        method: how the directions are found: probes; regression; or difference, the MusicVAE
            paper's, which also moves the attributes that are to stay constant.
        max_windows: number of windows to learn from, drawn so that large top-level folders do not
            dominate.
        measure: songs to measure on, in the form of DATA; of a data set, those that are reserved
            for validation, if any.
        measure_windows: number of windows to measure on.
        temperature: temperature at which the moved latents are decoded.
        plot: also draw the table of changes as a picture.
        seed: seed of all random draws.
        device: auto (a GPU if there is one), cpu or cuda.
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
        "applies to --measure; name songs with it, or leave it out",
    ),
    Idle(
        "--plot",
        lambda own: own.measure is None,
        "draws the results of --measure; name songs with it, or leave it out",
    ),
)
main = Command("learn-attributes", LearnAttributes, learn, EXAMPLES, _IDLE)
