"""The command `evaluate-accompaniment`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.errors import OptionError, OutputError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.options import option, programs

if TYPE_CHECKING:
    import torch

    from surrogate.evaluation.task import Networks

EXAMPLES = """examples:
  evaluate-accompaniment midi --max-songs 50
  evaluate-accompaniment midi --given drums --json scores.json
  evaluate-accompaniment midi --musicvae my_trio --surrogate my_surrogate --baseline seeds
  evaluate-accompaniment --against finished
"""


def _given(text: str) -> tuple[str, ...]:
    """Parts as typed, in the trio's order: "melody,drums"."""
    named = {part.strip() for part in text.split(",")}
    if not named <= set(PARTS) or named == set(PARTS):
        raise OptionError(
            f"wanted one or two of melody, bass and drums, such as melody,drums, not {text!r}"
        )
    return tuple(part for part in PARTS if part in named)


@dataclass(kw_only=True)
class EvaluateAccompaniment:
    """Measure how good accompaniments are: hide parts of real songs with melody, bass and drums,
    generate them by every method, and print Markdown tables of scores. Or compare accompaniments by
    other systems with ours.

    Attributes:
        folder: folder of MIDI files of real songs.
        against: in place of FOLDER: MIDI files with melody, bass and drums by another system, whose
            melodies are accompanied again; or folders, each with a lead_sheet.mid (the melody on
            one track, the chords on another) and the results of other systems for it.
        given: the given parts, such as drums or melody,drums; the others are hidden.
        max_songs: largest number of songs, drawn at random; None: all.
        max_windows: largest number of windows of a song, drawn at random.
        melody_programs: programs that may be a melody, as in Magenta.
        seed: seed of all random draws.
        json: also write the scores of every song to this file.
        musicvae: folder of a MusicVAE for trios; None: the pretrained one.
        surrogate: folder of its surrogate encoder; None: the pretrained one, for the pretrained
            trio.
        baseline: folder of another surrogate of the trio, for the row "accompany-music-vae's
            surrogate"; None: the pretrained one, for the pretrained trio.
        without_latent: folder of a trio whose latent carries no information, for the row "decoder
            without a latent"; None: the pretrained one, for the pretrained trio.
        band: folder of a band network; None: the pretrained one, for the pretrained trio.
        seeds: number of bands that accompany samples for each melody, with seeds from --seed on; 0:
            none.
        device: auto (a GPU if there is one), cpu or cuda.
    """

    folder: Path | None = option(None, positional=True, metavar="FOLDER")
    against: Path | None = option(None, metavar="FOLDER")
    given: tuple[str, ...] = option(("melody",), read=_given, metavar="PARTS")
    max_songs: int | None = option(None, least=1, metavar="N")
    max_windows: int = option(8, least=1, metavar="N")
    melody_programs: tuple[int, ...] = option(
        tuple(range(32)), read=programs, metavar="RANGES", usual="0-31"
    )
    seed: int = option(0, least=0, metavar="N")
    json: Path | None = option(None, metavar="FILE")
    musicvae: Path | None = option(None, metavar="FOLDER")
    surrogate: Path | None = option(None, metavar="FOLDER")
    baseline: Path | None = option(None, metavar="FOLDER")
    without_latent: Path | None = option(None, metavar="FOLDER")
    band: Path | None = option(None, metavar="FOLDER")
    seeds: int = option(3, least=0, metavar="N")
    device: str = option("auto")

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.against is None):
            raise OptionError("name a folder of songs, or one to compare with: --against FOLDER")
        if self.against is not None and not self.seeds:
            raise OptionError("--seeds 0 leaves nothing of ours to compare; say 1 or more")


_IDLE = (
    Idle(
        "--given --max-songs --max-windows --melody-programs --baseline --without-latent",
        lambda own: own.against is not None,
        "--against compares whole files by their melody; leave it out",
    ),
)


def _run(own: EvaluateAccompaniment) -> None:
    import json

    from musicvae_torch.io.devices import pick_device
    from musicvae_torch.io.files import replacing

    if own.json and own.json.is_dir():
        raise OutputError(f"{own.json}: is a folder; name the file to write")
    if own.json and own.json.parent.is_file():
        raise OutputError(f"{own.json.parent}: is a file; name a folder to write into")
    device = pick_device(own.device)
    result = (_against if own.against else _songs)(own, device)
    print(result)
    if own.json:
        numbers = json.dumps(result.as_json(), indent=1, allow_nan=False)
        with replacing(own.json) as temporary:
            temporary.write_text(f"{numbers}\n", encoding="utf-8")
        print(f"{own.json}: written", file=sys.stderr)


def _songs(own: EvaluateAccompaniment, device: torch.device) -> Any:
    from surrogate.evaluation.evaluate import evaluate
    from surrogate.evaluation.task import EvaluateOptions
    from surrogate.evaluation.windows import read_evaluation_windows

    assert own.folder is not None
    networks = _networks(own, device)
    windows = read_evaluation_windows(
        own.folder,
        networks.musicvae.config.max_seq_len,
        own.max_songs,
        own.max_windows,
        own.melody_programs,
        own.seed,
        progress=True,
    )
    options = EvaluateOptions(own.given, own.seed, own.seeds, progress=True)
    return evaluate(networks, windows, options)


def _networks(own: EvaluateAccompaniment, device: torch.device) -> Networks:
    from musicvae_torch.io.checkpoint import shipped_checkpoint
    from musicvae_torch.model.vae import MusicVAE
    from surrogate.encoder import loading
    from surrogate.evaluation.task import Networks
    from surrogate.generators.band import load_band

    band, styled = None, True
    if own.musicvae is None or own.band is not None:
        band, styled = load_band(own.band, own.musicvae, device)

    def folder(named: Path | None, default: str) -> Path | None:
        return shipped_checkpoint(default) if named is None and own.musicvae is None else named

    musicvae = own.musicvae or shipped_checkpoint(loading.DEFAULT_MUSICVAE)
    surrogate = folder(own.surrogate, loading.DEFAULT_SURROGATE)
    baseline = folder(own.baseline, loading.DEFAULT_BASELINE)
    without_latent = folder(own.without_latent, loading.DEFAULT_WITHOUT_LATENT)
    model = MusicVAE.from_pretrained(musicvae, device)
    loading.check_trio(model)
    return Networks(
        model,
        None if surrogate is None else loading.load_surrogate(surrogate, device),
        None if baseline is None else loading.load_surrogate(baseline, device),
        None if without_latent is None else MusicVAE.from_pretrained(without_latent, device),
        loading.load_attributes(musicvae),
        band,
        styled,
    )


def _against(own: EvaluateAccompaniment, device: torch.device) -> Any:
    from surrogate.evaluation.against import compare
    from surrogate.options import BAND, AccompanyOptions, default_method
    from surrogate.pipeline import Accompanist

    assert own.against is not None
    method = default_method(own.musicvae, own.band)
    if method != BAND and own.surrogate is None:
        method = "refine-only"
    accompanist = Accompanist.from_pretrained(
        own.musicvae, own.surrogate, str(device), method, band=own.band
    )
    options = AccompanyOptions(seed=own.seed, method=method)
    return compare(accompanist, own.against, options, own.seeds, progress=True)


main = Command("evaluate-accompaniment", EvaluateAccompaniment, _run, EXAMPLES, _IDLE)
