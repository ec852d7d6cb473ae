"""The command `convert-weights`: options in, one call, messages out."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass

from convert_weights.sources.releases import NOTICE, RELEASES, Release, get_release
from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle, applies_to, one_line
from musicvae_torch.config import CONFIGS, get_config
from musicvae_torch.errors import OptionError
from musicvae_torch.options import option

_EXAMPLES = f"""\
examples:
  convert-weights hierdec-trio_16bar.tar --out weights/trio
  convert-weights groovae.ckpt --config groovae_2bar_humanize --out weights/groovae
  convert-weights trio.ckpt --list
  convert-weights trio.ckpt --dry-run
  convert-weights --download list
  convert-weights --download cat-mel_2bar_big --out weights/melody
  convert-weights weights/trio --to tensorflow --out for_magenta
  convert-weights weights/melody --to magenta-js --out for_the_web

and then, in Python:
  from musicvae_torch import MusicVAE
  model = MusicVAE.from_pretrained("weights/trio")

configs: {", ".join(CONFIGS)}
exit codes: 0 done; 2 an error, explained in one line; 130 stopped by Ctrl-C or SIGTERM. After 2 or
130, nothing has been written."""


@dataclass(kw_only=True)
class ConvertOptions:
    """Convert Google Magenta's MusicVAE checkpoints to folders that musicvae_torch reads
    (config.json and model.safetensors), and back. TensorFlow is not needed. The weights stay
    identical to the last bit; the sizes of the layers are read from the checkpoint.

    SOURCE may be
      trio.ckpt                    the prefix of trio.ckpt.index and trio.ckpt.data-00000-of-00001
      trio.ckpt.index              one of those files
      trio.tar, trio.tar.gz        an archive with a checkpoint
      downloads/trio/              a folder with a checkpoint
      js/weights_manifest.json     a checkpoint of magenta.js, or its folder
      03-0.1935.hdf5               a surrogate encoder that accompany-music-vae saved with Keras
      weights/trio/                with --to: a folder that this command or a training wrote

    Attributes:
        source: the checkpoint: see above.
        out: the folder to write; it must be new or empty.
        config: Magenta's name of the model's config, or a .json or .yaml file with a config of your
            own; needed only if the checkpoint's variables fit several configs.
        checkpoint: which checkpoint to convert, if SOURCE contains several.
        force: replace a model that is in FOLDER already.
        list: print the variables of the checkpoint, and write nothing.
        dry_run: check the checkpoint against the config, print to which parameter each variable is
            converted, and write nothing.
        to: convert back to this format, from a folder that this command or a training wrote.
        quantize_bytes: bytes for each number, with --to magenta-js; fewer make the files smaller
            and the weights inexact; None: 4, which is exact.
        download: download this released checkpoint, and use it as SOURCE; list prints the names.
        download_folder: folder in which downloads are kept; None: ~/.cache/musicvae-torch.
        mirror: download from this address in place of storage.googleapis.com.
    """

    source: str | None = option(None, positional=True, metavar="SOURCE")
    out: str | None = option(None, metavar="FOLDER")
    config: str | None = option(None, metavar="NAME")
    checkpoint: str | None = option(None, metavar="NAME")
    force: bool = option(False)
    list: bool = option(False)
    dry_run: bool = option(False)
    to: str | None = option(None, choices=("tensorflow", "magenta-js"))
    quantize_bytes: int | None = option(None, choices=(1, 2))
    download: str | None = option(None, metavar="NAME")
    download_folder: str | None = option(None, metavar="FOLDER")
    mirror: str | None = option(None, metavar="URL")

    def __post_init__(self) -> None:
        if self.download and self.source:
            raise OptionError(f"SOURCE {self.source} and --download exclude each other")
        if not self.download and not self.source:
            raise OptionError("SOURCE is needed, or --download NAME")
        if self.to and self.download:
            raise OptionError("--to starts from a folder of ours, not from a download")
        if not (self.out or self.list or self.dry_run or self.download):
            raise OptionError("--out is needed: the folder to write")


_IDLE = (
    Idle(
        "--config --checkpoint",
        lambda own: own.to is not None,
        "--to starts from a folder of ours, which has one model; leave it out",
    ),
    Idle(
        "--download-folder --mirror",
        lambda own: own.download is None,
        "applies to downloads; name one with --download, or leave it out",
    ),
    Idle(
        "--out --config --list --dry-run --force",
        lambda own: own.download == "list",
        "--download list prints names alone; leave it out",
    ),
    Idle(
        "--config",
        lambda own: own.list,
        "--list prints what is there, whatever the config; leave it out",
    ),
    Idle("--dry-run --to", lambda own: own.list, "--list writes nothing; leave one of the two out"),
    Idle("--to", lambda own: own.dry_run, "--dry-run writes nothing; leave one of the two out"),
    applies_to("to", "magenta-js", "--quantize-bytes"),
)


def run(options: ConvertOptions) -> None:
    if threading.current_thread() is threading.main_thread():
        # Python would end at once, and leave what it was writing.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.download == "list":
        print("name\tformat\tconfig\tother names")
        for each in RELEASES.values():
            print(each.name, each.kind, each.config or "-", *each.aliases, sep="\t")
        print(f"All are {NOTICE}.")
        return
    if options.config is not None:
        get_config(options.config)  # before anything slow
    release = _download(options, options.download) if options.download else None
    assert options.source
    if options.list or options.dry_run:
        _inspect(options, options.source)
    elif options.to and options.out:
        _export(options, options.source, options.out, options.to)
    elif options.out:
        _convert(options, options.source, options.out, release)


def _download(options: ConvertOptions, name: str) -> Release:
    """Fetches a release and makes it the source."""
    from convert_weights.sources.download import download

    release = get_release(name)
    path = download(release.name, options.download_folder, options.mirror)
    options.source = str(path)
    options.config = options.config or release.config
    print(f"{path}: {release.name}, {NOTICE}")
    return release


def _inspect(options: ConvertOptions, source: str) -> None:
    """Prints a checkpoint's variables (--list), or what becomes of them (--dry-run)."""
    from convert_weights.conversion import open_tensors
    from convert_weights.plan import make_plan
    from convert_weights.sources.locate import open_source

    config = None if options.config is None else get_config(options.config)
    with open_source(source, options.checkpoint) as found:
        tensors, stated = open_tensors(found)
        if options.list:
            for name in tensors:
                print(one_line(name), tensors.dtype(name), list(tensors.shape(name)), sep="\t")
            return
        plan = make_plan(tensors, config or stated, found.location)
    for layer in plan.layers:
        sides = [
            ", ".join(f"{name} {list(shape)}" for name, shape in side.items())
            for side in (layer.variables, layer.parameters)
        ]
        print(" -> ".join(sides))
    for name in plan.skipped:
        print(f"{one_line(name)} -> skipped")
    for note in [f"config: {plan.config.name}", *plan.notes]:
        print(f"# {note}")


def _export(options: ConvertOptions, source: str, out: str, target: str) -> None:
    from convert_weights.export import export

    print(
        export(source, out, target, quantization_bytes=options.quantize_bytes, force=options.force)
    )


def _convert(options: ConvertOptions, source: str, out: str, release: Release | None) -> None:
    from convert_weights.conversion import convert

    report = convert(
        source,
        options.config,
        out,
        checkpoint=options.checkpoint,
        release=release,
        force=options.force,
        progress=True,
    )
    summary = (
        f"{report.folder}: {report.name}, {report.parameters:,} parameters"
        f" from {report.converted} variables, {report.skipped} others skipped"
    )
    print(one_line(summary))
    for note in report.notes:
        print(f"note: {one_line(note)}")
    print(f"weights: {one_line(report.owner)}")


main = Command("convert-weights", ConvertOptions, run, _EXAMPLES, _IDLE)
