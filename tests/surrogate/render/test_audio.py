"""The sound of a song."""

from __future__ import annotations

import wave
from pathlib import Path

import mido
import numpy as np
import pytest

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from surrogate.render.view import View, view_of

pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound")

from small_scores import score_of

from surrogate.render.audio import mix, peak, render, synthesize_stems, to_channels, write_wav
from surrogate.render.synth import SAMPLE_RATE, TAIL_SECONDS, Synthesizer

RATE = SAMPLE_RATE
SECOND = 960  # ticks at 480 a quarter, 120 a minute
FLUTE, SINE_LIKE = 73, 79  # a flute; an ocarina, which has next to no overtones


Events = list[tuple[int, mido.Message]]  # with their ticks


def message(kind: str, at: int, **values: int) -> tuple[int, mido.Message]:
    return at, mido.Message(kind, **values)


def note(start: int, end: int, pitch: int, channel: int = 0, velocity: int = 100) -> Events:
    return [
        message("note_on", start, note=pitch, velocity=velocity, channel=channel),
        message("note_off", end, note=pitch, channel=channel),
    ]


def program(number: int, channel: int = 0) -> Events:
    return [message("program_change", 0, program=number, channel=channel)]


def song(*chunks: Events) -> Score:
    """A file whose chunks are lists of messages at ticks."""
    file = mido.MidiFile(ticks_per_beat=480)
    for events in chunks:
        now = 0
        chunk = mido.MidiTrack()
        for tick, event in sorted(events, key=lambda entry: entry[0]):
            chunk.append(event.copy(time=tick - now))
            now = tick
        file.tracks.append(chunk)
    return score_of(file)


def play(score: Score) -> np.ndarray:
    """All tracks at once, as loud as they are."""
    return Synthesizer().synthesize(score, score.tracks)


def stems_of(view: View) -> dict[str, np.ndarray]:
    return synthesize_stems(view, Synthesizer())


def loudness(samples: np.ndarray, start: float, end: float) -> float:
    """Root of the mean square between two seconds."""
    return float(np.sqrt((samples[round(start * RATE) : round(end * RATE)] ** 2).mean()))


def frequency(samples: np.ndarray, start: float, end: float) -> float:
    """The strongest frequency between two seconds, in Hz."""
    part = samples[round(start * RATE) : round(end * RATE)].mean(1)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8 * len(part)))
    return float(spectrum.argmax() * RATE / (8 * len(part)))


def cents(frequency: float, pitch: float) -> float:
    """How far from a MIDI pitch, in hundredths of a semitone."""
    return float(100 * (12 * np.log2(frequency / 440) + 69 - pitch))


def test_a_note_sounds_when_and_how_high_it_is_written() -> None:
    samples = play(song(program(SINE_LIKE) + note(SECOND, 2 * SECOND, 69)))
    assert samples.dtype == np.float32 and samples.shape == (round((2 + TAIL_SECONDS) * RATE), 2)
    assert peak(samples[: RATE - 1]) == 0
    assert loudness(samples, 1.0, 1.1) > 0.005
    assert abs(cents(frequency(samples, 1.2, 1.9), 69)) < 10
    assert loudness(samples, 3.5, 4) < loudness(samples, 1.2, 1.9) / 50
    assert np.abs(samples[-1]).max() < 1e-4


def test_tempo_changes_are_kept() -> None:
    tempo = (SECOND, mido.MetaMessage("set_tempo", tempo=1_000_000))
    events = program(SINE_LIKE) + note(2 * SECOND, 3 * SECOND, 69)
    samples = play(song([tempo, *events]))
    # A second at 120 a minute, then two quarters of a second each.
    assert peak(samples[: 3 * RATE - 1]) == 0
    assert loudness(samples, 3.0, 3.2) > 0.005


def test_programs_and_the_drum_channel_have_their_own_sounds() -> None:
    def tone(*events: Events) -> np.ndarray:
        return play(song([one for some in events for one in some]))

    flute = tone(program(FLUTE), note(0, SECOND, 69))
    ocarina = tone(program(SINE_LIKE), note(0, SECOND, 69))
    assert peak(flute - ocarina) > 0.01
    kick = tone(note(0, SECOND, 36, channel=9))
    assert frequency(kick, 0, 0.3) < 150
    crash = tone(note(0, SECOND, 49, channel=9))
    assert loudness(crash, 0.3, 0.8) > 3 * loudness(kick, 0.3, 0.8)  # which echoes


