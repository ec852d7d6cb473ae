"""Feel: a drummer's velocities and timing, around the swing of the song itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from magenta_models import MODELS, load_golden
from small_pairs import listening_vae
from small_scores import score_of

from musicvae_torch.config import get_config
from musicvae_torch.errors import OptionError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import TICK_NOTE
from musicvae_torch.model.vae import MusicVAE
from surrogate import Accompanist, AccompanyOptions, SurrogateConfig, SurrogateEncoder
from surrogate.accompaniment import Accompaniment
from surrogate.arrangement import feel
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.groove import humanize_drums
from surrogate.cli.accompany import main
from surrogate.encoder.loading import load_groove

RESOLUTION = 480
STEP, BAR = RESOLUTION // 4, 4 * RESOLUTION
STRAIGHT, EVEN = np.zeros(4), np.ones(64, bool)
BEAT: list[StepNote] = sorted(
    [
        *((step, step + 1, 42) for step in range(0, 256, 2)),
        *((step, step + 1, 36) for step in range(0, 256, 8)),
        *((step, step + 1, 38) for step in range(4, 256, 8)),
    ]
)  # sixteen bars
BASS: list[StepNote] = [(step, step + 4, 40) for step in range(0, 256, 4)]


@pytest.fixture(scope="module")
def drummer() -> MusicVAE:
    return load_golden(MODELS / "groovae_2bar_humanize").model


@pytest.fixture(scope="module")
def accompanist(drummer: MusicVAE) -> Accompanist:
    torch.manual_seed(1)
    config = SurrogateConfig(z_size=4, rnn_size=(8,), level_lengths=(16, 16))
    return Accompanist(listening_vae(), SurrogateEncoder(config), groove=drummer)


def tune(starts: list[int], above: int = 4, below: int = 4, resolution: int = RESOLUTION) -> Score:
    """A melody of short notes at these ticks."""
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("time_signature", numerator=above, denominator=below))
    last = 0
    for number, start in enumerate(starts):
        pitch = 60 + number % 5
        track.append(mido.Message("note_on", note=pitch, velocity=70, time=start - last))
        track.append(mido.Message("note_off", note=pitch, time=resolution // 8))
        last = start + resolution // 8
    file = mido.MidiFile(ticks_per_beat=resolution, tracks=[track])
    return score_of(file, "tune.mid")


def straight(bars: int = 12) -> Score:
    return tune(list(range(0, bars * BAR, RESOLUTION // 2)))


def shuffled(bars: int = 12) -> Score:
    """Off-beats at two thirds of each beat."""
    beats = range(0, bars * BAR, RESOLUTION)
    return tune([tick + late for tick in beats for late in (0, RESOLUTION * 2 // 3)])


def new_notes(result: Accompaniment, drums: bool) -> np.ndarray:
    own = [track.notes for track in result.best.tracks if track.is_drum == drums]
    return np.concatenate([np.zeros(0, TICK_NOTE), *own])


def played(drummer: MusicVAE, amount: float, seed: int = 0) -> dict[str, feel.Played]:
    parts = {"bass": BASS, "drums": BEAT}
    return feel.play_band(drummer, parts, STRAIGHT, EVEN, amount, seed)


def test_without_feel_all_is_even_and_on_the_grid(accompanist: Accompanist) -> None:
    """The tune's velocities are constant, so that no swell is left."""
    options = AccompanyOptions(feel=0.0, temperature=1.0)
    first, again = (accompanist.accompany(straight(), options) for _ in range(2))
    assert first.best.score.to_bytes() == again.best.score.to_bytes()
    for drums in (True, False):
        notes = new_notes(first, drums)
        assert len(notes) and not (notes["start"] % STEP).any()
        assert len(np.unique(notes["velocity"])) == 1


