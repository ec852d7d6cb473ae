"""The command `accompany`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.cli.train import add_dtype
from musicvae_torch.errors import NoSongsError, OptionError, OutputError
from surrogate.arguments import WISHES, bar_ranges, beat, formats, parts, temperature, track_wishes

if TYPE_CHECKING:
    from surrogate.options import AccompanyOptions
    from surrogate.result import Accompaniment

EXAMPLES = """examples:
  accompany tune.mid -o band.mid                       the melody with a band
  accompany tune.mid -o out --candidates 4             a folder: MIDI, picture, sound, web page
  accompany song.mid --list-tracks                     which track would be the melody
  accompany song.mid -o band.mid --melody Flute --keep given
  accompany song.mid -o band.mid --given melody,drums  a new bass alone
  accompany tune.mid -o band.mid --chords "C | Am F | G7 | C" --density 1
  accompany songs -o bands                             a folder of songs
"""


# Options that would do nothing.
IDLE = (
    Idle(
        "but --list-tracks --melody --bass --drums --beat",
        lambda own: own.list_tracks,
        "--list-tracks shows the tracks and stops; leave one of the two out",
    ),
    Idle(
        "--resume",
        lambda own: own.midi.is_file(),
        "applies to a folder of songs; name one, or leave it out",
    ),
    Idle(
        "--soundfont",
        lambda own: not _has_sound(own),
        "no sound is written; ask for some with -o FOLDER --write mid,wav,html, or leave it out",
    ),
    Idle(
        "--variety",
        lambda own: own.candidates == 1,
        "applies to further bands; ask for some with --candidates N, or leave it out",
    ),
    Idle(
        "--variety",
        lambda own: _method(own) not in ("band", "surrogate"),
        "refined latents do not tell how far styles may differ; leave one of the two out",
    ),
    Idle(
        "--band --top-p --guidance --style",
        lambda own: _method(own) != "band",
        "applies to --method band; choose that, or leave it out",
    ),
    Idle(
        "--surrogate",
        lambda own: own.method == "refine-only",
        "--method refine-only does without a surrogate; leave one of the two out",
    ),
    Idle(
        "--harmony",
        lambda own: "bass" in own.given,
        "applies to a new bass, and the bass is given; leave it out",
    ),
    Idle(
        "--chords",
        lambda own: "bass" in own.given and (_method(own) != "band" or "melody" in own.given),
        "applies to a new bass, and the bass is given; leave it out",
    ),
    Idle(
        "--chords",
        lambda own: own.harmony == "off" and _method(own) != "band",
        "--harmony off moves no note into the harmony; leave one of the two out",
    ),
    Idle(
        "--groove",
        lambda own: "drums" in own.given,
        "applies to new drums, and the drums are given; leave it out",
    ),
    Idle(
        "--rests",
        lambda own: {"bass", "drums"} <= set(own.given),
        "applies to a new bass or new drums, and both are given; leave it out",
    ),
    Idle(
        "--temperature",
        lambda own: isinstance(own.temperature, dict) and bool({*own.temperature} & {*own.given}),
        "applies to parts that are made; leave those that are given out",
    ),
)


def _method(arguments: argparse.Namespace) -> str:
    """What makes the bands."""
    from surrogate.options import default_method

    return arguments.method or default_method(arguments.musicvae, arguments.band)


def _has_sound(arguments: argparse.Namespace) -> bool:
    """Whether sound is written."""
    from musicvae_torch.midi.notes import is_midi

    if is_midi(arguments.out):
        return False
    usual = ("mid",) if arguments.midi.is_dir() else ("wav",)
    return not {"wav", "html"}.isdisjoint(arguments.write or usual)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="accompany",
        description="Give a melody a band: reads a MIDI file, keeps what it holds note for note at "
        "its own tempo, and adds a bass and drums.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("midi", type=Path, metavar="SONG", help="a MIDI file, or a folder of them")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        help="a .mid file to write, or a folder for all that --write says",
    )
    _add_what_is_heard(parser)
    _add_what_is_made(parser)
    _add_what_is_written(parser)
    _add_models(parser)
    return parser


def _add_what_is_heard(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is heard")
    group.add_argument(
        "--list-tracks", action="store_true", help="show the file's tracks and the guess, and stop"
    )
    group.add_argument(
        "--melody",
        action="append",
        metavar="TRACK",
        help=f"the melody: {WISHES}; may be given more than once, for tracks that share it "
        "(default: the likeliest)",
    )
    group.add_argument(
        "--bass",
        action="append",
        metavar="TRACK",
        help="the song's own bass, in the same words, or none (default: what is named, set or "
        "played as one)",
    )
    group.add_argument(
        "--drums",
        action="append",
        metavar="TRACK",
        help="the song's own drums, in the same words, or none (default: the drum kits)",
    )
    group.add_argument(
        "--given",
        type=parts,
        default=("melody",),
        metavar="PARTS",
        help="parts to take from the song, of melody,bass,drums; the others are made anew "
        "(default: melody)",
    )
    group.add_argument(
        "--keep",
        choices=["others", "given", "all"],
        default="others",
        help="tracks that stay: all but those whose part is made anew, the given parts alone, or "
        "all (default: %(default)s)",
    )
    group.add_argument(
        "--outside",
        choices=["own", "band", "none"],
        default="own",
        help="bars in which the melody rests for long: the song's own bass and drums stay there, "
        "the band plays there too, or neither (default: %(default)s)",
    )
    group.add_argument(
        "--beat",
        type=beat,
        default="file",
        metavar="BEAT",
        help="where the beats are: as the file says, as the notes seem to have them (auto), or so "
        "many quarter notes a minute, as in 87.3 (default: file)",
    )
    group.add_argument(
        "--metre",
        choices=["fit", "refuse"],
        default="fit",
        help="the model knows 4/4: fit its bars to 3/4, 6/8 and others, or refuse them "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--pickup",
        type=float,
        default=0.0,
        metavar="QUARTERS",
        help="length of a pickup that the file begins with, where its metre does not say",
    )


def _add_what_is_made(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is made")
    group.add_argument("--seed", type=int, default=0, help="another number, another band")
    group.add_argument(
        "--candidates", type=int, default=1, metavar="N", help="bands to make, the best first"
    )
    group.add_argument(
        "--temperature",
        type=temperature,
        default=None,
        metavar="T",
        help="0 plays safe, 1 takes risks; one for each part: bass=0.5,drums=0.8 (default: "
        "bass=0.75,drums=0.92; 0.4, where it is not the band network that plays)",
    )
    group.add_argument(
        "--top-p",
        type=float,
        default=None,
        metavar="P",
        help="play the likeliest alone, of which this share of the chances is (default: 0.999)",
    )
    group.add_argument(
        "--guidance",
        type=float,
        default=None,
        metavar="G",
        help="above 1, follow the melody more closely than the network would, at twice the time "
        "of 1 (default: 1.6)",
    )
    group.add_argument(
        "--style",
        metavar="SONG",
        help="play like the bass and drums of another MIDI file, or in no style: none (default: "
        "the style that goes with such a melody)",
    )
    group.add_argument(
        "--variety",
        type=float,
        default=None,
        metavar="V",
        help="how far the other candidates' styles are from the first one's, the likeliest; 0: not "
        "at all, 1: as far as songs with such a melody are (default: 0.7)",
    )
    group.add_argument(
        "--density",
        type=float,
        default=0.0,
        metavar="D",
        help="a busier band (1, 2, ...) or a sparser one (-1, -2, ...)",
    )
    group.add_argument(
        "--swing",
        type=float,
        default=0.0,
        metavar="S",
        help="more swing (1, 2, ...) or straighter (-1, ...)",
    )
    group.add_argument(
        "--dynamics",
        type=float,
        default=1.0,
        metavar="D",
        help="velocities: 0 all alike, 1 as real bands follow a song, 2 exaggerated (default: 1)",
    )
    group.add_argument(
        "--chords",
        metavar="CHORDS",
        help='the harmony, one bar between bars: "C | Am F | G7"; or @FILE (default: the chord '
        "symbols in the song's file, or what its notes suggest)",
    )
    group.add_argument(
        "--harmony",
        choices=["strong", "all", "off"],
        default=None,
        help="bass notes that are moved into the harmony: on strong beats, all, or none (default: "
        "off; strong, where it is not the band network that plays)",
    )
    group.add_argument(
        "--skip",
        type=bar_ranges,
        default=(),
        metavar="BARS",
        help="bars without the band, from 1, as in 1-4,17",
    )
    group.add_argument(
        "--rests",
        action="store_true",
        help="let the band rest in bars where the model does (default: it repeats itself there)",
    )


def _add_what_is_written(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--write",
        type=formats,
        metavar="FORMATS",
        help="into a folder, of mid,png,svg,wav,html (default: mid,png,wav,html; for a folder of "
        "songs: mid)",
    )
    group.add_argument(
        "--plot", type=Path, metavar="FILE", help="also draw a piano roll (.png, .svg, .pdf)"
    )
    group.add_argument(
        "--soundfont", type=Path, metavar="SF2", help="instruments for the sound (.sf2, .sf3)"
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="of a folder of songs, leave out those whose result is there already",
    )


def _add_models(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the networks")
    group.add_argument(
        "--method",
        choices=["band", "surrogate", "refine", "refine-only"],
        default=None,
        help="band: the band network plays, in the style that the surrogate encoder predicts. The "
        "others decode a latent with the MusicVAE: the surrogate encoder's; that one after "
        "gradient ascent until it explains the given parts better; or one of gradient ascent "
        "alone, which needs no surrogate (default: band; surrogate, if you name a --musicvae and "
        "no --band)",
    )
    group.add_argument(
        "--musicvae", type=Path, metavar="FOLDER", help="trio checkpoint (default: shipped)"
    )
    group.add_argument(
        "--surrogate", type=Path, metavar="FOLDER", help="its surrogate encoder (default: shipped)"
    )
    group.add_argument(
        "--band", type=Path, metavar="FOLDER", help="a band network (default: shipped)"
    )
    group.add_argument(
        "--groove",
        type=Path,
        metavar="FOLDER",
        help="a GrooVAE checkpoint (groovae_2bar_humanize, ...) to play the drums' hits",
    )
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)"
    )
    add_dtype(group)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 for what the user can mend."""
    arguments = read_arguments(parser(), argv)
    if arguments.out is None and not arguments.list_tracks:
        parser().error("say where the result goes: -o OUT.mid, or -o FOLDER")
    return run_command("accompany", _run, arguments, IDLE)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.list_tracks:
        _list_tracks(arguments)
        return
    if not arguments.midi.exists():
        raise OptionError(f"{arguments.midi}: no such file")
    from musicvae_torch.midi.notes import is_midi
    from surrogate.outputs import check_formats, spare_song

    options = _options(arguments)
    _check_out(arguments)
    many = arguments.midi.is_dir()
    wanted = arguments.write or (("mid",) if many else None)
    into_folder = not is_midi(arguments.out)
    written = check_formats(wanted, arguments.soundfont) if into_folder else ()
    if not many and (not into_folder or "mid" in written):
        name = f"{arguments.midi.stem}.mid"
        first = arguments.out / name if into_folder else arguments.out
        spare_song(arguments.midi, first, options.candidates)
    if arguments.plot:
        from surrogate.render.piano_roll import check_picture

        check_picture(arguments.plot)  # before the work, not after it
    if many:
        _folder(arguments, options, written)
        return
    from musicvae_torch.io.devices import use_few_threads

    accompanist = _load(arguments)
    use_few_threads(accompanist.musicvae)
    result = accompanist.accompany(arguments.midi, options)
    paths = _write(arguments, result, written)
    print("\n".join(report_lines(result)))
    for path in paths:
        print(f"wrote {path}")


