"""What is written of latents ends on a bar line, which DAWs take for the clip's length."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from made_up import made_up
from magenta_models import MODELS, load_golden
from paths import GOLDEN_FILES
from properties import examples

from musicvae_torch.analysis.timeline import in_a_row, render_pieces, write_midi
from musicvae_torch.cli.latent import main
from musicvae_torch.config import get_config
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.latent import encode_song, reconstruct

CONFIGS = sorted(path.name for path in MODELS.iterdir() if path.is_dir())
TEMPOS = [120.0, 87.0, 133.7, 61.3, 177.77, 240.0, 999.9]
BAR = 4 * 480


def ends_of(path: Path) -> list[int]:
    """The tick of each chunk's end-of-track event."""
    chunks = mido.MidiFile(path, charset="latin1").tracks
    assert all(chunk[-1].type == "end_of_track" for chunk in chunks)
    return [sum(message.time for message in chunk) for chunk in chunks]


def rows_of(name: str, bars: int, seed: int) -> list[np.ndarray]:
    """Random tokens of so many bars: bars of several tracks one by one, else all at once."""
    config = get_config(name)
    tokens = made_up(config, bars, seed).tokens
    if "multiperf" in name:
        return list(tokens)
    return [tokens.reshape(-1, tokens.shape[-1])[: bars * 16]]


def onsets_of(
    midi: pretty_midi.PrettyMIDI, clock: pretty_midi.PrettyMIDI
) -> set[tuple[bool, int, int]]:
    """(drums or not, pitch, tick) of all notes that are heard."""
    return {
        (track.is_drum, note.pitch, int(clock.time_to_tick(note.start)))
        for track in midi.instruments
        for note in track.notes
        if note.velocity
    }


@examples(100, HealthCheck.function_scoped_fixture)
@given(
    name=st.sampled_from(CONFIGS),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    qpm=st.sampled_from(TEMPOS) | st.floats(4, 1000),
    seed=st.integers(0, 1000),
)
def test_music_in_a_row(
    name: str, lengths: list[int], qpm: float, seed: int, tmp_path: Path
) -> None:
    converter = get_converter(name)
    rows = [
        row for number, bars in enumerate(lengths) for row in rows_of(name, bars, seed + number)
    ]
    midi = render_pieces(converter, in_a_row(converter, rows, qpm))
    write_midi(midi, tmp_path / "o.mid")
    assert set(ends_of(tmp_path / "o.mid")) == {sum(lengths) * BAR}
    written = pretty_midi.PrettyMIDI(str(tmp_path / "o.mid"))
    assert written.get_tempo_changes()[1] == pytest.approx([qpm], rel=1e-4)
    # Nothing is lost, but where two of a groove's hits of one drum meet on a tick.
    assert onsets_of(written, written) == onsets_of(midi, written)


def test_ticks_of_long_files_do_not_drift(tmp_path: Path) -> None:
    converter = get_converter("cat-mel_2bar_small")
    row = np.zeros((16, 1), np.int16)
    row[::4, 0] = 2 + 60 - 21
    write_midi(
        render_pieces(converter, in_a_row(converter, [row] * 900, 177.77)), tmp_path / "o.mid"
    )
    melody = mido.MidiFile(tmp_path / "o.mid").tracks[1]
    ticks = np.cumsum([message.time for message in melody])
    starts = [
        tick
        for tick, message in zip(ticks.tolist(), melody, strict=True)
        if message.type == "note_on" and message.velocity
    ]
    assert starts == list(range(0, 900 * BAR, 480))
    assert set(ends_of(tmp_path / "o.mid")) == {900 * BAR}


def test_a_late_hit_is_cut_and_silence_lasts(tmp_path: Path) -> None:
    converter = get_converter("groovae_2bar_humanize")
    row = np.zeros((32, 27), np.float32)
    row[[0, 31], 0], row[[0, 31], 9] = 1, 0.8
    row[0, 18], row[31, 18] = 1, -1  # half a step early, and late
    midi = render_pieces(converter, in_a_row(converter, [row], 87))
    write_midi(midi, tmp_path / "o.mid")
    assert set(ends_of(tmp_path / "o.mid")) == {2 * BAR}
    (drums,) = pretty_midi.PrettyMIDI(str(tmp_path / "o.mid")).instruments
    ticks = [
        (round(note.start * 87 * 8), round(note.end * 87 * 8))  # 480 a quarter
        for note in drums.notes
    ]
    assert ticks == [(0, 60), (31 * 120 + 60, 2 * BAR)]
    write_midi(render_pieces(converter, in_a_row(converter, [row * 0], 87)), tmp_path / "o.mid")
    assert set(ends_of(tmp_path / "o.mid")) == {2 * BAR}


def test_what_a_converter_gives_is_magentas(tmp_path: Path) -> None:
    converter = get_converter("cat-mel_2bar_small")
    row = np.zeros((32, 1), np.int16)
    row[0, 0], row[31, 0] = 40, 41
    midi = converter.from_tokens(row)
    midi.write(str(tmp_path / "own.mid"))
    assert ends_of(tmp_path / "own.mid") == [1, 2 * 4 * midi.resolution + 1]
    write_midi(midi, tmp_path / "ours.mid")
    assert ends_of(tmp_path / "ours.mid") == ends_of(tmp_path / "own.mid")