def test_controllers_and_bends_are_heard() -> None:
    def tone(*events: tuple[int, mido.Message]) -> np.ndarray:
        return play(song([*program(SINE_LIKE), *events, *note(0, SECOND, 69)]))

    def control(number: int, value: int, at: int = 0) -> tuple[int, mido.Message]:
        return message("control_change", at, control=number, value=value)

    plain = tone()
    for number in (7, 11):
        assert loudness(tone(control(number, 40)), 0.2, 0.9) < loudness(plain, 0.2, 0.9) / 2
    left = tone(control(10, 0))
    assert loudness(left[:, :1], 0.2, 0.9) > 5 * loudness(left[:, 1:], 0.2, 0.9)
    held = tone(control(64, 127), control(64, 0, 3 * SECOND // 2))
    assert loudness(held, 1.2, 1.4) > 0.5 * loudness(plain, 0.7, 0.9)
    assert loudness(held, 1.8, 2.0) < 0.1 * loudness(held, 1.2, 1.4)
    kept = tone(control(64, 127))
    assert loudness(kept, 1.5, 1.9) > 0.5 * loudness(plain, 0.7, 0.9)
    up = tone(control(64, 127), control(64, 0, SECOND))  # as the key goes
    np.testing.assert_array_equal(up, plain)
    bent = tone(message("pitchwheel", 0, pitch=4096))  # half of two semitones
    assert abs(cents(frequency(bent, 0.2, 0.9), 70)) < 10
    wide = [control(101, 0), control(100, 0), control(6, 12)]  # the bend's range: an octave
    bent = tone(*wide, message("pitchwheel", 0, pitch=4096))
    assert abs(cents(frequency(bent, 0.2, 0.9), 75)) < 10
    # Resetting the controllers leaves the volume alone, and ends the bend.
    reset = tone(message("pitchwheel", 0, pitch=4096), control(7, 40), control(121, 0))
    assert abs(cents(frequency(reset, 0.2, 0.9), 69)) < 10
    assert loudness(reset, 0.2, 0.9) < loudness(plain, 0.2, 0.9) / 2


def test_chunks_that_share_a_channel() -> None:
    tune = note(0, SECOND, 69)
    alone = play(song(program(FLUTE) + tune))
    # A program that another chunk names holds where a chunk names none.
    set_up = play(song(program(FLUTE), tune))
    np.testing.assert_array_equal(alone, set_up)
    # Where both name one, each keeps its own.
    both = song(program(FLUTE) + tune, program(33) + note(2 * SECOND, 3 * SECOND, 40))
    np.testing.assert_array_equal(play(both)[:RATE], alone[:RATE])


@pytest.fixture(scope="module")
def trio() -> View:
    return view_of(
        song(
            program(FLUTE) + note(0, SECOND, 72) + note(SECOND, 2 * SECOND, 74),
            program(33, 1) + note(0, 2 * SECOND, 36, channel=1),
            note(0, 100, 36, channel=9) + note(SECOND, SECOND + 100, 38, channel=9),
        ),
        melody={0},
    )


def test_stems_sum_to_the_mix(trio: View) -> None:
    stems = stems_of(trio)
    assert set(stems) == {"melody", "bass", "drums"}
    whole = render(trio)
    np.testing.assert_array_equal(mix(stems.values()), whole)
    assert all(loudness(stem, 0, 0.5) > 0.001 for stem in stems.values())
    # The synthesizer rounds envelopes to blocks between events, so one pass differs a little.
    together = play(trio.score)
    assert loudness(together - whole, 0, 3) < 0.1 * loudness(whole, 0, 3)


def test_a_part_sounds_the_same_whatever_else_plays(trio: View) -> None:
    alone = song(program(FLUTE) + note(0, SECOND, 72) + note(SECOND, 2 * SECOND, 74))
    (stem,) = stems_of(view_of(alone, {0})).values()
    np.testing.assert_array_equal(stem, stems_of(trio)["melody"])


def test_what_would_clip_is_softer() -> None:
    chord = [event for pitch in range(30, 100) for event in note(0, SECOND, pitch, velocity=127)]
    view = view_of(song(program(16) + chord, note(0, SECOND, 38, channel=9, velocity=127)), {0})
    assert peak(mix(stems_of(view).values())) > 1
    assert peak(render(view)) == pytest.approx(1, abs=1e-5)


def test_a_song_without_notes() -> None:
    empty = song([])
    assert play(empty).shape == (0, 2)
    assert stems_of(view_of(empty)) == {} and render(view_of(empty)).shape == (0, 2)


def test_hours_are_refused() -> None:
    with pytest.raises(MidiError, match="more than 60 minutes"):
        render(view_of(song(note(0, 1 << 22, 60))))


def test_soundfonts_that_are_none(trio: View, tmp_path: Path) -> None:
    bad = tmp_path / "bad.sf2"
    for missing in (bad, tmp_path):
        with pytest.raises(ValueError, match=rf"{missing.name}: no SoundFont \("):
            render(trio, missing)
    for content in (b"", b"RIFF", b"RIFF" + bytes(100)):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.sf2: not readable as a SoundFont"):
            render(trio, bad)


def test_a_wav_file_has_the_samples_as_16_bit_numbers(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    write_wav(path, np.array([[0, 0.5], [-1, 2]], np.float32), 8000)
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (2, 2, 8000, 2)
        frames = np.frombuffer(file.readframes(2), "<i2").tolist()
    assert frames == [0, 16384, -32767, 32767]
    assert [p.name for p in tmp_path.iterdir()] == ["sound.wav"]


def test_a_part_in_the_middle_is_one_channel() -> None:
    left = np.sin(np.arange(1000) / 9).astype(np.float32)
    echo = 0.04 * np.cos(np.arange(1000) / 5).astype(np.float32)
    middle = np.stack([left, left + echo], axis=1)
    np.testing.assert_allclose(to_channels(middle)[:, 0], left + echo / 2, atol=1e-6)
    aside = np.stack([left, 0.8 * left], axis=1)
    assert to_channels(aside) is aside
    assert to_channels(np.zeros((0, 2))).shape == (0, 1)
