"""Notes and tokens of single parts, the grid of steps, and what cannot be read as MIDI."""

import io
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import GOLDEN_FILES
from properties import examples

from musicvae_torch.converters.drums import drum_notes, drum_tokens
from musicvae_torch.converters.melody import melody_notes, melody_tokens
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.notes import NOTE_DTYPE, Song, read_midi, to_song
from musicvae_torch.midi.quantize import sections, to_steps
from musicvae_torch.midi.score import read_score
from musicvae_torch.midi.vocabulary import (
    DRUM_CLASSES,
    DRUM_DEPTH,
    FIRST_NOTE,
    MAX_PITCH,
    MELODY_DEPTH,
    MIN_PITCH,
    NO_EVENT,
    NOTE_OFF,
)

GOLDEN = GOLDEN_FILES / "trio_converter"
PLAIN = (GOLDEN / "plain.mid").read_bytes()
STEPS = 32
C4 = 60 - MIN_PITCH + FIRST_NOTE

Notes = list[tuple[int, int, int]]  # start step, end step, pitch

any_tokens = st.lists(st.integers(0, MELODY_DEPTH - 1) | st.sampled_from([NO_EVENT, NOTE_OFF]))
any_note = st.tuples(st.integers(0, STEPS + 4), st.integers(1, 12), st.integers(0, 127)).map(
    lambda note: (note[0], note[0] + note[1], note[2])
)


def encode_melody(notes: Notes, steps: int) -> list[int]:
    starts, ends, pitches = np.array(notes, np.int64).reshape(-1, 3).T
    tokens: list[int] = melody_tokens(starts, ends, pitches, steps).tolist()
    return tokens


def encode_drums(notes: Notes, steps: int) -> list[int]:
    starts, _, pitches = np.array(notes, np.int64).reshape(-1, 3).T
    words: list[int] = drum_tokens(starts, pitches, steps)[:, 0].tolist()
    return words


def canonical(tokens: list[int]) -> list[int]:
    """A melody without the note-offs that end nothing: the one form that encoding gives."""
    kept = []
    sounding = False
    for token in tokens:
        kept.append(NO_EVENT if token == NOTE_OFF and not sounding else token)
        if token != NO_EVENT:
            sounding = token != NOTE_OFF
    return kept


def add_one_by_one(notes: Notes, steps: int) -> list[int]:
    """A melody as one would write it by hand: each note in turn overwrites what comes after."""
    tokens = [NO_EVENT] * steps
    last_start = -1
    for start, end, pitch in sorted(notes, key=lambda note: (note[0], -note[2])):
        if not MIN_PITCH <= pitch <= MAX_PITCH or start >= steps or start == last_start:
            continue
        tokens[start:] = [NO_EVENT] * (steps - start)
        tokens[start] = pitch - MIN_PITCH + FIRST_NOTE
        if end < steps:
            tokens[end] = NOTE_OFF
        last_start = start
    return tokens


@pytest.mark.parametrize(
    ("notes", "tokens"),
    [
        ([], [0, 0, 0, 0]),
        ([(0, 4, 60)], [C4, 0, 0, 0]),
        ([(1, 2, 60)], [0, C4, 1, 0]),
        ([(0, 2, 60), (2, 3, 62)], [C4, 0, C4 + 2, 1]),
        ([(0, 1, 60), (2, 9, 60)], [C4, 1, C4, 0]),
        ([(0, 1, MIN_PITCH), (1, 2, MAX_PITCH)], [FIRST_NOTE, MELODY_DEPTH - 1, 1, 0]),
    ],
    ids=["silence", "held to the end", "short", "legato", "past the end", "range"],
)
def test_melody_tokens(notes: Notes, tokens: list[int]) -> None:
    assert encode_melody(notes, 4) == tokens
    assert melody_notes(np.array(tokens)) == [(s, min(e, 4), p) for s, e, p in notes]


