"""MusicXML of a song: what it says, and that the same notes come back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from notation_files import musicxml_of, tunes
from properties import examples
from small_scores import chunk, score, score_of

from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import CHORDS, TICK_NOTE
from surrogate.render.drum_staff import drum_name, place_of
from surrogate.render.note_values import EXACT, pieces, quarter_of, spans
from surrogate.render.view import view_of

pytest.importorskip("music21", reason="music21 is not installed: no MusicXML")

import itertools

from musicvae_torch.chords.symbols import chord_tones
from musicvae_torch.notation.chord_symbols import chord_name, notated
from musicvae_torch.notation.reading import read_notation
from surrogate.render.notation import notation_bytes, write_notation

KIT = [(0, 0.1, 36), (0, 0.1, 42), (0.5, 0.6, 42), (1, 1.1, 38), (1, 1.1, 42), (1.5, 1.6, 46),
       (2, 2.1, 36), (2.75, 2.8, 36), (3, 3.1, 49)]  # fmt: skip
MELODY = [(0, 1, 67), (1, Fraction(4, 3), 69), (Fraction(4, 3), Fraction(5, 3), 71),
          (Fraction(5, 3), 2, 72), (2, 5.5, 74), (6, 8, 66)]  # fmt: skip


def trio() -> Score:
    """Two bars in G with a triplet, a note tied over the bar line, a bass and drums."""
    conductor = mido.MidiTrack([
        mido.MetaMessage("key_signature", key="G"),
        mido.MetaMessage("set_tempo", tempo=600_000),
        mido.MetaMessage("set_tempo", tempo=500_000, time=4 * 480),
    ])  # fmt: skip
    bass = [(0, 4, 43), (4, 8, 38)]
    return score(
        conductor,
        chunk([(float(a), float(b), p) for a, b, p in MELODY], 73, name="Tune"),
        chunk(bass, 33, 1, name="bass"),
        chunk(KIT, 0, 9, name="drums"),
    )


def tree(song: Score, chords: tuple[tuple[int, str], ...] = ()) -> ElementTree.Element:
    return ElementTree.fromstring(notation_bytes(view_of(song, {0}), chords, "Title")[0])


def quarters(song: Score, index: int) -> list[tuple[Any, Any, int]]:
    rows = song.tracks[index].notes.tolist()
    return [
        (Fraction(a, song.resolution), Fraction(b, song.resolution), pitch)
        for a, b, pitch, _ in rows
    ]


@pytest.mark.parametrize("ending", ["musicxml", "mxl", "xml"])
def test_the_same_notes_come_back(ending: str, tmp_path: Path) -> None:
    song = trio()
    path = tmp_path / f"out.{ending}"
    chords = ((0, "G"), (960, "Am7/E"), (1920, "D7b9"), (2880, "N.C."))
    assert write_notation(path, view_of(song, {0}), chords, "Title") == []
    again = read_notation(path)
    assert [track.name for track in again.tracks] == ["Tune", "bass", "drums"]
    assert [track.program for track in again.tracks] == [73, 33, 0]
    for index in (0, 1):
        assert quarters(again, index) == quarters(song, index)
    hits = [[(start, pitch) for start, _, pitch in quarters(own, 2)] for own in (song, again)]
    assert hits[0] == hits[1]
    assert again.metres.tolist() == song.metres.tolist()
    assert again.tempos.tolist() == song.tempos.tolist()
    (texts,) = (own for own in again.texts if CHORDS in own.values())
    assert list(texts.values()) == [CHORDS, "G", "Am7/E", "D7b9", "N.C."]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["auld_lang_syne", "entertainer", "mountain_king"])
def test_tunes_come_back(name: str, tmp_path: Path) -> None:
    first = tmp_path / "first.musicxml"
    first.write_text(musicxml_of(tunes()[name]), encoding="utf-8")
    song = read_notation(first)
    write_notation(tmp_path / "second.musicxml", view_of(song, {0}))
    again = read_notation(tmp_path / "second.musicxml")
    assert quarters(again, 0) == quarters(song, 0)
    assert again.metres.tolist() == song.metres.tolist()


def test_drums_are_on_a_percussion_staff() -> None:
    root = tree(trio())
    part = root.findall("part")[2]
    assert part.findtext("measure/attributes/clef/sign") == "percussion"
    assert not list(part.iter("pitch")) and not list(part.iter("key"))
    entry = root.findall("part-list/score-part")[2]
    drums = {
        own.get("id"): int(own.findtext("midi-unpitched") or 0) - 1
        for own in entry.findall("midi-instrument")
    }
    assert sorted(drums.values()) == [36, 38, 42, 46, 49]
    names = [own.findtext("instrument-name") for own in entry.findall("score-instrument")]
    assert names == [drum_name(pitch) for pitch in (36, 38, 42, 46, 49)]
    heads = set()
    for note in part.iter("note"):
        if note.find("unpitched") is None:
            continue
        player = note.find("instrument")
        assert player is not None
        pitch = drums[player.get("id")]
        step, octave, head = place_of(pitch)
        assert note.findtext("unpitched/display-step") == step
        assert note.findtext("unpitched/display-octave") == str(octave)
        assert (note.findtext("notehead") or "normal") == head
        feet = pitch == 36
        assert note.findtext("voice") == ("2" if feet else "1")
        heads.add((pitch, head))
    assert heads == {(36, "normal"), (38, "normal"), (42, "x"), (46, "circle-x"), (49, "x")}


def test_clefs_keys_tempos_and_title() -> None:
    root = tree(trio(), ((0, "G"),))
    assert root.findtext("movement-title") == "Title"
    clefs = [part.findtext("measure/attributes/clef/sign") for part in root.findall("part")]
    assert clefs == ["G", "F", "percussion"]
    octaves = [part.findtext(".//clef/clef-octave-change") for part in root.findall("part")]
    assert octaves == [None, "-1", None]
    assert [part.findtext(".//fifths") for part in root.findall("part")] == ["1", "1", None]
    assert [float(own.text or 0) for own in root.iter("per-minute")] == [100, 120]
    assert root.findtext("part/measure/harmony/root/root-step") == "G"
    # F sharp is in the key, and needs no accidental.
    sharp = [n for n in root.iter("note") if n.findtext("pitch/step") == "F"]
    assert sharp and all(n.findtext("pitch/alter") == "1" for n in sharp)
    assert all(n.find("accidental") is None for n in sharp)


def test_the_same_song_is_the_same_file() -> None:
    view = view_of(trio(), {0})
    assert notation_bytes(view)[0] == notation_bytes(view)[0]


def test_chords_and_voices_of_a_track(tmp_path: Path) -> None:
    notes = [(0, 4, 60), (0, 2, 67), (0, 2, 64), (2, 4, 65), (3, 5, 72)]
    song = score(chunk(notes, name="Piano"), chunk([(0, 8, 72)], 40, 1, name="Violin"))
    write_notation(tmp_path / "v.musicxml", view_of(song, {1}))
    assert quarters(read_notation(tmp_path / "v.musicxml"), 0) == quarters(song, 0)


def test_notes_beside_the_grid_are_moved_and_reported() -> None:
    loose = score(chunk([(0.013, 0.99, 60), (1, 2, 62)], name="Flute"))
    content, remarks = notation_bytes(view_of(loose, {0}))
    assert remarks == [
        "MusicXML: 1 of 2 notes of 'Flute' lie beside what notation can write, and are at the "
        "nearest sixteenth or triplet"
    ]
    assert b"<pitch>" in content


def test_a_pickup_is_not_counted() -> None:
    file = mido.MidiFile(ticks_per_beat=480)
    metres = mido.MidiTrack([
        mido.MetaMessage("time_signature", numerator=1, denominator=4),
        mido.MetaMessage("time_signature", numerator=4, denominator=4, time=480),
    ])  # fmt: skip
    file.tracks = [metres, chunk([(0, 1, 60), (1, 5, 62)])]
    measures = tree(score_of(file)).findall("part/measure")
    assert [(own.get("number"), own.get("implicit")) for own in measures] == [
        ("0", "yes"), ("1", "no"),
    ]  # fmt: skip
    assert measures[0].findtext("attributes/time/beats") == "4"


@pytest.mark.parametrize(
    "name",
    ["C", "F#m7", "Bb7", "Ebmaj7/G", "Am7b5", "C7b9", "D7sus", "G+", "Bdim7", "C6/9", "Abm6",
     "E7#9", "N.C.", "Dmmaj7", "Csus2", "F5", "C9", "Cadd9", "Gm11", "A13"],
)  # fmt: skip
def test_chord_symbols_come_back(name: str) -> None:
    again, _ = chord_name(notated(name))
    assert chord_tones(again) == chord_tones(name)


@given(
    st.integers(0, 4 * 48 - 1).flatmap(lambda a: st.tuples(st.just(a), st.integers(a + 1, 4 * 48)))
)
def test_pieces_fill_a_stretch(ends: tuple[int, int]) -> None:
    start, end = (Fraction(time, 48) for time in ends)
    found = list(pieces(start, end))
    assert found[0][0] == start and found[-1][1] == end
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert all(a < b for a, b in found)


@examples(50)
@given(st.integers(0, 10_000), st.sampled_from([96, 120, 480, 960, 1024]))
def test_ticks_move_no_further_than_half_a_sixteenth(tick: int, resolution: int) -> None:
    at, exact = quarter_of(tick, resolution)
    assert abs(at - Fraction(tick, resolution)) <= Fraction(1, 8)
    assert exact == any((Fraction(tick, resolution) * n).denominator == 1 for n in EXACT)


def test_notes_last_something() -> None:
    notes = np.array([(0, 1, 60, 80)], TICK_NOTE)
    assert spans(notes, 480) == ([(Fraction(0), Fraction(1, 4), 60)], 1)