def _check_out(arguments: argparse.Namespace) -> None:
    """Whether the result can be put where it is wanted, before the work."""
    from musicvae_torch.midi.notes import check_midi_out, is_midi

    out, many = arguments.out, arguments.midi.is_dir()
    into_file = is_midi(out)
    if into_file and out.is_dir():
        raise OutputError(f"{out}: is a folder; name the file to write")
    if into_file and many:
        raise OptionError(f"{out}: {arguments.midi} is a folder; name a folder for its results")
    check_midi_out(out)
    if into_file and arguments.write:
        raise OptionError(f"--write {','.join(arguments.write)} wants a folder: -o FOLDER")
    if not into_file and out.is_file():
        raise OutputError(f"{out}: is a file, and none of MIDI; name a folder or a .mid")
    if many and arguments.plot:
        raise OptionError(f"--plot: {arguments.midi} is a folder; use --write png")


def _options(arguments: argparse.Namespace) -> AccompanyOptions:
    from surrogate.options import AccompanyOptions

    chosen: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in (
            "given",
            "keep",
            "outside",
            "beat",
            "metre",
            "pickup",
            "seed",
            "candidates",
            "density",
            "swing",
            "dynamics",
            "chords",
            "skip",
            "method",
        )
    }
    for part in ("melody", "bass", "drums"):
        chosen[part] = track_wishes(getattr(arguments, part))
    for name in ("temperature", "top_p", "guidance", "style", "variety", "harmony"):
        if getattr(arguments, name) is not None:
            chosen[name] = getattr(arguments, name)
    return AccompanyOptions(fill=not arguments.rests, **chosen)


