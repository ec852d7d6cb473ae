"""Names in the encodings of the systems that MIDI files come from."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from part_names import CODE_PAGES, MORE_NAMES, NAMES

from musicvae_torch.midi.text import decode_texts

FILES = [(language, page) for language, pages in CODE_PAGES.items() for page in pages]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def decode_text(text: bytes) -> str:
    return decode_texts([text])[0]


@given(TEXT)
def test_utf8_is_read_as_it_is(text: str) -> None:
    assert decode_text(text.encode()) == text.removeprefix("\ufeff")
    assert decode_text(codecs.BOM_UTF8 + text.encode()) == text


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_are_some_text(texts: list[bytes]) -> None:
    decoded = decode_texts(texts)
    assert len(decoded) == len(texts)
    for text in decoded:
        text.encode()  # without surrogates, or this would raise


@pytest.mark.parametrize(("language", "page"), FILES)
def test_a_file_of_names(language: str, page: str) -> None:
    names = list(NAMES[language])
    assert decode_texts([name.encode(page) for name in names]) == names


def test_one_name_alone() -> None:
    """What the docstring counts, and no fewer than 97 %."""
    own = [(name, page) for language, page in FILES for name in NAMES[language]]
    own += [(name, page) for page, names in MORE_NAMES.items() for name in names]
    told = [(name, page) for name, page in own if not name.isascii()]
    right = sum(decode_text(name.encode(page)) == name for name, page in told)
    assert (len(told), right) == (613, 599)


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("Мелодия", "cp1251"),
        ("Ударные", "cp1251"),
        ("БАС", "cp1251"),
        ("メロディ", "cp932"),
        ("ベース", "cp932"),
        ("ドラム", "cp932"),
        ("主旋律", "cp932"),
        ("主旋律", "gb18030"),
        ("Flöte", "cp1252"),
        ("Bajo eléctrico", "cp1252"),
        ("Gesangsstück", "cp1252"),
        ("Violoncelle à l'octave", "cp1252"),
        ("Don’t", "cp1252"),
        ("Żyła", "cp1250"),
        ("멜로디", "cp949"),
        ("Μελωδία", "cp1253"),
    ],
)
def test_short_names(name: str, page: str) -> None:
    assert decode_text(name.encode(page)) == name
    assert decode_text(name.encode(page) + b"\0 ") == name + "\0 "


def test_a_name_cut_within_a_character() -> None:
    assert decode_text("メロディ".encode()[:-1]) == "メロデ"


def test_texts_of_a_file_decide_together() -> None:
    """A Polish drum alone might be French; beside other Polish names it is not."""
    alone = "Bęben".encode("cp1250")
    assert decode_texts([alone, "Głos".encode("cp1250")]) == ["Bęben", "Głos"]
    mixed = [alone, "Flöte".encode(), b"Piano", "Głos".encode("cp1250")]
    assert decode_texts(mixed) == ["Bęben", "Flöte", "Piano", "Głos"]
