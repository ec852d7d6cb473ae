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
        mode: of the converter (:func:`musicvae_torch.get_converter`); train shifts each song
            at random by what Magenta does in training.
        hop_bars: bars from one trio or groove to the next; None: Magenta's, 1 of trios and the
            length of a window of grooves.
        melody_programs: programs that may be a melody; None: the config's.
        drums_only: read only the drum tracks of songs for grooves, and only the pitches that the
            config knows, as drum configs always do; else a song with other notes is left out, as
            in Magenta.
        max_windows: most windows of one song, drawn at random; None: all.
        transpositions: further copies of each window, each in another key, drawn at random.
        max_shift: most semitones, either way, of those copies.
        seed: of the draws; those of a song depend on the seed and on the file's content.
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
        validation: share of the songs that are set aside to validate on; 0: none.
        duplicate_share: a song is a near-duplicate, and left out, if a larger one has at least so
            much of it, in any key and tempo.
        keep_duplicates: keep near-duplicates, in the split of the larger song; but leave out those
            of songs that are held out.
        workers: processes; None: one a core.
        seconds: the most seconds that reading one file may take.
        progress: whether to show a progress bar.
        held_out: other splits, each a folder of MIDI files or a data set of windows of the same
            kind: songs that have a tune in common with one of theirs, in any key and tempo, are
            always left out.
        split: which songs to read of a folder with a table that divides them (info.csv, as the
            Groove MIDI Dataset has one): those of train, validation, test. Its validation songs
            are set aside to validate on, and its near-duplicates are kept.
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