@pytest.mark.parametrize(
    ("notes", "tokens"),
    [
        ([(0, 4, 60), (0, 1, 64), (0, 4, 62)], [C4 + 4, 1, 0, 0]),
        ([(0, 4, 60), (1, 2, 55)], [C4, C4 - 5, 1, 0]),
        ([(0, 2, MAX_PITCH + 1), (0, 2, 60), (2, 3, MIN_PITCH - 1)], [C4, 0, 1, 0]),
        ([(4, 5, 60), (7, 9, 60)], [0, 0, 0, 0]),
        ([(0, 1, 60), (0, 3, 60)], [C4, 1, 0, 0]),
    ],
    ids=["highest of a chord", "latest of an overlap", "out of range", "too late", "twice"],
)
def test_melody_of_polyphony(notes: Notes, tokens: list[int]) -> None:
    assert encode_melody(notes, 4) == tokens


@given(st.lists(any_note, max_size=25))
def test_melody_is_as_if_notes_were_added_one_by_one(notes: Notes) -> None:
    # Of two notes alike but for their length the first given counts, in both.
    assert encode_melody(notes, STEPS) == add_one_by_one(notes, STEPS)


@given(any_tokens)
def test_melody_comes_back_from_its_notes(tokens: list[int]) -> None:
    notes = melody_notes(np.array(tokens, np.int16))
    assert encode_melody(notes, len(tokens)) == canonical(tokens)


@given(any_tokens)
def test_melody_notes_follow_each_other(tokens: list[int]) -> None:
    notes = melody_notes(np.array(tokens, np.int16))
    assert [token for token in tokens if token >= FIRST_NOTE] == [
        pitch - MIN_PITCH + FIRST_NOTE for _, _, pitch in notes
    ]
    edges = [step for start, end, _ in notes for step in (start, end)]
    assert edges == sorted(edges)
    assert all(start < end <= len(tokens) for start, end, _ in notes)


def test_drums_come_back_from_their_hits() -> None:
    every_class = np.arange(DRUM_DEPTH, dtype=np.int16)
    hits = drum_notes(every_class[:, None])
    assert all(end == start + 1 for start, end, _ in hits)
    assert encode_drums(hits, DRUM_DEPTH) == every_class.tolist()


def test_every_drum_pitch_sets_the_bit_of_its_class() -> None:
    modelled = {pitch for pitches in DRUM_CLASSES for pitch in pitches}
    for pitch in range(128):
        bits = [1 << index for index, pitches in enumerate(DRUM_CLASSES) if pitch in pitches]
        assert encode_drums([(0, 1, pitch)], 1) == (bits or [0])
        assert len(bits) == (pitch in modelled)
    kick, ride = 1, 256
    assert encode_drums([(0, 1, 36)], 1) == encode_drums([(0, 1, 35)], 1) == [kick]
    assert encode_drums([(0, 1, 51)], 1) == [ride]


def test_drum_hits_join_on_a_step_and_those_past_the_end_are_left_out() -> None:
    hits = [(1, 2, 36), (1, 2, 35), (1, 3, 38), (2, 3, 36), (3, 4, 1)]
    assert encode_drums(hits, 2) == [0, 0b11]


@given(st.lists(st.floats(0, 1e4), min_size=2), st.floats(10, 400))
def test_steps_keep_the_order_of_times(seconds: list[float], qpm: float) -> None:
    times = np.sort(np.array(seconds))
    steps = to_steps(times, qpm)
    assert (np.diff(steps) >= 0).all()
    assert np.abs(steps - times * qpm / 15).max() <= 0.5 + 1e-6


def test_half_a_step_rounds_up() -> None:
    sixteenth = 0.125  # at 120 quarter notes a minute
    times = np.array([0, 0.49999999, 0.5, 1, 1.49999999, 1.5, 2.5]) * sixteenth
    assert to_steps(times, 120).tolist() == [0, 0, 1, 1, 1, 2, 3]


