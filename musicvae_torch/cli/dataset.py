"""The commands `build-dataset` and `encode-dataset`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.config import get_config
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.options import option, options_of

if TYPE_CHECKING:
    from musicvae_torch.dataset.held_out import HeldOutSplit


@dataclass(kw_only=True)
class BuildDataset:
    """Make a data set of the MIDI files in one or several folders: all their windows in one HDF5
    file, for train-musicvae, train-surrogate and train-band, with some songs reserved for
    validation. You can interrupt the command at any time; the same command resumes it.
    DATA.report.csv lists the files that were left out, and why.

    Attributes:
        folders: folders that are searched for MIDI files, at any depth.
        out: the data set to write.
        config: config of the models that the windows are for, or a .json or .yaml file with a
            config of your own; None: that of --musicvae, or hier-trio_16bar.
        musicvae: folder of a MusicVAE whose posteriors are added to the data set, as by
            encode-dataset.
        device: device of its encoder: auto (a GPU if there is one), cpu or cuda.
        devices: number of devices.
    """

    folders: tuple[Path, ...] = option(positional=True, many=True, metavar="MIDI_FOLDER")
    out: Path = option(short="o", metavar="DATA.h5")
    config: str | None = option(None, metavar="NAME")
    windows: dict[str, Any] = options_of(WindowOptions, built=False)
    building: dict[str, Any] = options_of(BuildOptions, built=False)
    musicvae: Path | None = option(None, metavar="FOLDER")
    device: str = option("auto")
    devices: int = option(1, least=1, metavar="N")


def build(options: BuildDataset) -> None:
    from musicvae_torch.dataset.build import build_dataset
    from musicvae_torch.dataset.extraction import default_hop
    from musicvae_torch.dataset.report import summary

    if options.config or not options.musicvae:
        config = get_config(options.config or "hier-trio_16bar")
    else:
        from musicvae_torch.model.vae import MusicVAE

        config = MusicVAE.from_pretrained(options.musicvae).config
    windows = WindowOptions(config, **{"hop_bars": default_hop(config)} | options.windows)
    building = BuildOptions(windows, **options.building)
    built = build_dataset(options.folders, options.out, building)
    aside = f", {built.validation} of them to validate on" if building.validation else ""
    there = "" if built.report else " (as before: nothing has changed)"
    print(f"{options.out}: {built.windows} windows of {built.songs} songs{aside}{there}")
    for reason, files in summary(built.skipped):
        print(f"left out: {files} files: {reason}")
    for split in built.held_out:
        print(_held_out(split))
    if built.skipped:
        print(f"{built.report}: which files, and more on why")
    if options.musicvae:
        own = {name: getattr(options, name) for name in ("out", "musicvae", "device", "devices")}
        encode(EncodeDataset(**own))


def _held_out(split: HeldOutSplit) -> str:
    text = (
        f"held out: {split.label}: {split.songs} songs; {split.near_duplicates} files left out as "
        "near-duplicates of them"
    )
    missed = [(split.unread, "unreadable"), (split.plain, "too short or plain to compare")]
    details = ", ".join(f"{count} {why}" for count, why in missed if count)
    return f"{text} ({details})" if details else text


build_main = Command(
    "build-dataset",
    BuildDataset,
    build,
    "example: build-dataset midi -o data.h5 --hop 4 --max-windows 24",
    (
        Idle(
            "--max-shift",
            lambda own: not own.transpose,
            "applies to copies in other keys; ask for some with --transpose, or leave it out",
        ),
        Idle(
            "--duplicate-share",
            lambda own: own.keep_duplicates and len(own.folders) == 1 and not own.held_out,
            "--keep-duplicates leaves no such song out; leave one of the two out",
        ),
        Idle(
            "--device --devices",
            lambda own: own.musicvae is None,
            "applies to --musicvae; name a model with it, or leave it out",
        ),
    ),
)


@dataclass(kw_only=True)
class EncodeDataset:
    """Add to a data set the posteriors of a MusicVAE's encoder for all windows: their means and
    standard deviations. You can interrupt the command at any time; the same command resumes it.

    Attributes:
        out: a data set from build-dataset.
        musicvae: folder of the MusicVAE.
        device: device of its encoder: auto (a GPU if there is one), cpu or cuda.
        devices: number of devices on each machine.
        nodes: number of machines; each runs the same command, started by srun or torchrun, for
            example.
    """

    out: Path = option(positional=True, metavar="DATA.h5")
    musicvae: Path = option(metavar="FOLDER")
    device: str = option("auto")
    devices: int = option(1, least=1, metavar="N")
    nodes: int = option(1, least=1, metavar="N")


def encode(options: EncodeDataset) -> None:
    from musicvae_torch.dataset.posteriors import add_posteriors

    count = add_posteriors(
        options.out,
        options.musicvae,
        device=options.device,
        devices=options.devices,
        nodes=options.nodes,
    )
    print(f"{options.out}: posteriors of {count} windows by {options.musicvae}")


encode_main = Command(
    "encode-dataset",
    EncodeDataset,
    encode,
    "example: encode-dataset data.h5 --musicvae my_trio --devices 2",
)