# On a song's timeline.


def write_song(path: Path, resolution: int, tempos: tuple[int, int], *, drums: bool) -> None:
    """20 bars of 4/4, three at another tempo, and three of 3/4, of quarter notes each; a key and a
    tempo still later."""
    file = mido.MidiFile(type=1, ticks_per_beat=resolution)
    bar = 4 * resolution
    later = 23 * bar + 9 * resolution
    changes = [
        (0, mido.MetaMessage("time_signature", numerator=4, denominator=4)),
        (0, mido.MetaMessage("set_tempo", tempo=tempos[0])),
        (20 * bar, mido.MetaMessage("set_tempo", tempo=tempos[1])),
        (23 * bar, mido.MetaMessage("time_signature", numerator=3, denominator=4)),
        (later + bar, mido.MetaMessage("key_signature", key="D")),
        (later + bar, mido.MetaMessage("set_tempo", tempo=300_000)),
    ]
    rng = np.random.default_rng(0)
    notes = []
    for start in range(0, later, resolution):
        pitch = int(rng.choice([36, 38, 42])) if drums else 60 + int(rng.integers(12))
        for after, velocity in ((0, 90), (resolution, 0)):
            message = mido.Message(
                "note_on", channel=9 if drums else 0, note=pitch, velocity=velocity
            )
            notes.append((start + after, message))
    for events in (changes, notes):
        chunk, now = mido.MidiTrack(), 0
        for tick, message in sorted(events, key=lambda event: event[0]):
            chunk.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(chunk)
    file.save(path)


@pytest.mark.parametrize("resolution", [96, 120, 384, 480, 960, 1000])
@pytest.mark.parametrize("tempos", [(500_000, 689_655), (448_766, 978_792), (333_333, 61_111)])
@pytest.mark.parametrize(
    ("name", "bars"),
    [
        ("cat-mel_2bar_small", 23),
        ("cat-drums_2bar_small", 23),
        ("hier-mel_16bar", 20),
        ("groovae_4bar", 24),  # which takes what is left, and fills it up
    ],
)
def test_on_a_songs_timeline(
    name: str, bars: int, tempos: tuple[int, int], resolution: int, tmp_path: Path
) -> None:
    write_song(tmp_path / "song.mid", resolution, tempos, drums="mel" not in name)
    song = encode_song(load_golden(MODELS / name).model, tmp_path / "song.mid")
    write_midi(song.render_pieces(list(song.tokens)), tmp_path / "o.mid")
    written = mido.MidiFile(tmp_path / "o.mid")
    assert set(ends_of(tmp_path / "o.mid")) == {bars * 4 * written.ticks_per_beat}
    kept = [message.tempo for message in written.tracks[0] if message.type == "set_tempo"]
    assert kept == list(tempos[: 1 + (bars > 20)])


def test_what_is_added_later_is_kept(tmp_path: Path) -> None:
    converter = get_converter("cat-mel_2bar_small")
    midi = render_pieces(converter, in_a_row(converter, rows_of("cat-mel_2bar_small", 2, 0)))
    late = pretty_midi.Instrument(5)
    late.notes = [pretty_midi.Note(80, 60, 3.0, 6.0)]
    midi.instruments.append(late)
    write_midi(midi, tmp_path / "o.mid")
    assert ends_of(tmp_path / "o.mid") == [2 * BAR, 2 * BAR, 6 * 960 + 1]


# The functions and the command.


def test_functions_of_the_latent(tmp_path: Path) -> None:
    write_song(tmp_path / "song.mid", 480, (500_000, 500_000), drums=True)
    drums = pretty_midi.PrettyMIDI(str(tmp_path / "song.mid"))
    for track in drums.instruments:
        track.notes = [note for note in track.notes if note.start < 7.9]  # four bars
    drums._tick_scales, drums.key_signature_changes = drums._tick_scales[:1], []
    drums.time_signature_changes = drums.time_signature_changes[:1]
    model = load_golden(MODELS / "groovae_2bar_humanize").model
    write_midi(reconstruct(model, drums).midi, tmp_path / "again.mid")
    assert set(ends_of(tmp_path / "again.mid")) == {4 * BAR}


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(f"sample -n 2 --length 4 --tempo 133.7 --seed 5 -o {out}".split()) == 0
    assert main(f"sample -n 3 --length 3 --tempo 87 -o {out / 'row.mid'}".split()) == 0
    ends = {path.name: set(ends_of(path)) for path in out.iterdir()}
    assert ends == {
        "sample_1.mid": {4 * BAR},
        "sample_2.mid": {4 * BAR},
        "row.mid": {9 * BAR},
    }
    songs = GOLDEN_FILES / "trio_converter"
    plain, gaps = songs / "plain.mid", songs / "gaps.mid"
    loop, bars = tmp_path / "loop.mid", 2 * 2 * 3
    assert main(f"interpolate {plain} {gaps} --loop --steps 3 --length 3 -o {loop}".split()) == 0
    assert set(ends_of(loop)) == {bars * BAR}
    move = f"attribute {plain} --move swing=1 -o {tmp_path / 'moved.mid'}"
    assert main(move.split()) == 0
    assert len(set(ends_of(tmp_path / "moved.mid"))) == 1
    assert ends_of(tmp_path / "moved.mid")[0] % BAR == 0