def song(
    notes: list[tuple[float, float]],
    tempos: list[tuple[float, float]],
    metres: list[tuple[float, int, int]],
) -> Song:
    rows = [(start, end, 60, 100, 0, False, 0) for start, end in notes]
    return Song(
        notes=np.array(rows, NOTE_DTYPE),
        tempos=np.array(tempos, np.float64).reshape(-1, 2),
        time_signatures=np.array(metres, np.float64).reshape(-1, 3),
        end=max((end for _, end in notes), default=0.0),
    )


def test_sections_begin_where_tempo_or_metre_changes() -> None:
    tune = song(
        notes=[(0, 1), (1.5, 3), (2, 5), (4, 4.01)],
        tempos=[(0, 120), (2, 60), (3, 60), (5, 90)],
        metres=[(1, 4, 4), (4, 7, 8), (9, 3, 4)],
    )
    first, second, third = sections(tune)
    assert [s.start for s in (first, second, third)] == [0, 2, 4]
    assert [s.qpm for s in (first, second, third)] == [120, 60, 60]
    assert [s.metre for s in (first, second, third)] == [(4, 4), (4, 4), (7, 8)]
    assert [s.steps_per_bar for s in (first, second, third)] == [16, 16, 14]
    # The note held over the first change is cut there; the one over the second likewise.
    assert first.start_steps.tolist() == [0, 12]
    assert first.end_steps.tolist() == [8, 16]
    assert second.end_steps.tolist() == [8]
    assert (first.steps, second.steps) == (16, 8)
    # Too short for a step, and yet a step long.
    assert (third.start_steps.tolist(), third.end_steps.tolist()) == ([0], [1])
    assert third.steps == 1


def test_a_song_without_tempo_and_metre_is_120_and_4_4() -> None:
    (section,) = sections(song([(0, 1)], [], []))
    assert (section.qpm, section.metre, section.steps) == (120, (4, 4), 8)


def test_a_song_without_notes_has_no_sections() -> None:
    assert sections(song([], [(0, 120)], [(0, 4, 4)])) == []
    assert sections(to_song(pretty_midi.PrettyMIDI())) == []


def test_a_change_that_is_taken_back_at_once_cuts_but_does_not_count() -> None:
    first, second = sections(song([(0, 4)], [], [(0, 4, 4), (2, 3, 4), (2, 4, 4)]))
    assert (first.metre, second.metre, second.start) == ((4, 4), (4, 4), 2)


