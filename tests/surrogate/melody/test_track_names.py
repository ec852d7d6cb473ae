"""Names of tracks: bytes of no stated encoding, one name for all, names that are no text."""

from __future__ import annotations

from pathlib import Path

import pytest
from odd_songs import read_bytes
from raw_midi import conductor, part, smf, tune

from surrogate.melody.choice import choose_melody

NAMES = [
    ("utf-8", "Flöte"),
    ("utf-8", "メロディ"),
    ("utf-8", "Мелодия"),
    ("utf-8", "Piano 🎹"),
    ("utf-8", "Melody"),
    ("shift_jis", "メロディ"),
    ("shift_jis", "ドラム"),
    ("shift_jis", "主旋律"),
    ("shift_jis", "ピアノ 1"),
    ("cp1251", "Мелодия"),
    ("cp1251", "Ударные"),
    ("cp1251", "Соло гитара"),
    ("latin-1", "Flöte"),
    ("latin-1", "Mélodie"),
    ("latin-1", "Größe"),
    ("latin-1", "Canción"),
    ("cp1252", "Singer’s “solo”"),
]


@pytest.mark.parametrize(("encoding", "name"), NAMES, ids=lambda value: value)
def test_names_in_many_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    content = smf(
        conductor(),
        part(name.encode(encoding), 0, tune(), 73),
        part(b"Strings", 1, tune(up=-12), 48),
    )
    score = read_bytes(tmp_path, content)
    assert [track.name for track in score.tracks] == [name, "Strings"]
    assert choose_melody(score, f"name:{name}").tracks == (0,)
    assert score.to_bytes() == content


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    for name in (b"\xff\xfe\x80\x81", bytes(range(1, 256)), b"Flute\0\0\0", b"", b"\x1b[31mred"):
        content = smf(conductor(), part(name, 0, tune(), 73))
        score = read_bytes(tmp_path, content)
        assert len(score.tracks[0].notes) == 36 and score.to_bytes() == content
        assert "\0" not in str(score.tracks[0])
        assert "\x1b" not in str(score.tracks[0]) and len(str(score.tracks[0]).splitlines()) == 1
