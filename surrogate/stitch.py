"""The original melody beside its new band, on the song's own beats."""

from __future__ import annotations

import copy

import pretty_midi

from musicvae_torch.notes.vocabulary import ELECTRIC_BASS, OUTPUT_VELOCITY
from surrogate.fill import StepNote
from surrogate.grid import StepGrid


def stitch(
    midi: pretty_midi.PrettyMIDI,
    melody: tuple[int, ...],
    grid: StepGrid,
    bass: list[StepNote],
    drums: list[StepNote],
) -> pretty_midi.PrettyMIDI:
    """The melody's tracks of `midi` as they are, then a bass and a drum track.

    Args:
        midi: the song; it stays as it is.
        melody: indices of the melody's tracks.
        grid: of `midi`, on which the new parts' steps are counted.
        bass, drums: notes as (start step, end step, pitch).
    """
    arrangement = copy.deepcopy(midi)
    arrangement.instruments = [arrangement.instruments[index] for index in melody]
    for name, program, notes in (("bass", ELECTRIC_BASS, bass), ("drums", 0, drums)):
        track = pretty_midi.Instrument(program, is_drum=name == "drums", name=name)
        for start, end, pitch in notes:
            times = grid.to_seconds(start), grid.to_seconds(end)
            if times[0] < times[1]:
                track.notes.append(pretty_midi.Note(OUTPUT_VELOCITY, pitch, *times))
        arrangement.instruments.append(track)
    _keep_tempos(arrangement)
    return arrangement


def _keep_tempos(midi: pretty_midi.PrettyMIDI) -> None:
    """Make the file that `midi` writes name the same tempos as the file it was read from.

    MIDI counts whole microseconds a quarter, and pretty_midi cuts off fractions on writing: a
    hundredth of one more keeps rounding errors from taking a whole one away.
    """
    midi._tick_scales = [
        (tick, (round(scale * midi.resolution * 1e6) + 0.01) / 1e6 / midi.resolution)
        for tick, scale in midi._tick_scales
    ]
