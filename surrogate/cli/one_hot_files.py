"""The commands `export-dataset` and `import-dataset`: data sets ↔ accompany-music-vae's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from musicvae_torch.cli.command import Command
from musicvae_torch.options import option


@dataclass(kw_only=True)
class ExportDataset:
    """Write a data set of trios as a file for accompany-music-vae: HDF5 with one-hot rows.

    Attributes:
        data: a data set of trios from build-dataset.
        out: the file to write.
        columns: columns to write, some of melody, bass, drums, trio and code (the mean of the
            posterior).
        split: write only these songs; None: all.
    """

    data: Path = option(positional=True, metavar="DATA.h5")
    out: Path = option(short="o", metavar="SEED.h5")
    columns: tuple[str, ...] = option(("melody", "code"), metavar="NAMES")
    split: str | None = option(None, choices=("train", "validation"))


def export(options: ExportDataset) -> None:
    from surrogate.accompany_music_vae.one_hot_files import export_dataset

    count = export_dataset(options.data, options.out, options.columns, split=options.split)
    print(f"{options.out}: {count} windows")


export_main = Command(
    "export-dataset",
    ExportDataset,
    export,
    "example: export-dataset data.h5 -o seed.h5 --columns melody,trio",
)


@dataclass(kw_only=True)
class ImportDataset:
    """Make a data set of a file of accompany-music-vae (HDF5 with melody, code, trio, bass or
    drums).

    Attributes:
        source: the file of accompany-music-vae.
        out: the data set to write.
        validation: share of the windows that is reserved for validation; 0: none.
    """

    source: Path = option(positional=True, metavar="SEED.h5")
    out: Path = option(short="o", metavar="DATA.h5")
    validation: float = option(0.1, least=0, below=1, metavar="SHARE")


def import_(options: ImportDataset) -> None:
    from surrogate.accompany_music_vae.one_hot_files import import_dataset

    count = import_dataset(options.source, options.out, validation=options.validation)
    print(f"{options.out}: {count} windows")
    print(
        "warning: the file does not say which windows are of one song; each counts as a song, so "
        "that songs may lie on both sides of the split"
    )


import_main = Command(
    "import-dataset", ImportDataset, import_, "example: import-dataset seed.h5 -o data.h5"
)