def test_feel_moves_hits_and_changes_none(accompanist: Accompanist) -> None:
    options = AccompanyOptions(temperature=1.0)
    human = new_notes(accompanist.accompany(straight(), options), drums=True)
    plain = new_notes(accompanist.accompany(straight(), replace(options, feel=0.0)), drums=True)
    steps = np.rint(human["start"] / STEP).astype(int)
    assert (human["start"] % STEP).any() and len(np.unique(human["velocity"])) > 5
    assert sorted(zip(steps, human["pitch"], strict=True)) == sorted(
        zip(plain["start"] // STEP, plain["pitch"], strict=True)
    )


@pytest.mark.parametrize("amount", [1.0, 2.0])
def test_the_same_seed_gives_the_same_feel(accompanist: Accompanist, amount: float) -> None:
    def made(seed: int) -> bytes:
        options = AccompanyOptions(feel=amount, temperature=0.0, variety=0.0, seed=seed)
        return accompanist.accompany(straight(), options).best.score.to_bytes()

    assert made(3) == made(3) != made(4)


def test_a_shuffled_song_gets_a_shuffled_band(accompanist: Accompanist) -> None:
    for amount in (0.0, 1.0):
        options = AccompanyOptions(feel=amount, temperature=1.0)
        result = accompanist.accompany(shuffled(), options)
        drums, bass = (new_notes(result, drums) for drums in (True, False))
        notes = drums if amount else np.concatenate([drums, bass])
        fourth = notes["start"][np.rint((notes["start"] + STEP / 3) / STEP) % 4 == 3]
        late = fourth % RESOLUTION / RESOLUTION
        assert len(fourth) > 10
        # Without feel, all off-beats are in the shuffle; with it, they are around it.
        assert np.median(late) == pytest.approx(2 / 3, abs=0.1 if amount else 0.003)
        assert np.ptp(late) < 0.005 or amount


def test_the_song_tells_its_swing() -> None:
    ticks = np.arange(16 * 16 + 1) * STEP
    beats = np.arange(64) * RESOLUTION

    def swing(late: np.ndarray) -> list[float]:
        steps = np.rint(late / STEP).astype(int)
        found: list[float] = feel.song_swing(ticks, late, steps).round(3).tolist()
        return found

    assert swing(np.concatenate([beats, beats + 320])) == [0, 0, 0, -0.333]
    assert swing(np.concatenate([beats, beats + 288])) == [0, 0, 0.4, 0]
    assert swing(np.concatenate([beats, beats[:7] + 320])) == [0, 0, 0, 0]  # too few
    chord = np.concatenate([beats, *[beats[:7] + 320] * 3])
    assert swing(chord) == [0, 0, 0, 0]  # a chord counts once
    assert swing(beats[:-1] + np.arange(63) % 2 * 50) == [0, 0, 0, 0]  # they do not agree
    assert swing(beats + 3) == [0, 0, 0, 0]  # an inaccuracy
    assert swing(np.zeros(0, np.int64)) == [0, 0, 0, 0]


def test_beats_of_unequal_steps_are_not_swung(drummer: MusicVAE) -> None:
    thirds = np.array([0, 160, 320, 400])
    ticks = np.append((np.arange(16)[:, None] * 480 + thirds).ravel(), 16 * 480)
    assert not feel.even_beats(ticks).any()
    late = np.arange(16) * 480 + 210
    assert not feel.song_swing(ticks, late, np.arange(16) * 4 + 1).any()
    none = np.array([0, 120, 240, 360, 480, 480, 480, 480, 480, 600, 720, 840, 960])
    assert feel.even_beats(none).tolist() == [True, False, True]
    swing, even = np.array([0, 0, 0.3, 0]), np.array([True, False])
    bass = [(2, 3, 40), (6, 7, 40), (10, 11, 40)]  # a last beat stands for what follows
    notes = feel.play_band(drummer, {"bass": bass}, swing, even, 1.0, 0)["bass"]
    assert notes.offsets.tolist() == [0.3, 0, 0]


@pytest.mark.parametrize("amount", [1.0, 2.0])
def test_offsets_are_bounded_and_centred(drummer: MusicVAE, amount: float) -> None:
    drums = played(drummer, amount)["drums"]
    assert np.abs(drums.offsets).max() < 0.5
    positions = np.array([start % 4 for start, _, _ in BEAT])
    for position in (0, 2) if amount == 1 else ():  # more of it is cut off, on either side
        assert abs(drums.offsets[positions == position].mean()) < 0.06
    assert drums.offsets.std() > 0.05 and drums.shape.std() > 3


def test_feel_is_in_proportion(drummer: MusicVAE) -> None:
    half, whole = (played(drummer, amount)["drums"] for amount in (0.5, 1.0))
    np.testing.assert_allclose(whole.shape, 2 * half.shape)
    inside = np.abs(whole.offsets) < feel.MOST_OFFSET
    np.testing.assert_allclose(whole.offsets[inside], 2 * half.offsets[inside])


def test_the_bass_goes_with_the_kick(drummer: MusicVAE) -> None:
    natural, plain = played(drummer, 1.0), played(drummer, 0.0)
    kick = {
        start: (shape, offset)
        for (start, _, pitch), shape, offset in zip(BEAT, *natural["drums"], strict=True)
        if pitch == 36
    }
    alone = feel.play_band(drummer, {"bass": BASS}, STRAIGHT, EVEN, 1.0, 0)["bass"]
    assert not alone.offsets.any() and not plain["bass"].shape.any()
    added = natural["bass"].shape - alone.shape
    for (start, _, _), shape, offset in zip(BASS, added, natural["bass"].offsets, strict=True):
        loud, late = kick.get(start, (0.0, 0.0))
        assert shape == pytest.approx(0.3 * loud)
        assert offset == pytest.approx(0.5 * late)
    assert len(kick) == 32 and len(set(natural["bass"].offsets)) > 5


def test_other_percussion_has_the_swing_alone(drummer: MusicVAE) -> None:
    whistle = [(2, 3, 1), (6, 7, 1)]
    swing = np.array([0, 0, 0.2, 0])
    hits = sorted(whistle + BEAT)
    drums = feel.play_band(drummer, {"drums": hits}, swing, EVEN, 1.0, 0)["drums"]
    odd = [index for index, hit in enumerate(hits) if hit[2] == 1]
    assert drums.offsets[odd].tolist() == [0.2, 0.2] and not drums.shape[odd].any()
    for notes in ([], [(0, 1, 1)]):
        lone = feel.play_band(drummer, {"drums": notes}, STRAIGHT, EVEN, 1.0, 0)["drums"]
        assert not lone.offsets.any() and not lone.shape.any() and len(lone.shape) == len(notes)


def test_residuals_spread_by_drum_and_drift_together() -> None:
    starts = np.repeat(np.arange(4000) * 2, 2)
    drums = np.tile([0, 2], 4000)
    velocity, timing = feel.draw_residuals(starts, drums, seed=0)
    sizes = feel.residuals()
    for drum in (0, 2):
        own = drums == drum
        # Cut off at two standard deviations, a normal distribution has .96 of its spread.
        wanted = sizes.timing_share * sizes.timing[drum]
        assert timing[own].std() == pytest.approx(wanted, rel=0.1)
        wanted = sizes.velocity_share * sizes.velocity[drum]
        assert velocity[own].std() == pytest.approx(wanted, rel=0.1)
    assert np.corrcoef(timing[0::2], timing[1::2])[0, 1] == pytest.approx(sizes.drift, abs=0.08)
    next_step = np.corrcoef(timing[0:-2:2], timing[3::2])[0, 1]
    assert next_step == pytest.approx(sizes.drift * np.exp(-2 / sizes.drift_steps), abs=0.08)
    assert abs(np.corrcoef(velocity[0::2], velocity[1::2])[0, 1]) < 0.06


def test_moves_never_swap_hits() -> None:
    for step in (1, 2, 3, 6, 60, 121):
        ticks = np.arange(9) * step
        late = feel.tick_shifts(ticks, np.array([0, 1]), np.array([0.49, -0.49]))
        assert late[0] < step + late[1]
        assert (2 * np.abs(late) < step).all()
    uneven = np.array([0, 160, 320, 400, 480, 640, 800, 880, 960])
    shifts = feel.tick_shifts(uneven, np.array([3, 4]), np.array([0.49, -0.49]))
    assert 400 + shifts[0] < 480 + shifts[1]
    missing = np.array([0, 120, 240, 360, 480, 480, 480, 480, 480, 600])
    (early,) = feel.tick_shifts(missing, np.array([8]), np.array([-0.4]))
    assert early == -48  # of the step before that lasts


def test_moved_notes_do_not_overlap() -> None:
    notes = np.array([(0, 120, 40, 80), (120, 240, 40, 80), (240, 360, 43, 80)], TICK_NOTE)
    made = feel.moved(notes, np.array([20, -30, -50]))
    assert made["start"].tolist() == [20, 90, 190]
    assert (made["end"][:-1] <= made["start"][1:]).all() and (made["end"] > made["start"]).all()


@pytest.mark.parametrize(("above", "below"), [(3, 4), (6, 8), (5, 4), (7, 8)])
def test_other_metres(accompanist: Accompanist, above: int, below: int) -> None:
    unit = 4 * RESOLUTION // below
    score = tune(list(range(0, 24 * above * unit, unit)), above, below)
    options = AccompanyOptions(temperature=1.0, feel=2.0)
    human = accompanist.accompany(score, options)
    plain = accompanist.accompany(score, replace(options, feel=0.0))
    grid = unit // 4 if below == 4 else RESOLUTION // 4
    assert not (new_notes(plain, drums=True)["start"] % grid).any()
    for drums in (True, False):
        moved, still = new_notes(human, drums), new_notes(plain, drums)
        assert sorted(moved["pitch"]) == sorted(still["pitch"])
        assert moved["start"].min() >= 0 and moved["end"].max() <= score.end
        for pitch in np.unique(still["pitch"]) if drums else ():
            starts = moved["start"][moved["pitch"] == pitch]
            assert len(np.unique(starts)) == len(starts)
            distance = np.abs(np.sort(starts) - still["start"][still["pitch"] == pitch])
            assert distance.max() < RESOLUTION / 4


def test_nothing_before_the_song_or_in_bars_to_be_skipped(accompanist: Accompanist) -> None:
    options = AccompanyOptions(temperature=1.0, feel=2.0, skip=((3, 4),))
    late = tune([4 * BAR + tick for tick in range(0, 8 * BAR, RESOLUTION)])
    for score, options_of, first in ((straight(), options, 0), (late, AccompanyOptions(), 4 * BAR)):
        for seed in range(4):
            result = accompanist.accompany(score, replace(options_of, seed=seed))
            notes = np.concatenate([new_notes(result, drums) for drums in (True, False)])
            assert notes["start"].min() >= first
            if options_of.skip:
                inside = (notes["start"] < 4 * BAR) & (notes["end"] > 2 * BAR)
                assert not inside.any() and (notes["start"] >= 4 * BAR).any()


def test_coarse_files_get_finer_ticks(accompanist: Accompanist) -> None:
    """And every message of the song keeps its time."""
    coarse = tune(list(range(0, 24 * 48, 12)), resolution=24)
    result = accompanist.accompany(coarse, AccompanyOptions(temperature=1.0))
    assert result.score.resolution == 480
    before, after = coarse.file.tracks[0].messages, result.score.file.tracks[0].messages
    assert [m._replace(tick=m.tick * 20) for m in before] == list(after)
    drums = new_notes(result, drums=True)
    late = drums["start"] - np.rint(drums["start"] / 120) * 120
    assert len(np.unique(late)) > 12 and np.abs(late).max() < 60
    for player, amount in ((accompanist, 0.0), (replace(accompanist, groove=None), 1.0)):
        assert player.accompany(coarse, AccompanyOptions(feel=amount)).score.resolution == 24


@pytest.mark.parametrize("chords", [False, True])
def test_a_band_can_be_had_without_its_feel(accompanist: Accompanist, chords: bool) -> None:
    options = AccompanyOptions(temperature=1.0, candidates=2, write_chords=chords)
    human = accompanist.accompany(shuffled(), options)
    plain = accompanist.accompany(shuffled(), replace(options, feel=0.0))
    for band, other in zip(human.candidates, plain.candidates, strict=True):
        assert band.even is not None and other.even is None
        assert band.even().score.to_bytes() == other.score.to_bytes() != band.score.to_bytes()
    assert [view.even is None for view in human.views()] == [True, False, False]
    assert all(view.even is None for view in plain.views())
    alone = replace(accompanist, groove=None).accompany(straight(), options)
    assert all(band.even is None for band in alone.candidates)


def test_humanised_hits_of_models_that_have_hits_as_controls() -> None:
    torch.manual_seed(0)
    sizes = {"enc_rnn_size": (8,), "dec_rnn_size": (8,), "z_size": 4, "control_depth": 9}
    model = MusicVAE(get_config("groovae_2bar_humanize", **sizes))
    touch = humanize_drums(model, BEAT)
    assert len(np.unique(touch.velocities)) > 1
    # The encoder hears the hits, too: with another latent, they are played otherwise.
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(3.0)
    assert (humanize_drums(model, BEAT).offsets != touch.offsets).any()


def test_which_drummer_is_loaded(tmp_path: Path, drummer: MusicVAE) -> None:
    cpu = torch.device("cpu")
    assert load_groove("none", cpu) is None
    shipped = load_groove(None, cpu)
    assert shipped is not None and shipped.config.base == "groovae_2bar_humanize"
    drummer.save_pretrained(tmp_path / "drummer")
    loaded = load_groove(tmp_path / "drummer", cpu)
    assert loaded is not None and loaded.config == drummer.config
    with pytest.raises(OptionError, match="feel must be 0 to 2, not 3"):
        AccompanyOptions(feel=3)


def test_feel_without_a_drummer_is_told(accompanist: Accompanist) -> None:
    alone = replace(accompanist, groove=None)
    as_ever, other = (
        alone.accompany(straight(), AccompanyOptions(feel=amount)) for amount in (1.0, 0.0)
    )
    assert as_ever.best.score.to_bytes() == other.best.score.to_bytes()
    assert "feel changes nothing without a GrooVAE" in other.notes[0]
    assert not any("feel" in note for note in as_ever.notes)


def test_feel_without_a_drummer_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["tune.mid", "-o", str(tmp_path / "out.mid"), "--groove", "none", "--feel", "1.5"]
    assert main(arguments) != 0
    assert "--groove none plays by a profile" in capsys.readouterr().err
