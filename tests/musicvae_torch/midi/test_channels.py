"""What the channels of a file are at each moment."""

from __future__ import annotations

import pytest
from raw_midi import GM2_ON, GS_RESET, XG_ON, chunk, meta, smf, sysex

from musicvae_torch.midi.channels import Channels, kit_messages, read_channels
from musicvae_torch.midi.messages import CONTROL_CHANGE, PROGRAM_CHANGE, MidiFile, read_file

Timed = tuple[int, bytes]


def program(number: int, channel: int = 0) -> bytes:
    return bytes([PROGRAM_CHANGE | channel, number])


def control(number: int, amount: int, channel: int = 0) -> bytes:
    return bytes([CONTROL_CHANGE | channel, number, amount])


def file_of(*chunks: list[Timed]) -> MidiFile:
    return read_file(smf(*(chunk(events) for events in chunks))).file


def channels_of(*chunks: list[Timed]) -> Channels:
    return read_channels(file_of(*chunks))


def test_programs_at_each_moment() -> None:
    found = channels_of([(0, program(5)), (960, program(6))], [(480, program(7))])

    def at(chunk: int, place: int, tick: int) -> int:
        return found.program((0, 0), chunk, place, tick)

    # The chunk's own first; place 1 is its second message.
    assert (at(0, 1, 500), at(0, 2, 960)) == (5, 6)
    # Of others, what was said last, in the order of time.
    assert [at(2, 0, tick) for tick in (0, 479, 480, 959, 960)] == [5, 5, 7, 7, 6]
    assert at(1, 0, 100) == 5 and at(1, 1, 2000) == 7
    assert found.program((0, 1), 0, 0, 0) == found.program((1, 0), 0, 0, 0) == 0


@pytest.mark.parametrize(("late", "heard"), [(0, 9), (480, 9), (481, 0)])
def test_a_program_just_after_the_first_note(late: int, heard: int) -> None:
    """Within a quarter note it was meant for that, too."""
    found = channels_of([(late, program(9))])
    assert found.program((0, 0), 0, 0, 0) == heard


def test_ports() -> None:
    port = [(0, meta(0x21, b"\x01")), (0, program(5)), (0, meta(0x21, b"\x02")), (0, program(6))]
    found = channels_of([(0, program(4)), *port], [(0, program(3))])
    # Also of what comes before the first that is named.
    assert [found.port(0, place) for place in range(5)] == [1, 1, 1, 2, 2]
    assert found.port(1, 0) == 0
    assert found.program((2, 0), 0, 9, 0) == 6 and found.program((0, 0), 1, 9, 0) == 3


def test_channel_10_is_a_kit_but_for_messages() -> None:
    found = channels_of([])
    assert found.kit((0, 9), 0, 0, 0) == (True, "channel 10")
    assert found.kit((0, 8), 0, 0, 0) == (False, "")
    assert found.is_kit_throughout((0, 9)) and not found.kit_channels()


def kit(*events: bytes, channel: int = 0, tick: int = 500) -> tuple[bool, str]:
    """Whether a note at a tick is a drum's; the events come 100 ticks apart."""
    timed = [(100 * n, event) for n, event in enumerate(events)]
    return channels_of(timed).kit((0, channel), 0, 99, tick)


def gs_part(part: int, mode: int) -> bytes:
    return sysex(bytes([0x41, 0x10, 0x42, 0x12, 0x40, 0x10 | part, 0x15, mode, 0, 0xF7]))


def xg_part(part: int, mode: int) -> bytes:
    return sysex(bytes([0x43, 0x10, 0x4C, 8, part, 7, mode, 0xF7]))


@pytest.mark.parametrize("events", [[gs_part(1, 1)], [gs_part(1, 2)], [xg_part(0, 2)]])
def test_parts_that_are_made_kits(events: list[bytes]) -> None:
    is_drum, why = kit(*events)
    assert is_drum and "rhythm part" in why


