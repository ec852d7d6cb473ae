"""The command `accompany`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.errors import NoSongsError, OptionError, OutputError
from musicvae_torch.options import option, options_of
from surrogate.options import (
    COMPING,
    FORMATS,
    NO_GROOVE,
    AccompanyOptions,
    NetworkOptions,
    default_method,
)

if TYPE_CHECKING:
    from musicvae_torch.midi.tracks import Track
    from surrogate.accompaniment import Accompaniment
    from surrogate.pipeline import Accompanist

EXAMPLES = """examples:
  accompany tune.mid                                   write tune.band.mid beside the song
  accompany tune.mid --play                            and open a page that plays it
  accompany tune.mid -o band.mid                       write to a file of your choice
  accompany tune.musicxml -o band.mid --score band.musicxml
  accompany tune.mid -o out --candidates 4             four bands: MIDI, picture, sound, web page
  accompany song.mid --list-tracks                     see which track is taken for the melody
  accompany song.mid -o band.mid --melody Flute --keep given
  accompany song.mid -o band.mid --given melody,drums  add only a bass to your own drums
  accompany tune.mid --show-chords -o chart.txt        write the chords, to edit them, and then:
  accompany tune.mid -o band.mid --chords @chart.txt --density 1
  accompany tune.mid -o band.mid --intro 4 --fill 8,16 --ending
  accompany band.mid -o other.mid --redo bass:9-16 --redo drums:15-16
  accompany songs -o bands                             accompany all songs of a folder
