"""The command `accompany`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from musicvae_torch.cli import run_command

EXAMPLES = """examples:
  accompany tune.mid -o band.mid
  accompany tune.mid -o band.mid --plot band.png --seed 3 --temperature 0.8
  accompany song.mid --list-tracks
  accompany song.mid -o band.mid --melody 2
  accompany tune.mid -o band.mid --musicvae converted --method refine-only
"""


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="accompany",
        description="Give a melody a band: reads a MIDI file, keeps its melody note for note at "
        "its own tempo, and adds a bass and drums.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("midi", type=Path, metavar="MELODY.mid", help="the melody, or a song")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT.mid", help="the MIDI to write")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="also draw a piano roll (.png, .svg, .pdf)"
    )
    parser.add_argument(
        "--melody", type=int, metavar="N", help="track that is the melody (default: the likeliest)"
    )
    parser.add_argument(
        "--list-tracks", action="store_true", help="show the file's tracks and the guess, and stop"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.6,
        metavar="T",
        help="0 plays safe, 1 takes risks (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another number, another band")
    parser.add_argument(
        "--musicvae", type=Path, metavar="FOLDER", help="trio checkpoint (default: shipped)"
    )
    parser.add_argument(
        "--surrogate", type=Path, metavar="FOLDER", help="its surrogate encoder (default: shipped)"
    )
    parser.add_argument(
        "--method",
        choices=["surrogate", "refine", "refine-only"],
        default="surrogate",
        help="how the latent is found: by the surrogate encoder, by that and then gradient ascent "
        "until the latent explains the melody better, or by gradient ascent alone, which needs "
        "no surrogate (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 for what the user can mend."""
    arguments = parser().parse_args(argv)
    if arguments.out is None and not arguments.list_tracks:
        parser().error("say where the result goes: -o OUT.mid")
    return run_command("accompany", _run, arguments)


def _run(arguments: argparse.Namespace) -> None:
    from musicvae_torch.notes.midi import read_midi
    from surrogate.melody_choice import choose_melody, summarize_tracks

    if arguments.out and arguments.out.is_dir():
        raise IsADirectoryError(f"{arguments.out}: is a folder; name the file to write")
    midi = read_midi(arguments.midi, gather_tempos=True)
    if arguments.list_tracks:
        tracks = summarize_tracks(midi)
        singable = any(track.score is not None for track in tracks)
        melody = choose_melody(midi, arguments.melody) if singable else ()
        for track in tracks:
            print(f"{track}{'  <- melody' if track.index in melody else ''}")
        return

    from musicvae_torch.files import replacing
    from surrogate.piano_roll import check_picture, draw_piano_roll
    from surrogate.pipeline import Accompanist, AccompanyOptions

    if arguments.plot:
        check_picture(arguments.plot)  # before the work, not after it
    options = AccompanyOptions(
        arguments.melody, arguments.temperature, arguments.seed, arguments.method
    )
    pair = Accompanist.from_pretrained(
        arguments.musicvae, arguments.surrogate, arguments.device, arguments.method
    )
    result = pair.accompany(midi, options)
    with replacing(arguments.out) as path:
        result.midi.write(str(path))
    for index in result.melody:
        print(f"melody: {summarize_tracks(midi)[index]}")
    metres = {(change.numerator, change.denominator) for change in midi.time_signature_changes}
    for numerator, denominator in sorted(metres - {(4, 4), (2, 2)}):
        print(f"note: the song has {numerator}/{denominator}, but the band only knows 4/4")
    *_, bass, drums = (len(track.notes) for track in result.midi.instruments)
    print(f"{arguments.out}: the melody with {bass} bass and {drums} drum notes")
    if arguments.plot:
        tracks_of_melody = range(len(result.melody))
        draw_piano_roll(result.midi, arguments.plot, arguments.midi.stem, tracks_of_melody)
        print(f"{arguments.plot}: piano roll")


if __name__ == "__main__":
    sys.exit(main())
