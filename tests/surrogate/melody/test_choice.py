"""Which track is taken for the melody: by query, by guess, and how that is shown."""

from __future__ import annotations

import mido
import pytest
from small_scores import chunk, in_quarters, score

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from surrogate.melody.choice import choose_melody, summarize_tracks, tracks_table
from surrogate.melody.features import FEATURES, features, lines


def part(
    chords: list[list[int]], program: int = 0, channel: int = 0, name: str = "", start: float = 0
) -> mido.MidiTrack:
    """A chord a quarter."""
    notes = [
        (start + beat, start + beat + 1, pitch)
        for beat, chord in enumerate(chords)
        for pitch in chord
    ]
    return chunk(notes, program, channel, name)


UP = [[72], [74], [76], [77]]
TUNE = part(UP, 73, 0, "tune")
CHORDS = part([[48, 52, 55]] * 4, 0, 1, "chords")
BASS = part([[36], [38], [40], [41]], 33, 2)
DRUMS = part([[36]] * 4, 0, 9)
FILL = part([[84]], 40, 3)


def chosen(song: Score, wanted: str | int | None = None) -> tuple[int, ...]:
    return choose_melody(song, wanted).tracks


def test_a_lone_line_in_a_singers_register_wins() -> None:
    melody = choose_melody(score(DRUMS, BASS, CHORDS, TUNE, FILL))
    assert melody.tracks == (3,)
    assert in_quarters(melody.notes) == [(i, i + 1, p) for i, [p] in enumerate(UP)]
    assert melody.how.startswith("track 3: 'tune' Flute, 4 notes (likeliest: ")


def test_any_instrument_may_sing() -> None:
    for program in range(0, 128, 5):
        assert chosen(score(CHORDS, BASS, part(UP, program, 4))) == (2,)


def test_a_name_decides() -> None:
    named = part([[60, 64]] * 4, 0, 3, "Lead vocals")
    assert chosen(score(TUNE, named)) == (1,)
    assert chosen(score(part(UP, 73, 0, "Harmony"), part(UP, 73, 1, "Melody"))) == (1,)


def test_a_name_does_not_outweigh_the_rest_of_the_song() -> None:
    backing = part([[60]], 0, 1, "Backing vocals")
    assert chosen(score(part([*UP, *UP], 73, 0, "flute"), backing)) == (0,)


def test_only_a_bass_is_a_melody_too() -> None:
    melody = choose_melody(score(DRUMS, BASS))
    assert melody.tracks == (1,)
    assert "the only one that can be a melody" in melody.how


def test_chords_are_reduced_and_that_is_said() -> None:
    melody = choose_melody(score(CHORDS), 0)
    assert melody.notes["pitch"].tolist() == [55] * 4
    assert melody.how == (
        "track 0: 'chords' Acoustic Grand Piano, 12 notes (as chosen); highest voice of chords"
    )


def test_a_program_change_does_not_split_the_line() -> None:
    # Flute for a bar, then violin, on one channel of one chunk.
    file = part(UP, 73, 0, "solo")
    file += [
        mido.Message("program_change", program=40),
        *part([[79], [77], [76], [74]], 40, 0)[2:],
    ]
    song = score(CHORDS, file)
    melody = choose_melody(song)
    assert [track.program for track in song.tracks] == [0, 73, 40]
    assert melody.tracks == (1, 2)
    assert melody.notes["pitch"].tolist() == [72, 74, 76, 77, 79, 77, 76, 74]
    assert chosen(song, "solo") == (1, 2)
    assert chosen(song, "instrument:violin") == (1, 2)
    assert chosen(song, 2) == (2,)  # a number is that track and no other


