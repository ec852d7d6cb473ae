"""Stems: each track as a MIDI and a WAV file."""

from __future__ import annotations

import wave
from pathlib import Path

import mido
import numpy as np
import pytest
from small_scores import chunk, score

from musicvae_torch.midi.score import Score, read_score
from surrogate.render.view import View, view_of

pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound")

from surrogate.render.audio import render
from surrogate.render.stems import stem_names, write_stems


def song() -> Score:
    """Two flutes, a bass whose program another chunk sets, and drums; the tempo and the metre
    change, and the melody has words."""
    conductor = mido.MidiTrack([
        mido.MetaMessage("set_tempo", tempo=600_000),
        mido.MetaMessage("time_signature", numerator=3, denominator=4),
        mido.MetaMessage("marker", text="Verse"),
        mido.Message("program_change", channel=1, program=33),
        mido.MetaMessage("set_tempo", tempo=400_000, time=3 * 480),
        mido.MetaMessage("time_signature", numerator=4, denominator=4),
    ])  # fmt: skip
    tune = chunk([(0, 1, 72), (1, 3, 74), (3, 6.5, 76)], 73, name="Flute")
    tune.insert(2, mido.MetaMessage("lyrics", text="la"))
    bass = chunk([(0, 3, 43), (3, 6, 38)], 0, 1, name="bass")
    del bass[1]  # its program
    return score(
        conductor,
        tune,
        chunk([(0, 3, 79)], 73, 2, name="Flute"),
        bass,
        chunk([(0, 0.1, 36), (3, 3.1, 38)], 0, 9, name="drums"),
    )


@pytest.fixture(scope="module")
def view() -> View:
    return view_of(song(), {0}, title="Tune")


@pytest.fixture(scope="module")
def stems(view: View, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = write_stems(tmp_path_factory.mktemp("stems") / "new", "tune", view)
    return {path.name: path for path in paths}


NAMES = ("melody", "flute", "bass", "drums")


def test_a_midi_and_a_wav_file_of_each_track(view: View, stems: dict[str, Path]) -> None:
    assert stem_names(view) == list(NAMES)
    assert set(stems) == {f"tune_{name}.{ending}" for name in NAMES for ending in ("mid", "wav")}
    assert all(path.is_file() for path in stems.values())


@pytest.mark.parametrize("index", range(4))
def test_midi_has_the_track_and_the_whole_tempo_map(
    index: int, view: View, stems: dict[str, Path]
) -> None:
    whole, own = view.score, read_score(stems[f"tune_{NAMES[index]}.mid"])
    (track,) = own.tracks
    np.testing.assert_array_equal(track.notes, whole.tracks[index].notes)
    assert (track.name, track.program, track.is_drum) == (
        whole.tracks[index].name, whole.tracks[index].program, whole.tracks[index].is_drum,
    )  # fmt: skip
    assert own.resolution == whole.resolution and own.remarks == ()
    assert own.tempos.tolist() == whole.tempos.tolist()
    assert own.metres.tolist() == whole.metres.tolist()
    texts = [text for texts in own.texts for text in texts.values()]
    assert "Verse" in texts and ("la" in texts) == (index == 0)
    # A bar of three and one of four quarters: the melody ends within the second.
    assert {chunk.end for chunk in own.file.tracks} == {7 * 480}


def test_wav_files_are_equally_long_and_add_up(view: View, stems: dict[str, Path]) -> None:
    sounds = []
    for name in NAMES:
        with wave.open(str(stems[f"tune_{name}.wav"])) as file:
            assert file.getparams()[:3] == (2, 2, 48_000)
            data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            sounds.append(data.reshape(-1, 2) / 32_767)
    assert len({len(sound) for sound in sounds}) == 1
    assert all(np.abs(sound).max() > 0.01 for sound in sounds)
    whole = render(view)
    assert len(sounds[0]) == len(whole)
    difference = sum(sounds) - whole
    assert np.sqrt((difference**2).mean()) < 0.05 * np.sqrt((whole**2).mean())


def test_names_are_plain_and_distinct() -> None:
    notes = [(0.0, 1.0, 60)]
    names = ("a/b: c", "2", "", "x" * 90)
    own = score(*(chunk(notes, 73, n, name) for n, name in enumerate(names)))
    plain = View("t", own, ("other",) * 4)
    assert stem_names(plain) == ["a_b_c", "track_2", "flute", "x" * 40]