def test_parts_of_gs_are_no_channels() -> None:
    """Part 0 is channel 10; 1 to 9 are channels 1 to 9, and from A on both are the same."""
    for part, channel in [(0, 9), (1, 0), (9, 8), (10, 10), (15, 15)]:
        assert kit(gs_part(part, 1), channel=channel)[1] == "GS rhythm part"
        assert kit(gs_part(part, 0), channel=channel)[0] is False


def test_a_kit_at_a_time() -> None:
    found = channels_of([(0, gs_part(1, 1)), (480, gs_part(1, 0))])
    assert [found.kit((0, 0), 0, 9, tick)[0] for tick in (0, 479, 480)] == [True, True, False]
    assert not found.is_kit_throughout((0, 0)) and found.kit_channels() == {(0, 0)}


@pytest.mark.parametrize(
    ("events", "channel", "is_drum"),
    [
        ([control(0, 120), program(0)], 0, True),  # GM2
        ([sysex(XG_ON), control(0, 127), program(0)], 0, True),
        ([control(0, 127), program(0)], 0, True),
        ([control(0, 126), program(0)], 0, True),
        ([sysex(GS_RESET), control(0, 127), program(0)], 0, False),  # the MT-32's sounds
        ([control(0, 127)], 0, False),  # a bank counts with the program
        ([control(0, 121), program(0)], 0, False),
        ([sysex(GM2_ON), control(0, 121, 9), program(0, 9)], 9, False),
        ([sysex(XG_ON), control(0, 0, 9), program(0, 9)], 9, False),
        ([sysex(GS_RESET), control(0, 8, 9), program(0, 9)], 9, True),
        ([control(0, 1, 9), program(0, 9)], 9, True),
    ],
)
def test_banks_of_kits(events: list[bytes], channel: int, is_drum: bool) -> None:
    assert kit(*events, channel=channel)[0] is is_drum


@pytest.mark.parametrize(
    ("events", "zones"),
    [
        ([control(101, 0), control(100, 6), control(6, 4)], [range(5)]),
        ([control(101, 0, 15), control(100, 6, 15), control(6, 3, 15)], [range(12, 16)]),
        ([control(101, 0), control(100, 6), control(6, 0)], []),  # none
        ([control(101, 0), control(100, 0), control(6, 4)], []),  # the range of bends
        ([control(101, 0, 3), control(100, 6, 3), control(6, 4, 3)], []),  # no master
        ([control(126, 6, 2)], [range(2, 8)]),
        ([control(126, 1, 2)], []),
    ],
)
def test_mpe_zones_have_the_announced_channels(events: list[bytes], zones: list[range]) -> None:
    found = channels_of([(0, event) for event in events]).zones
    assert [zone.channels for zone in found] == [frozenset(zone) for zone in zones]


@pytest.mark.parametrize("standard", ["GS", "XG", "GM2"])
@pytest.mark.parametrize("channel", [0, 8, 10, 15])
def test_what_makes_a_kit_is_understood(standard: str, channel: int) -> None:
    switch = {"GS": GS_RESET, "XG": XG_ON, "GM2": GM2_ON}[standard]
    messages = kit_messages(standard, channel, 5)
    written = [sysex(m.data) if m.status == 0xF0 else bytes([m.status]) + m.data for m in messages]
    found = channels_of([(0, sysex(switch)), *((5, event) for event in written)])
    assert found.standard == standard
    assert found.kit((0, channel), 0, 99, 5)[0] and found.kit_channels() == {(0, channel)}


def test_no_standard_knows_no_other_kits() -> None:
    assert kit_messages("", 0, 0) == []


@pytest.mark.parametrize(
    "event",
    [b"\xb0\x07", b"\xb0", b"\xc0", b"\xf0\x00", b"\xf0\x02\x41\x10", b"\xff\x21\x00", b"\xf8"],
)
def test_messages_cut_short_say_nothing(event: bytes) -> None:
    content = smf(chunk([(0, event)]))
    found = read_channels(read_file(content).file)
    assert not found.kits and not found.zones
