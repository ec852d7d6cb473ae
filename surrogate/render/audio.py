"""The sound of a song and of its parts, and sound files."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from musicvae_torch.io.files import replacing
from surrogate.render.synth import SAMPLE_RATE, Synthesizer
from surrogate.render.view import View
from surrogate.song.roles import ROLES

MAX_SAMPLE = 32_767  # of 16 bits
MP3_COMPRESSION = 0.8  # of 0 to 1, at a variable bit rate: 40 to 60 kbit a second for a part
PLAIN_RATE = SAMPLE_RATE // 2
# How sound is put into a page: (samples, 2) float within -1 and 1 to the content of a sound file.
Encode = Callable[[np.ndarray], bytes]
# Where left and right differ by no more than this share of the peak, only the echo of a part in the
# middle differs: one channel sounds alike, and takes half of the time and the bytes.
_ONE_CHANNEL = 0.1


def render(view: View, soundfont: str | Path | None = None) -> np.ndarray:
    """Play a song part by part, from its first tick to a tail after its last note; see
    :class:`Synthesizer`.

    Args:
        soundfont: .sf2; the default is pretty_midi's.

    Returns:
        (samples, 2) float32 at SAMPLE_RATE, left and right, within -1 and 1: softer as a whole, if
        it would clip.

    Raises:
        MidiError: the song is longer than an hour.
        ModuleNotFoundError: midirenderer is not installed.
        OptionError: the SoundFont cannot be read.
    """
    stems = synthesize_stems(view, Synthesizer(soundfont)).values()
    loudest = max(peak(mix(stems)), 1.0)
    return mix([stem / loudest for stem in stems])


def synthesize_stems(view: View, synthesizer: Synthesizer) -> dict[str, np.ndarray]:
    """The parts of a song, by role: (samples, 2) float32, each with its own end and tail, and as
    loud as the band plays, so that a part sounds the same in every view."""
    tracks = {role: view.tracks_of(role) for role in ROLES}
    return {role: synthesizer.synthesize(view.score, own) for role, own in tracks.items() if own}


def mix(stems: Collection[np.ndarray]) -> np.ndarray:
    """The sum of parts that start together: (samples, 2) float32, as long as the longest."""
    total = np.zeros((max((len(stem) for stem in stems), default=0), 2), np.float32)
    for stem in stems:
        total[: len(stem)] += stem
    return total


def peak(samples: np.ndarray) -> float:
    """The largest absolute sample; 0 for no samples."""
    return float(max(samples.max(initial=0), -samples.min(initial=0)))


def write_wav(path: str | Path, samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> None:
    """Write a WAV file of 16 bits.

    Args:
        samples: (samples, channels), or (samples,) of one; what is beyond -1 and 1 is cut.
        sample_rate: in Hz.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(wav_bytes(samples, sample_rate))


def wav_bytes(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> bytes:
    """What :func:`write_wav` writes."""
    whole = np.rint(np.clip(samples, -1, 1) * MAX_SAMPLE).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(whole.tobytes())
    return buffer.getvalue()


def to_channels(samples: np.ndarray) -> np.ndarray:
    """(samples, 2) → (samples, 1) where left and right are nearly the same, else as it is."""
    apart = float(np.abs(samples[:, 0] - samples[:, 1]).max(initial=0))
    alike = apart <= _ONE_CHANNEL * peak(samples)
    return samples.mean(axis=1, keepdims=True) if alike else samples


def best_compression() -> Encode:
    """MP3, which every browser plays, if soundfile is installed; else :func:`plain_wav`."""
    try:
        import soundfile
    except (ImportError, OSError):  # it is missing, or its library is
        return plain_wav

    def encode(samples: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        soundfile.write(
            buffer,
            to_channels(samples),
            SAMPLE_RATE,
            format="MP3",
            compression_level=MP3_COMPRESSION,
            bitrate_mode="VARIABLE",
        )
        return buffer.getvalue()

    return encode


def plain_wav(samples: np.ndarray) -> bytes:
    """(samples, 2) at SAMPLE_RATE → a WAV file of one channel at half the rate."""
    pairs = samples[: len(samples) // 2 * 2].reshape(-1, 4)
    return wav_bytes(pairs.mean(1), PLAIN_RATE)