"""

_OUTPUT = "output"


def _formats(text: str) -> tuple[str, ...]:
    """Formats as typed, as in "mid,html"."""
    wanted = tuple(name.strip() for name in text.lower().split(",") if name.strip())
    if not wanted or not set(wanted) <= set(FORMATS):
        raise OptionError(f"wanted some of {','.join(FORMATS)}, not {text!r}")
    return wanted


@dataclass(kw_only=True)
class Accompany:
    """Add a bass and drums to a song with a melody; they replace its own, if it has any. All else
    in the song stays as it is, note for note and at its own tempo.

    Attributes:
        midi: the song, a MIDI, MusicXML or ABC file; or a folder of songs.
        out: where to write: a .mid or .musicxml file, or a folder for all that --write names; None:
            SONG.band.mid beside the song; with --write or --stems, the folder SONG.band.
        list_tracks: list the song's tracks, with the part that each plays and why, and stop.
        show_chords: print the chart of the song's chords, or write it to -o FILE.txt, and stop;
            edit it, and give it back with --chords @FILE.txt.
        write: what to write into a folder: some of mid,png,svg,wav,html,musicxml; None:
            mid,png,wav,html; for a folder of songs: mid.
        play: also write a web page that plays the result, and open it in your browser.
        stems: also write each track as a MIDI and a WAV file into the folder, for DAWs.
        score: also write the result as a MusicXML score (.musicxml, .mxl).
        plot: also draw the result as a piano roll (.png, .svg, .pdf).
        soundfont: SoundFont whose instruments make the sound (.sf2); None: that of pretty_midi.
        resume: with a folder of songs, skip those that have a result already.
    """

    midi: Path = option(positional=True, metavar="SONG")
    out: Path | None = option(None, short="o", metavar="OUT")
    list_tracks: bool = option(False, group="input")
    show_chords: bool = option(False, group="input")
    accompany: AccompanyOptions = options_of(AccompanyOptions)
    write: tuple[str, ...] | None = option(None, read=_formats, group=_OUTPUT, metavar="FORMATS")
    play: bool = option(False, group=_OUTPUT)
    stems: bool = option(False, group=_OUTPUT)
    score: Path | None = option(None, group=_OUTPUT, metavar="FILE")
    plot: Path | None = option(None, group=_OUTPUT, metavar="FILE")
    soundfont: Path | None = option(None, group=_OUTPUT, metavar="SF2")
    resume: bool = option(False, group=_OUTPUT)
    networks: NetworkOptions = options_of(NetworkOptions)


def _method(own: Any) -> str:
    """What makes the bands."""
    return own.method or default_method(own.musicvae, own.band)


def _has_sound(own: Any) -> bool:
    """Whether sound is written."""
    if own.play or own.stems:
        return True
    usual = ("mid",) if own.midi.is_dir() else ("wav",)
    return _into_folder(own) and not {"wav", "html"}.isdisjoint(own.write or usual)


def _into_folder(own: Any) -> bool:
    """Whether the result is a folder."""
    from musicvae_torch.midi.notes import is_midi
    from musicvae_torch.notation.files import is_musicxml

    if own.out is None:
        return bool(own.write or own.stems)
    return not (is_midi(own.out) or is_musicxml(own.out))


def _shows_chords(own: Any) -> bool:
    """Whether chords are shown, written or played, whatever the bass does."""
    return own.show_chords or own.write_chords or "chords" in own.add


# Options that would do nothing.
NETWORKS_IDLE = (
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
)
REDO_IDLE = (
    Idle(
        "--given --keep --outside --rests --skip --dynamics",
        lambda own: bool(own.redo),
        "applies to a new band, and --redo changes bars of parts that are there; leave it out",
    ),
    Idle(
        "--redo --fill",
        lambda own: _method(own) != "band",
        "only the band network hears what stays on both sides; leave it out, or use --method band",
    ),
    Idle(
        "--chords-track",
        lambda own: not own.redo,
        "says which track --redo chords:BARS is for; leave it out",
    ),
    Idle(
        "--harmony",
        lambda own: bool(own.redo) and not any(text.startswith("bass") for text in own.redo),
        "applies to a new bass, and none is redone; leave it out",
    ),
    Idle(
        "--fill",
        lambda own: "drums" in own.given and not own.redo,
        "applies to new drums, and the drums are given; leave it out",
    ),
    Idle(
        "--ending",
        lambda own: {"bass", "drums"} <= set(own.given),
        "applies to a new bass or new drums, and both are given; leave it out",
    ),
)
IDLE = (
    Idle(
        "but --list-tracks --melody --bass --drums --beat",
        lambda own: own.list_tracks,
        "--list-tracks shows the tracks and stops; leave one of the two out",
    ),
    Idle(
        "but --show-chords --out --melody --bass --drums --given --keep --outside --beat --metre "
        "--pickup --chords",
        lambda own: own.show_chords,
        "--show-chords shows the chart and stops; leave one of the two out",
    ),
    Idle(
        "--comping",
        lambda own: "chords" not in own.add,
        "applies to a part of chords; ask for it with --add chords, or leave it out",
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
        "does not apply to refined latents, which have no spread; leave one of the two out",
    ),
    *NETWORKS_IDLE,
    *REDO_IDLE,
    Idle(
        "--harmony",
        lambda own: "bass" in own.given,
        "applies to a new bass, and the bass is given; leave it out",
    ),
    Idle(
        "--chords",
        lambda own: (
            "bass" in own.given
            and (_method(own) != "band" or "melody" in own.given)
            and not _shows_chords(own)
        ),
        "applies to a new bass, and the bass is given; leave it out",
    ),
    Idle(
        "--chords",
        lambda own: own.harmony == "off" and _method(own) != "band" and not _shows_chords(own),
        "--harmony off moves no note into the harmony; leave one of the two out",
    ),
    Idle(
        "--groove",
        lambda own: "drums" in own.given,
        "applies to new drums, and the drums are given; leave it out",
    ),
    Idle(
        "--feel",
        lambda own: str(own.groove) == NO_GROOVE,
        "--groove none plays by a profile, on the grid; leave one of the two out",
    ),
    Idle(
        "--rests",
        lambda own: {"bass", "drums"} <= set(own.given),
        "applies to a new bass or new drums, and both are given; leave it out",
    ),
    Idle(
        "--temperature",
        lambda own: (
            isinstance(own.temperature, dict)
            and not own.redo
            and bool({*own.temperature} & {*own.given})
        ),
        "applies to parts that are made; leave those that are given out",
    ),
)


def run(options: Accompany) -> None:
    if options.list_tracks:
        _list_tracks(options)
        return
    if options.show_chords:
        _show_chords(options)
        return
    if not options.midi.exists():
        raise OptionError(f"{options.midi}: no such file")
    out = _output(options)
    formats = _check_output(options, out)
    (_folder if options.midi.is_dir() else _song)(options, out, formats)


def _output(options: Accompany) -> Path:
    """Where the result goes: where the user says, or to a new file or folder beside the song."""
    from surrogate.outputs import free_output

    if options.out is not None:
        return options.out
    if options.midi.is_dir():
        raise OptionError(f"{options.midi}: is a folder; say where its results go: -o FOLDER")
    return free_output(options.midi, options.accompany.candidates, _into_folder(options))


def _check_output(options: Accompany, out: Path) -> tuple[str, ...]:
    """Make sure, before the work, that the result can be put where it is wanted; returns the
    formats to write into a folder."""
    from musicvae_torch.midi.notes import OTHER_SUFFIXES, check_midi_out, is_midi
    from surrogate.outputs import check_formats, refuse_overwrite

    many, into_file = options.midi.is_dir(), not _into_folder(options)
    if into_file and out.is_dir():
        raise OutputError(f"{out}: is a folder; name the file to write")
    if into_file and many:
        raise OptionError(f"{out}: {options.midi} is a folder; name a folder for its results")
    if not out.is_dir() and out.suffix.lower() in OTHER_SUFFIXES:
        raise OptionError(
            f"{out}: -o writes a .mid, a .musicxml, or a folder; for pictures, sound and pages: "
            f"-o FOLDER --write {','.join(FORMATS)}"
        )
    check_midi_out(out)
    if into_file and (options.write or options.stems):
        asked = f"--write {','.join(options.write)}" if options.write else "--stems"
        raise OptionError(f"{asked} wants a folder: -o FOLDER")
    if not into_file and out.is_file():
        raise OutputError(f"{out}: is a file, but not a MIDI file; name a folder or a .mid file")
    _check_further(options, many)
    wanted = options.write or (("mid",) if many else None)
    formats = () if into_file else check_formats(wanted, options.soundfont)
    if options.play or options.stems:
        check_formats(("html",), options.soundfont)
    if options.play and not into_file and "html" not in formats:
        formats = (*formats, "html")
    if into_file and not is_midi(out):
        from surrogate.render.notation import check_notation_out

        check_notation_out(out)
    if not many and (into_file or "mid" in formats):
        first = out if into_file else out / f"{options.midi.stem}.mid"
        refuse_overwrite(options.midi, first, options.accompany.candidates)
    return formats


def _check_further(options: Accompany, many: bool) -> None:
    """Make sure that what is written beside the result can be."""
    for asked, value, instead in (
        ("--plot", options.plot, "use --write png"),
        ("--score", options.score, "use --write mid,musicxml"),
        ("--play", options.play, "use --write mid,html"),
    ):
        if many and value:
            raise OptionError(f"{asked}: {options.midi} is a folder; {instead}")
    if options.plot:
        from surrogate.render.piano_roll import check_picture

        check_picture(options.plot)
    if options.score:
        from surrogate.outputs import refuse_overwrite
        from surrogate.render.notation import check_notation_out

        check_notation_out(options.score)
        refuse_overwrite(options.midi, options.score, 1)


def _load(options: Accompany) -> Accompanist:
    from surrogate.pipeline import Accompanist

    return Accompanist.from_pretrained(method=options.accompany.method, **vars(options.networks))


def _list_tracks(options: Accompany) -> None:
    from surrogate.melody.choice import tracks_table
    from surrogate.song.reading import read_song
    from surrogate.song.roles import find_parts, roles_and_reasons

    score = read_song(options.midi)
    score, melody, chosen = find_parts(score, options.accompany, required=False)
    tracks = () if melody is None else melody.tracks
    roles = roles_and_reasons(score, tracks, **chosen)
    print(tracks_table(score, melody, roles))
    for remark in score.remarks:
        print(f"note: {score.name}: {remark}")


def _show_chords(options: Accompany) -> None:
    from musicvae_torch.io.files import replacing
    from surrogate.arrangement.song_chart import read_song_chart

    out = options.out
    if out is not None and out.suffix.lower() != ".txt":
        raise OptionError(f"{out}: --show-chords writes a chart; name a .txt file for it")
    if out is not None and out.exists():
        raise OutputError(f"{out}: is there already, and may have been edited; name another file")
    chart = str(read_song_chart(options.midi, options.accompany))
    if out is None:
        print(chart, end="")
        return
    with replacing(out) as temporary:
        temporary.write_text(chart, encoding="utf-8")
    print(f"wrote {out}")


def _song(options: Accompany, out: Path, formats: Sequence[str]) -> None:
    from musicvae_torch.io.devices import use_few_threads
    from musicvae_torch.io.files import printable
    from musicvae_torch.midi.notes import is_midi
    from surrogate.outputs import write_bands, write_outputs, write_sheet, write_sheets

    accompanist = _load(options)
    use_few_threads(accompanist.musicvae)
    result = accompanist.accompany(options.midi, options.accompany)
    title = printable(options.midi.stem)
    remarks: list[str] = []
    if _into_folder(options):
        stem, how = options.midi.stem, (formats, options.soundfont, options.stems)
        paths = write_outputs(result, out, stem, *how, remarks)
    elif is_midi(out):
        paths = write_bands(result, out)
    else:
        paths = write_sheets(result, out, title, remarks)
    if options.score:
        remarks += write_sheet(result, options.score, title)
        paths.append(options.score)
    if options.plot:
        from surrogate.render.piano_roll import draw_view

        draw_view(result.view(title=title), options.plot)
        paths.append(options.plot)
    page = _write_page(options, result, out, title) if options.play else None
    if page is not None and page not in paths:
        paths.append(page)
    print("\n".join([*report_lines(result), *(f"note: {line}" for line in dict.fromkeys(remarks))]))
    for path in paths:
        print(f"wrote {path}")
    if page is not None:
        _open(page)


def _write_page(options: Accompany, result: Accompaniment, out: Path, title: str) -> Path:
    """The page that plays the result: in the folder of the results, or beside their file."""
    from surrogate.outputs import free_page
    from surrogate.render.page import write_page

    if _into_folder(options):
        return out / f"{options.midi.stem}.html"
    page = free_page(out)
    write_page(page, result.views(), result.settings(), title=title, soundfont=options.soundfont)
    return page


def _open(page: Path) -> None:
    """Open a page in the user's browser, or say where it is."""
    import webbrowser

    address = page.resolve().as_uri()
    try:
        opened = webbrowser.open(address)
    except webbrowser.Error:
        opened = False
    if not opened:
        print(f"note: no browser could be started; open {address} in one")