def _load(arguments: argparse.Namespace) -> Any:
    from surrogate.pipeline import Accompanist

    return Accompanist.from_pretrained(
        arguments.musicvae,
        arguments.surrogate,
        arguments.device,
        arguments.method,
        arguments.groove,
        arguments.dtype,
        arguments.band,
    )


def _list_tracks(arguments: argparse.Namespace) -> None:
    from musicvae_torch.midi.score import read_score
    from surrogate.melody.choice import tracks_table
    from surrogate.song.context import find_parts
    from surrogate.song.roles import roles_and_reasons

    score = read_score(arguments.midi)
    score, melody, chosen = find_parts(score, _options(arguments), required=False)
    tracks = () if melody is None else melody.tracks
    roles = roles_and_reasons(score, tracks, **chosen)
    print(tracks_table(score, melody, roles))
    for remark in score.remarks:
        print(f"note: {score.name}: {remark}")


def _write(
    arguments: argparse.Namespace, result: Accompaniment, written: Sequence[str]
) -> list[Path]:
    from musicvae_torch.io.files import printable
    from musicvae_torch.midi.notes import is_midi
    from surrogate.outputs import deliver, write_bands

    if is_midi(arguments.out):
        paths = write_bands(result, arguments.out)
    else:
        paths = deliver(result, arguments.out, arguments.midi.stem, written, arguments.soundfont)
    if arguments.plot:
        from surrogate.render.piano_roll import draw_view

        draw_view(result.view(title=printable(arguments.midi.stem)), arguments.plot)
        paths.append(arguments.plot)
    return paths


