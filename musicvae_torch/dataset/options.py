"""Options of a data set: which windows to keep of a song, and how to build it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset.splits import SPLITS
from musicvae_torch.errors import OptionError
from musicvae_torch.options import MODES, check_options, option, programs

if TYPE_CHECKING:
    from musicvae_torch.converters.base import Converter

DRAWS = ("songs", "windows", "sources")


@dataclass(frozen=True)
class WindowOptions:
    """What to keep of a song.

    Attributes:
        config: whose windows.
        mode: mode of the converter (:func:`musicvae_torch.get_converter`); train transposes each
            song at random as Magenta does in training.
        hop_bars: bars from the start of one window to that of the next, for trios and grooves;
            None: Magenta's, 1 for trios and the length of a window for grooves.
        melody_programs: programs that may be a melody, as in 0-31,80-87; None: the config's.
        drums_only: for grooves, read only the drum tracks of songs, and only the pitches that the
            config knows; without this, songs with other notes are left out, as in Magenta.
        max_windows: largest number of windows of a song, drawn at random; None: all.
        transpositions: number of additional copies of each window, in different keys that are drawn
            at random.
        max_shift: largest distance of these keys in semitones, up or down.
        seed: seed of the random draws, which also depend on the content of each file.
    """

    config: MusicVAEConfig
    mode: str = option("eval", choices=MODES)
    hop_bars: int | None = option(
        None, least=1, flag="hop", metavar="BARS", usual="as long as a trio's window; 1 for grooves"
    )
    melody_programs: tuple[int, ...] | None = option(
        None, read=programs, metavar="RANGES", usual="as in Magenta, 0-31 for trios"
    )
    drums_only: bool = option(False)
    max_windows: int | None = option(None, least=1, metavar="N")
    transpositions: int = option(0, least=0, flag="transpose", metavar="N")
    max_shift: int = option(5, least=1, metavar="SEMITONES")
    seed: int = option(0, least=0, metavar="N")

    def __post_init__(self) -> None:
        from musicvae_torch.converters.registry import has_drums_alone

        check_options(self)
        if self.transpositions > 2 * self.max_shift:
            raise OptionError(
                f"{self.transpositions} transpositions of a window are more than the "
                f"{2 * self.max_shift} that there are within {self.max_shift} semitones"
            )
        drums = has_drums_alone(self.converter())
        if self.drums_only and not drums:
            raise OptionError(f"config {self.config.name!r} has more than drums: no drums_only")
        if self.transpositions and drums:
            raise OptionError(f"config {self.config.name!r} has drums alone: nothing to transpose")

    def converter(self, seed: int | None = None) -> Converter:
        """The converter that finds the windows.

        Raises:
            ConfigError: there is none for the config, or it does not take one of the options.
        """
        from musicvae_torch.converters.registry import get_converter

        return get_converter(
            self.config,
            self.mode,
            seed,
            hop_bars=self.hop_bars,
            melody_programs=self.melody_programs,
        )

    def to_dict(self) -> dict[str, Any]:
        """The options without the config, as plain JSON data."""
        options = asdict(self)
        del options["config"]
        if self.melody_programs is not None:
            options["melody_programs"] = sorted(self.melody_programs)
        return options


@dataclass(frozen=True)
class BuildOptions:
    """How to build a data set.

    Attributes:
        windows: what to keep of a song.
        validation: share of the songs that is reserved for validation; 0: none.
        duplicate_share: a song is a near-duplicate, and left out, if it shares at least this part
            of its phrases with a larger song, in any key and at any tempo.
        keep_duplicates: keep near-duplicates, in the same split as the larger song; those of songs
            that are held out are left out all the same.
        workers: number of processes; None: one for each core.
        seconds: longest time for reading one file, in seconds.
        progress: whether to show a progress bar.
        held_out: other splits, each a folder of MIDI files or a data set of the same kind: songs
            that share a tune with one of them, in any key and at any tempo, are left out.
        split: songs to read from a folder with a table of splits (info.csv, as in the Groove MIDI
            Dataset): some of train, validation and test. The songs of its validation split are
            reserved for validation, and near-duplicates are kept.
    """

    windows: WindowOptions
    validation: float = option(0.1, least=0, below=1, metavar="SHARE")
    duplicate_share: float = option(0.5, above=0, most=1, metavar="SHARE")
    keep_duplicates: bool = option(False)
    workers: int | None = option(None, least=1, metavar="N")
    seconds: float = option(60.0, above=0, flag="timeout", metavar="SECONDS")
    progress: bool = True
    held_out: tuple[str | Path, ...] = option((), many=True, read=Path, metavar="SPLIT")
    split: tuple[str, ...] = option(SPLITS[:2], many=True, choices=SPLITS, metavar="NAME")

    def __post_init__(self) -> None:
        check_options(self)