def report_lines(result: Accompaniment) -> list[str]:
    """The melody that was found, what became of the song's tracks, and what was generated, a line
    each."""
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
            f"{len(track.notes)} {_kind_of_notes(track)}" for track in candidate.tracks
        )
        which = f"band {number}: " if len(result.candidates) > 1 else ""
        if candidate.arrangement.changes:
            counts = "; ".join(candidate.arrangement.changes)
        lines.append(
            f"{which}{counts or 'no new notes'}; {candidate.nats_per_step:.2f} nats a step"
        )
    return lines


def _kind_of_notes(track: Track) -> str:
    if track.is_drum:
        return "drum hits"
    return "notes of chords" if track.name == COMPING else f"{track.name} notes"


def _folder(options: Accompany, out: Path, formats: Sequence[str]) -> None:
    from surrogate.accompany_folder import accompany_folder

    how = options.accompany, formats, options.soundfont, options.resume, options.stems
    summary = accompany_folder(_load(options), options.midi, out, *how)
    print(summary)
    if summary.stopped:
        raise KeyboardInterrupt
    if not summary.made and not summary.left:
        raise NoSongsError(f"{options.midi}: none of its files could be accompanied")


main = Command("accompany", Accompany, run, EXAMPLES, IDLE)

if __name__ == "__main__":
    sys.exit(main())
