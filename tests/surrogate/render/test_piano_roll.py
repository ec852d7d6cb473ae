"""The picture of a song."""

from __future__ import annotations

import re
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from small_scores import score_of

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score, read_score
from surrogate.render.piano_roll import draw_piano_roll, draw_view
from surrogate.render.view import COLOURS, view_of
from surrogate.song.bars import bars_of
from surrogate.song.roles import roles_of


@pytest.fixture
def trio() -> pretty_midi.PrettyMIDI:
    midi = pretty_midi.PrettyMIDI()
    for program, is_drum, pitch in ((34, False, 72), (33, False, 40), (0, True, 38)):
        track = pretty_midi.Instrument(program, is_drum)
        track.notes = [pretty_midi.Note(127, pitch, 2 * bar, 2 * bar + 1) for bar in range(20)]
        midi.instruments.append(track)
    return midi


def song(changes: list[tuple[int, int, int]], end: int, resolution: int = 480) -> Score:
    """One held note under metre changes given as (tick, numerator, denominator)."""
    events = [
        (tick, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator))
        for tick, numerator, denominator in changes
    ]
    events += [(0, mido.Message("note_on", note=60, velocity=80))]
    events += [(end, mido.Message("note_off", note=60))]
    chunk = mido.MidiTrack()
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        chunk.append(message.copy(time=tick - now))
        now = tick
    file = mido.MidiFile(ticks_per_beat=resolution)
    file.tracks.append(chunk)
    return score_of(file)


def pixels(path: Path, colour: str) -> int:
    """How many pixels of a picture have a colour."""
    from matplotlib.image import imread

    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.round(imread(path)[..., :3] * 255).astype(int) == wanted).all(-1).sum())


def test_every_part_is_drawn_in_its_colour(trio: pretty_midi.PrettyMIDI, tmp_path: Path) -> None:
    path = tmp_path / "roll.png"
    draw_piano_roll(trio, path, title="a song")
    for role in ("melody", "bass", "drums"):
        assert pixels(path, COLOURS[role]) > 200, role
    assert pixels(path, COLOURS["other"]) == 0


def test_new_parts_and_loud_notes_are_seen(trio: pretty_midi.PrettyMIDI, tmp_path: Path) -> None:
    score = read_score(trio)
    given, new = tmp_path / "given.svg", tmp_path / "new.svg"
    draw_view(view_of(score, {0}), given)
    draw_view(view_of(score, {0}, {1}), new)
    outline = re.compile("stroke: #114163")  # the bass's blue, darker
    assert not outline.search(given.read_text(encoding="utf-8"))
    assert outline.search(new.read_text(encoding="utf-8"))
    for instrument in trio.instruments:
        for note in instrument.notes:
            note.velocity = 20
    soft = tmp_path / "soft.png"
    draw_view(view_of(read_score(trio), {0}), soft)
    legend_alone = pixels(soft, COLOURS["melody"])
    loud = tmp_path / "loud.png"
    draw_view(view_of(score, {0}), loud)
    assert pixels(loud, COLOURS["melody"]) > legend_alone + 1000


def test_the_same_song_gives_the_same_file(trio: pretty_midi.PrettyMIDI, tmp_path: Path) -> None:
    for suffix in ("svg", "pdf", "png"):
        paths = [tmp_path / f"{n}.{suffix}" for n in range(2)]
        for path in paths:
            draw_piano_roll(trio, path, "$ \\frac{ 日本 a very long name " * 9)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_other_formats_and_none(trio: pretty_midi.PrettyMIDI, tmp_path: Path) -> None:
    draw_piano_roll(trio, tmp_path / "roll.svg")
    assert "<svg" in (tmp_path / "roll.svg").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="xyz"):
        draw_piano_roll(trio, tmp_path / "roll.xyz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["roll.svg"]


def test_an_empty_song(tmp_path: Path) -> None:
    draw_piano_roll(pretty_midi.PrettyMIDI(), tmp_path / "roll.png")
    assert (tmp_path / "roll.png").stat().st_size > 0


def test_bars_are_the_songs_own() -> None:
    bars = bars_of(song([(0, 4, 4)], 2 * 1920 + 61))  # over half a sixteenth
    assert bars.ticks.tolist() == [0, 1920, 3840, 5760] and bars.first == 1
    assert bars.beats(480)[:4].tolist() == [480, 960, 1440, 1920 + 480]

    late = bars_of(song([(0, 4, 4)], 2 * 1920 + 60))
    assert late.ticks.tolist() == [0, 1920, 3840]

    waltz = bars_of(song([(0, 3, 4), (2880, 6, 8)], 4320))
    assert waltz.ticks.tolist() == [0, 1440, 2880, 4320] and waltz.first == 1
    assert waltz.metres.tolist() == [[3, 4], [3, 4], [6, 8]]

    pickup = bars_of(song([(0, 1, 4), (480, 4, 4)], 480 + 1920))
    assert pickup.ticks.tolist() == [0, 480, 2400] and pickup.first == 0

    # A change within a bar cuts it short; one after the last note is not reached.
    cut = bars_of(song([(0, 4, 4), (2400, 2, 4), (9600, 4, 4)], 3360))
    assert cut.ticks.tolist() == [0, 1920, 2400, 3360] and cut.first == 1


def test_metres_are_written_where_they_are_new(tmp_path: Path) -> None:
    path = tmp_path / "roll.svg"
    score = song([(0, 1, 4), (480, 3, 4), (480 + 40 * 1440, 2, 4)], 480 + 41 * 1440)
    draw_view(view_of(score, {0}), path)
    texts = re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))
    assert {"1   3/4", "2", "16", "17", "41   2/4"} <= set(texts)
    assert not {"0", "1   1/4"} & set(texts)


def test_absurd_songs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="more than 4096 bars"):
        draw_view(view_of(song([(0, 1, 64)], 480 * 100_000)), tmp_path / "roll.png")
    assert not list(tmp_path.iterdir())


def test_tracks_have_the_roles_of_their_instruments(trio: pretty_midi.PrettyMIDI) -> None:
    score = read_score(trio)
    assert roles_of(score) == ("bass", "bass", "drums")
    assert roles_of(score, {0}) == ("melody", "bass", "drums")
    trio.instruments[0].program = 40
    assert roles_of(read_score(trio)) == ("other", "bass", "drums")
