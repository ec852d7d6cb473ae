"""Lead sheets: their chords, basses judged by them, and systems side by side."""

from __future__ import annotations

import json
from pathlib import Path

import mido
import numpy as np
import pytest
from lead_sheet_files import CHORDS, MELODY, Notes, write
from trio_songs import Recorder, small_surrogate, small_vae

from musicvae_torch.errors import MidiError, NoSongsError
from surrogate import Accompanist, AccompanyOptions
from surrogate.evaluation.against import ALONE, WITH_CHORDS, WITHOUT_HARMONY, compare
from surrogate.evaluation.lead_sheets import read_lead_sheet, share_of_chord_tones, share_of_roots

QUARTER = 48


def bass(*notes: tuple[int, int]) -> np.ndarray:
    """(64,) classes of pitches by the steps at which they start."""
    tokens = np.zeros(64, np.int64)
    for step, pitch in notes:
        tokens[step] = pitch - 21 + 2
    return tokens


def test_chords_on_a_track(tmp_path: Path) -> None:
    write(tmp_path / "sheet.mid", (80, MELODY), (0, CHORDS))
    sheet = read_lead_sheet(tmp_path / "sheet.mid")
    assert sheet.chords == "C | C Am | G7 | C"
    assert sheet.roots[[0, 16, 23, 24, 32, 44, 48]].tolist() == [0, 0, 0, 9, 7, 7, 0]
    assert np.flatnonzero(sheet.tones[24]).tolist() == [0, 4, 9]
    assert not sheet.tones[44:48].any()  # nothing sounds there
    assert [len(track.notes) for track in sheet.melody.tracks] == [16]


def test_the_melody_may_come_second(tmp_path: Path) -> None:
    write(tmp_path / "sheet.mid", (0, CHORDS), (80, MELODY))
    sheet = read_lead_sheet(tmp_path / "sheet.mid")
    assert sheet.melody.tracks[0].program == 80 and sheet.chords == "C | C Am | G7 | C"


def test_chords_as_texts(tmp_path: Path) -> None:
    write(tmp_path / "sheet.mid", (80, MELODY))
    file = mido.MidiFile(tmp_path / "sheet.mid")
    texts = mido.MidiTrack()
    for name in ("C", "Am", "Dm7", "G7"):
        texts.append(mido.MetaMessage("text", text=name, time=0 if name == "C" else 4 * QUARTER))
    file.tracks.insert(0, texts)
    file.save(tmp_path / "texts.mid")
    sheet = read_lead_sheet(tmp_path / "texts.mid")
    assert sheet.chords == "C | Am | Dm7 | G7"
    assert np.flatnonzero(sheet.tones[32]).tolist() == [0, 2, 5, 9]


def test_what_is_no_lead_sheet(tmp_path: Path) -> None:
    write(tmp_path / "melody.mid", (80, MELODY))
    with pytest.raises(MidiError, match=r"melody\.mid: holds no chords; wanted a lead sheet"):
        read_lead_sheet(tmp_path / "melody.mid")
    write(tmp_path / "chords.mid", (0, CHORDS))
    with pytest.raises(MidiError, match=r"chords\.mid: holds no melody"):
        read_lead_sheet(tmp_path / "chords.mid")


def test_chord_tones_and_roots(tmp_path: Path) -> None:
    write(tmp_path / "sheet.mid", (80, MELODY), (0, CHORDS))
    sheet = read_lead_sheet(tmp_path / "sheet.mid")
    # C and G in C; D not; A in Am; G in G7; step 44 has no chord; E in C, which is not its root.
    notes = bass((0, 36), (4, 43), (8, 38), (24, 45), (32, 43), (44, 36), (48, 40))
    assert share_of_chord_tones(notes, sheet.tones) == pytest.approx(5 / 6)
    # On downbeats: C of C, G of G7, E of C.
    assert share_of_roots(notes, sheet.roots) == pytest.approx(2 / 3)
    assert np.isnan(share_of_chord_tones(bass(), sheet.tones))
    assert np.isnan(share_of_roots(bass((4, 36)), sheet.roots))