def report_lines(result: Accompaniment) -> list[str]:
    """What was heard, what became of the song's tracks, and what was made, a line each."""
    lines = []
    if result.melody is not None and "melody" in result.options.given:
        lines.append(f"melody: {result.melody.how}")
    lost = result.losses()
    lines += lost
    for number, candidate in enumerate(result.candidates[1:], start=2):
        lines += [f"band {number}: {ln}" for ln in result.losses(candidate) if ln not in lost]
    lines += [f"note: {line}" for line in result.notes]
    for number, candidate in enumerate(result.candidates, start=1):
        counts = ", ".join(
            f"{len(track.notes)} {'drum hits' if track.is_drum else track.name + ' notes'}"
            for track in candidate.tracks
        )
        which = f"band {number}: " if len(result.candidates) > 1 else ""
        lines.append(f"{which}{counts or 'nothing'}; {candidate.nats_per_step:.2f} nats a step")
    return lines


def _folder(
    arguments: argparse.Namespace, options: AccompanyOptions, written: Sequence[str]
) -> None:
    from surrogate.batch import accompany_folder

    summary = accompany_folder(
        _load(arguments),
        arguments.midi,
        arguments.out,
        options,
        written,
        arguments.soundfont,
        arguments.resume,
    )
    print(summary)
    if summary.stopped:
        raise KeyboardInterrupt
    if not summary.made and not summary.left:
        raise NoSongsError(f"{arguments.midi}: none of its files could be accompanied")


if __name__ == "__main__":
    sys.exit(main())