def test_tracks_of_one_name_belong_together_if_they_take_turns() -> None:
    """And if they have a channel or a family of instruments in common."""

    def with_others(*saxes: mido.MidiTrack) -> tuple[int, ...]:
        return chosen(score(*saxes, CHORDS, BASS, DRUMS), "sax")

    alto = part(UP, 65, 4, "Sax")
    assert with_others(alto, part(UP, 66, 5, "Sax", start=4)) == (0, 1)
    assert with_others(alto, part(UP, 40, 4, "Sax", start=4)) == (0, 1)
    for other in (
        part(UP, 66, 5, "Sax", start=2),  # not in turn
        part(UP, 40, 5, "Sax", start=4),  # another player
    ):
        with pytest.raises(MidiError, match="'sax' fits several tracks"):
            with_others(alto, other)
    nameless = part(UP, 65, 4), part(UP, 66, 5, start=4)
    with pytest.raises(MidiError, match="fits several tracks"):
        with_others(*nameless)


def test_a_name_that_most_chunks_share_is_the_songs() -> None:
    first, then = part(UP, 65, 4, "My song"), part(UP, 66, 5, "My song", start=4)
    chords = part([[48, 52, 55]] * 4, 0, 1, "My song")
    assert chosen(score(first, then, chords)) in [(0,), (1,)]


BAND = score(
    DRUMS,  # 0
    part(UP, 73, 4, "2nd"),  # 1
    part(UP, 73, 5, "Flute solo"),  # 2
    part(UP, 40, 6, "violin"),  # 3
    part(UP, 56, 7, "FLUTE SOLO B"),  # 4
    part([[5]], 60, 8, "too low"),  # 5
)


@pytest.mark.parametrize(
    ("wanted", "track"),
    [
        (3, 3),
        ("3", 3),
        (" track:3 ", 3),
        ("channel:5", 1),
        ("Channel: 7", 3),
        ("program:40", 3),
        ("Flute solo", 2),
        ("flute solo b", 4),
        ("solo b", 4),
        ("name:2", 1),
        ("2nd", 1),
        ("violin", 3),
        ("trumpet", 4),
        ("instrument:Trumpet", 4),
        ("instrument:viol", 3),
    ],
)
def test_the_users_query(wanted: str | int, track: int) -> None:
    assert chosen(BAND, wanted) == (track,)


@pytest.mark.parametrize("wanted", ["2,3", "3, 2", ["violin", "flute solo"], [3, "channel:6"]])
def test_tracks_that_share_the_melody(wanted: str | list[str | int]) -> None:
    melody = choose_melody(BAND, wanted)
    assert melody.tracks == (2, 3)
    assert melody.how.startswith("track 2: 'Flute solo' Flute, 4 notes and track 3: 'violin' ")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("9", "no track fits '9'; the tracks are: track 0: drums, 4 notes; track 1: '2nd' Flute"),
        (-1, "no track fits '-1'"),
        ("2,9", "no track fits '2,9'"),
        ("2,0", r"track 0: drums, 4 notes holds no melody \(drums\)"),
        ("oboe", "no track fits 'oboe'"),
        ("name:Trumpet", "no track fits 'name:Trumpet'"),
        ("flute", "'flute' fits several tracks; choose one by its index: track 2: 'Flute solo'"),
        ("program:73", "'program:73' fits several tracks.*track 1: .*track 2: "),
        ("0", r"track 0: drums, 4 notes holds no melody \(drums\)"),
        ("channel:10", r"holds no melody \(drums\)"),
        ("too low", r"track 5: .* holds no melody \(no note from 21 to 108\)"),
        ("channel:0", "'0' is no channel: they go from 1 to 16"),
        ("channel:x", "'x' is no channel"),
        ("program:128", "'128' is no program: they go from 0 to 127"),
        ("program:", r"names no melody; say 2 \(a track's number\), 0,3 \(several\), channel"),
        ("", "names no melody"),
    ],
)
def test_a_query_that_cannot_be_met(wanted: str | int, says: str) -> None:
    with pytest.raises(MidiError, match=says) as caught:
        choose_melody(BAND, wanted)
    assert str(caught.value).startswith("song.mid: ")
    assert "\n" not in str(caught.value)