def test_systems_side_by_side(tmp_path: Path) -> None:
    kicks: Notes = [(beat, beat + 0.5, 36) for beat in range(0, 16, 2)]
    for song in ("001", "002"):
        write(tmp_path / song / "lead_sheet.mid", (80, MELODY), (0, CHORDS))
    roots: Notes = [(0, 4, 36), (4, 6, 36), (6, 8, 45), (8, 12, 43), (12, 16, 36)]
    write(tmp_path / "001/Full.mid", (80, MELODY), (33, roots), (0, kicks), drums=True)
    # Another resolution and no drums.
    write(tmp_path / "001/Low.mid", (80, MELODY), (33, [(0, 4, 38), (4, 6, 36)]), quarter=50)
    write(tmp_path / "002/Low.mid", (80, MELODY), (33, [(0, 4, 36)]), quarter=50)
    (tmp_path / "002/Full.mid").write_bytes(b"no MIDI")
    (tmp_path / "002/notes.txt").write_text("not a song")
    options = AccompanyOptions(harmony="all")
    result = compare(Accompanist(small_vae(), small_surrogate()), tmp_path, options, seeds=2)
    assert result.files == ["001", "002"]
    assert list(result.rows) == ["Full", "Low", WITH_CHORDS, ALONE, WITHOUT_HARMONY]
    full, low = result.rows["Full"], result.rows["Low"]
    assert full["chord tones"][0] == full["roots on the downbeat"][0] == 1.0
    assert np.isnan(full["chord tones"][1])
    assert low["chord tones"].tolist() == [0.5, 1.0]
    assert "drum hits a bar" not in low and full["drum hits a bar"][0] == 2.0
    # A bass whose every note is moved into the chords that are given hits them.
    assert result.rows[WITH_CHORDS]["chord tones"].tolist() == [1.0, 1.0]
    assert result.rows[WITHOUT_HARMONY]["chord tones"].max() < 0.9
    text = str(result)
    assert "Low has bass in 2 and drums in 0 of 2 files" in text
    assert "Full.mid: not readable" in text and f"| {ALONE} less Full |" in text
    json.dumps(result.as_json(), allow_nan=False)


def test_ours_is_asked_in_three_ways(tmp_path: Path) -> None:
    write(tmp_path / "001/lead_sheet.mid", (33, MELODY), (0, CHORDS))
    write(tmp_path / "001/X.mid", (33, MELODY), (34, [(0, 4, 36)]), (0, [(0, 1, 36)]), drums=True)
    write(tmp_path / f"001/{ALONE}.mid", (80, MELODY), (33, [(0, 4, 36)]))
    write(tmp_path / "other/Y.mid", (80, MELODY))
    accompanist = Accompanist(small_vae(), small_surrogate())
    accompanist.generator = recorder = Recorder()
    result = compare(accompanist, tmp_path)
    asked = [(options.chords, options.harmony) for options in recorder.asked]
    assert asked == [("C | C Am | G7 | C", "strong"), (None, "strong"), (None, "off")]
    # A melody on a bass program is no bass.
    assert result.rows["X"]["bass notes a bar"].tolist() == [1 / 4]
    assert result.rows[ALONE]["bass notes a bar"].tolist() == [1.0]
    assert len(result.skipped) == 2
    assert "no lead_sheet lies beside it" in result.skipped[0]
    assert "its name is taken by another row" in result.skipped[1]


def test_the_fullest_track_has_the_chords_and_a_bass_is_no_melody(tmp_path: Path) -> None:
    thirds = MELODY + [(start, end, pitch + 4) for start, end, pitch in MELODY]
    low: Notes = [(beat, beat + 1, 40) for beat in range(16)]
    write(tmp_path / "thirds.mid", (80, thirds), (0, CHORDS))
    assert read_lead_sheet(tmp_path / "thirds.mid").chords == "C | C Am | G7 | C"
    write(tmp_path / "bass.mid", (0, CHORDS), (33, low), (80, MELODY))
    assert read_lead_sheet(tmp_path / "bass.mid").melody.tracks[0].program == 80


def test_lead_sheets_alone(tmp_path: Path) -> None:
    write(tmp_path / "001/lead_sheet.mid", (80, MELODY), (0, CHORDS))
    result = compare(Accompanist(small_vae(), small_surrogate()), tmp_path)
    assert "nothing of others to compare with" in str(result)


def test_folders_without_lead_sheets_that_can_be_read(tmp_path: Path) -> None:
    write(tmp_path / "001/lead_sheet.mid", (80, MELODY))
    with pytest.raises(NoSongsError, match=r"nothing to compare with: .*holds no chords"):
        compare(Accompanist(small_vae(), small_surrogate()), tmp_path)
