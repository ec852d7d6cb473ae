"""The official split of a folder of songs, from a table in the folder.

The Groove MIDI Dataset has such a table, ``info.csv``, with a row for each performance: its file
(column ``midi_filename``) and ``split``: train, validation or test.
"""

from __future__ import annotations

import csv
from pathlib import Path

from musicvae_torch.errors import DatasetError

TABLE = "info.csv"
VALIDATION = "validation"
SPLITS = ("train", VALIDATION, "test")
_FILE, _SPLIT = "midi_filename", "split"


def read_splits(folder: Path) -> dict[str, str] | None:
    """The split of each file of a folder, by the file's path in it; None: it has no such table.

    Raises:
        DatasetError: the table cannot be read, or names another split.
    """
    table = folder / TABLE
    if not table.is_file():
        return None
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if not {_FILE, _SPLIT} <= set(rows.fieldnames or ()):
                return None  # a table of something else
            found = {Path(row[_FILE]).as_posix(): row[_SPLIT] for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read as a table of splits: {error}") from None
    for name, split in found.items():
        if split not in SPLITS:
            raise DatasetError(
                f"{table}: {name} is of split {split!r}; splits are {', '.join(SPLITS)}"
            )
    return found