def test_a_channel_is_all_that_sounds_on_it() -> None:
    upper, lower = part(UP, 0, 3, "a"), part([[60]] * 4, 0, 3, "b")
    melody = choose_melody(score(TUNE, lower, upper), "channel:4")
    assert melody.tracks == (1, 2)
    assert melody.notes["pitch"].tolist() == [72, 74, 76, 77]


@pytest.mark.parametrize(
    ("right", "left"), [("Piano right", "Piano left"), ("RH", "LH"), ("Right Hand", "Left Hand")]
)
def test_of_two_tracks_for_two_hands_the_right_one(right: str, left: str) -> None:
    song = score(part([[48]] * 4, 0, 0, left), part(UP, 0, 1, right))
    assert chosen(song) == (1,)
    assert chosen(song, "piano") == (1,)
    assert chosen(song, left) == (0,)


def test_nothing_to_choose_from() -> None:
    with pytest.raises(MidiError, match=r"song.mid: no melody: .*no track has a note"):
        choose_melody(score(chunk([])))
    with pytest.raises(MidiError, match="no track has a pitched note from 21 to 108"):
        choose_melody(score(part([[5], [120]]), DRUMS))


def test_why_there_is_no_melody() -> None:
    with pytest.raises(MidiError, match=r"drums, 4 notes\); --given drums makes a melody"):
        choose_melody(score(DRUMS))
    with pytest.raises(
        MidiError, match=r"Flute, 4 notes would be the melody, but is chosen for an"
    ):
        choose_melody(score(TUNE, DRUMS), but=[0])


def test_features_by_hand() -> None:
    # The bass plays two of the four quarters, a whole tone up, then down an octave.
    bass = part([[36], [38]], 33, 2)
    song = score(TUNE, bass)
    tune, low = (
        dict(zip(FEATURES, row, strict=True)) for row in features(song, lines(song)).tolist()
    )
    assert (tune["present"], low["present"]) == (1, 0.5)
    assert (tune["alone"], low["alone"]) == (1, 1)
    assert (tune["top"], low["top"]) == (1, 0)
    assert (tune["solo"], low["solo"], tune["bass"], low["bass"]) == (1, 0, 0, 1)
    assert tune["register"] == pytest.approx(-(74.75 - 70) / 12)
    assert (tune["early"], low["early"]) == (0, -1)
    assert (tune["steps"], tune["leaps"], tune["rhythm"]) == (1, 0, 0)
    assert tune["pace"] == pytest.approx(-0.585, abs=1e-3)  # log2 of 1 note a quarter over 1.5
    assert tune["loud"] == 0


def test_summaries() -> None:
    tune, chords, drums = summarize_tracks(score(TUNE, CHORDS, DRUMS))
    assert (tune.low, tune.high, tune.notes, tune.polyphony, tune.playing) == (72, 77, 4, 1, 1)
    assert (chords.polyphony, drums.score, drums.probability) == (3, None, 0)
    assert tune.probability + chords.probability == pytest.approx(1)
    assert tune.score is not None and chords.score is not None and tune.score > chords.score


def test_the_table() -> None:
    song = score(DRUMS, CHORDS, part(UP, 73, 4, "a\nname " + "long " * 9))
    header, *rows = tracks_table(song, choose_melody(song)).splitlines()
    assert " ".join(header.split()) == (
        "rank track name channel instrument notes range plays voices score chance"
    )
    assert [row.split()[:2] for row in rows] == [["1", "2"], ["2", "1"], ["-", "0"]]
    assert rows[0].endswith("<- melody") and rows[2].endswith("drums")
    assert " a name long long long long …  " in rows[0] and "C5-F5   100%     1.0" in rows[0]
    assert (
        len({row.index(sound) for row, sound in zip(rows, ("Flu", "Aco", "dru"), strict=True)}) == 1
    )
    assert tracks_table(score(chunk([]))) == "no track has a note"