def test_to_song_takes_notes_as_they_are() -> None:
    midi = pretty_midi.PrettyMIDI(initial_tempo=90)
    piano, kit = pretty_midi.Instrument(3), pretty_midi.Instrument(0, is_drum=True)
    piano.notes = [pretty_midi.Note(99, 61, 0.5, 2.25), pretty_midi.Note(98, 60, 0.25, 1)]
    kit.notes = [pretty_midi.Note(1, 36, 0, 0.5)]
    midi.instruments = [piano, kit]
    midi.time_signature_changes = [pretty_midi.TimeSignature(3, 8, 1.0)]
    read = to_song(midi)
    assert read.notes.tolist() == [
        (0.5, 2.25, 61, 99, 3, False, 0),
        (0.25, 1.0, 60, 98, 3, False, 0),
        (0.0, 0.5, 36, 1, 0, True, 1),
    ]
    assert read.tempos == pytest.approx(np.array([[0, 90]]))
    assert read.time_signatures.tolist() == [[1, 3, 8]]
    assert read.end == 2.25


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it has no header, MThd"),
        (b"a shopping list\nmilk, bread\n", "not readable as a MIDI file"),
        (PLAIN[:10], "it has no header, MThd"),
        (b"MThd\x00\x00\x00\x06\x00\x01\x00\x00\x00\x60", "it has no track chunk, MTrk"),
        (PLAIN[:12] + bytes(2) + PLAIN[14:], "has 0 ticks a quarter note"),
    ],
    ids=["empty", "text", "header cut", "no tracks", "no ticks"],
)
def test_unreadable_files(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(content)
    refusal(path, reason)


@pytest.mark.parametrize("end", [1000, -1])
def test_a_cut_file_is_read_as_far_as_it_goes(tmp_path: Path, end: int) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(PLAIN)
    whole = to_song(read_midi(path)).notes
    path.write_bytes(PLAIN[:end])
    cut = to_song(read_midi(path)).notes
    assert len(cut) and cut.tolist() == whole[: len(cut)].tolist()


def test_damage_within_a_chunk_leaves_the_others(tmp_path: Path) -> None:
    """A number without an end is no event, and what follows it in its chunk cannot be told."""
    path = tmp_path / "song.mid"
    path.write_bytes(small_file())
    whole = to_song(read_midi(path)).notes
    place = small_file().index(b"\x99")  # the drums' first note
    path.write_bytes(small_file()[:place] + b"\xff" * 1_000_000 + small_file()[place:])
    damaged = to_song(read_midi(path)).notes
    assert len(damaged) == 6 and damaged.tolist() == whole[:6].tolist()


def test_missing_file(tmp_path: Path) -> None:
    refusal(tmp_path / "song.mid", "no such file")


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    refusal(tmp_path, "is a folder, not a MIDI file")


def test_refusals_keep_to_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("a reason\n  of two lines")

    monkeypatch.setattr(mido, "MidiFile", fail)
    (tmp_path / "song.mid").write_bytes(PLAIN)
    refusal(tmp_path / "song.mid", "ValueError: a reason of two lines")


def refusal(path: Path, reason: str) -> None:
    with pytest.raises(MidiError) as caught:
        read_midi(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "\n" not in message


@examples(60)
@given(st.dictionaries(st.integers(0, 199), st.integers(0, 255), min_size=1, max_size=8))
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, damage: dict[int, int]
) -> None:
    content = bytearray(small_file())
    for place, byte in damage.items():
        content[place % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.mid"
    path.write_bytes(content)
    try:
        midi = read_midi(path)
    except MidiError as error:
        assert "\n" not in str(error)
    else:
        for window in get_converter("hier-trio_16bar").to_tensors(to_song(midi)):
            assert window.tokens.shape == (256, 3)
            assert (window.tokens >= 0).all() and (window.tokens < DEPTHS).all()


def small_file() -> bytes:
    midi = pretty_midi.PrettyMIDI()
    midi.time_signature_changes = [pretty_midi.TimeSignature(4, 4, 0)]
    for program, is_drum in ((0, False), (33, False), (0, True)):
        track = pretty_midi.Instrument(program, is_drum)
        track.notes = [pretty_midi.Note(90, 40 + beat, beat, beat + 1) for beat in range(3)]
        midi.instruments.append(track)
    buffer = io.BytesIO()
    midi.write(buffer)
    return buffer.getvalue()


def test_changes_on_other_tracks_are_gathered_by_scores(tmp_path: Path) -> None:
    """pretty_midi, and so Magenta, plays such a file at 120; a musician means what it says."""
    notes, changes = mido.MidiTrack(), mido.MidiTrack()
    notes.append(mido.Message("note_on", note=60, velocity=70, time=480))
    notes.append(mido.Message("note_off", note=60, time=480))
    changes.append(mido.MetaMessage("time_signature", numerator=3, denominator=4, time=0))
    changes.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(60), time=0))
    changes.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(240), time=480))
    path = tmp_path / "late.mid"
    mido.MidiFile(ticks_per_beat=480, tracks=[notes, changes]).save(str(path))
    assert read_midi(path).get_tempo_changes()[1].tolist() == [120]
    score = read_score(path)
    assert score.tempos[:, 1].tolist() == [1_000_000, 250_000]
    assert score.metres.tolist() == [[0, 3, 4]]
    assert score.seconds(score.tracks[0].notes["end"]).tolist() == [1.25]
