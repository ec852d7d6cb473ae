"""Event codes, pitch ranges, programs and drum classes, written once.

Facts of Magenta 2.1.4 (``music_vae.data``) and note-seq 0.0.5
(``melody_encoder_decoder``, ``drums_encoder_decoder``).
"""

from __future__ import annotations

PARTS = ("melody", "bass", "drums")  # of a trio, in this order

STEPS_PER_QUARTER = 4
STEPS_PER_BAR = 16  # of 4/4

# Melody and bass: class 0 holds or rests, class 1 ends a note, class 2 + i starts a note.
NO_EVENT = 0
NOTE_OFF = 1
FIRST_NOTE = 2
MIN_PITCH = 21
MAX_PITCH = 108
MELODY_DEPTH = FIRST_NOTE + MAX_PITCH - MIN_PITCH + 1  # 90

MELODY_PROGRAMS = frozenset(range(32))
BASS_PROGRAMS = frozenset(range(32, 40))
ELECTRIC_BASS = 33

OUTPUT_VELOCITY = 80

# A drum hit is of the class that holds its pitch, and is written as that class's first pitch.
# Other percussion pitches are not modelled.
DRUM_CLASSES: tuple[tuple[int, ...], ...] = (
    (36, 35),  # kick
    (38, 27, 28, 31, 32, 33, 34, 37, 39, 40, 56, 65, 66, 75, 85),  # snare
    (42, 44, 54, 68, 69, 70, 71, 73, 78, 80, 22),  # closed hi-hat
    (46, 67, 72, 74, 79, 81, 26),  # open hi-hat
    (45, 29, 41, 43, 61, 64, 84),  # low tom
    (48, 47, 60, 63, 77, 86, 87),  # mid tom
    (50, 30, 62, 76, 83),  # high tom
    (49, 52, 55, 57, 58),  # crash
    (51, 53, 59, 82),  # ride
)
# Indices of these classes.
KICK, SNARE, CLOSED_HI_HAT, OPEN_HI_HAT, LOW_TOM, MID_TOM, HIGH_TOM, CRASH, RIDE = range(9)
TOMS = (LOW_TOM, MID_TOM, HIGH_TOM)
# A class for each General MIDI drum: in the order above but for 43 and 52; without 22 and 26, which
# only Roland's kits have.
FULL_DRUM_CLASSES: tuple[tuple[int, ...], ...] = tuple(zip((
    36, 35, 38, 27, 28, 31, 32, 33, 34, 37, 39, 40, 56, 65, 66, 75, 85, 42, 44, 54, 68, 69, 70, 71,
    73, 78, 80, 46, 67, 72, 74, 79, 81, 45, 29, 41, 61, 64, 84, 48, 47, 60, 63, 77, 86, 87, 50, 30,
    43, 62, 76, 83, 49, 55, 57, 58, 51, 52, 53, 59, 82,
)))  # fmt: skip
# The same nine drums on the pads of the Roland TD-11 that the Groove MIDI Dataset was played on.
ROLAND_DRUM_CLASSES: tuple[tuple[int, ...], ...] = (
    (36,), (38, 37, 40), (42, 22, 44), (46, 26), (43, 58), (47, 45), (50, 48), (49, 52, 55, 57),
    (51, 53, 59),
)  # fmt: skip
DRUM_DEPTH = 2 ** len(DRUM_CLASSES)  # 512: one-hot, the sum of 2**class over the classes struck
