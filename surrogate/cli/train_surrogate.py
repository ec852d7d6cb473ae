"""The command `train-surrogate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicvae_torch.cli.command import Command, Values
from musicvae_torch.cli.command_line import Idle, applies_to
from musicvae_torch.cli.training import FUSE_IDLE, TRAINING_IDLE, TrainingCommand
from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.options import option, options_of
from musicvae_torch.training.options import OBJECTIVE, TrainingOptions
from surrogate.accompany_music_vae.options import ORIGINAL_EPOCHS, ORIGINAL_OPTIONS
from surrogate.options import POOLINGS
from surrogate.training.encoder.options import SurrogateObjective

EXAMPLES = """examples:
  train-surrogate data.h5 --musicvae my_trio -o my_surrogate
  train-surrogate data.h5 --musicvae my_trio -o drummer --masks drums=1 --decoder-weight 0.05
  train-surrogate data.h5 --musicvae my_trio -o baseline --model point
  train-surrogate melodies_with_codes.h5 -o baseline --model point
"""
_OURS = "of --model distribution alone"


@dataclass(kw_only=True)
class TrainSurrogate(TrainingCommand):
    """Train a surrogate encoder, which is given some parts of a trio, such as the melody, and
    predicts the latent that a MusicVAE's encoder gives to all three. Ctrl-C stops the training; the
    same command resumes it.

    Attributes:
        data: a data set of trios from build-dataset.
        musicvae: folder of the trio whose latents are to be predicted.
        model: distribution: ours, for any parts; point: that of accompany-music-vae, for the
            melody, with its settings (two layers of 128 units, batches of 16, RMSprop at 3e-4, 20
            epochs, no transposition), which needs no --musicvae if DATA.h5 has posteriors.
        units: LSTM units, for each layer and direction, as in 256 or 256,256.
        epochs: length of the training in passes over DATA.h5, in place of --steps; None: 20 with
            --model point.
        monitor: score whose lowest value selects the checkpoint: val/kl, val/hidden_nats, ...
        input_parts: parts that the network accepts.
        pooling: how the outputs for the bars are combined: last, the last state of each direction,
            as in MusicVAE; mean; or attention.
    """

    data: Path = option(positional=True, metavar="DATA.h5")
    musicvae: Path | None = option(None, metavar="FOLDER")
    model: str = option("distribution", choices=("distribution", "point"))
    units: tuple[int, ...] = option(
        (128,), metavar="UNITS", example="256 or 256,256", usual="128; point: 128,128"
    )
    epochs: float | None = option(None, above=0, metavar="N")
    monitor: str = option("val/kl", metavar="SCORE", usual="val/kl; point: val/latent_error")
    training: TrainingOptions = options_of(
        TrainingOptions, without=(OBJECTIVE, "start", "silence_drums")
    )
    input_parts: tuple[str, ...] = option(PARTS, group=_OURS, metavar="PARTS", also="hears")
    objective: SurrogateObjective = options_of(SurrogateObjective, group=_OURS)
    pooling: str = option("last", choices=POOLINGS, group=_OURS)


def _preset(given: Values) -> Values:
    """The defaults of `--model point`."""
    if given.get("model") != "point":
        return {}
    own = {"units": (128, 128), "monitor": "val/latent_error", **ORIGINAL_OPTIONS}
    own["transpose"] = own.pop("max_transpose")
    return own if "steps" in given else {**own, "steps": 1, "epochs": ORIGINAL_EPOCHS}


def train(options: TrainSurrogate) -> None:
    from surrogate.accompany_music_vae.training import train_point_surrogate
    from surrogate.training.encoder.train import train_surrogate

    common: dict[str, Any] = {
        name: getattr(options, name) for name in ("epochs", "monitor", "work", "store")
    }
    common |= {"device": options.hardware, "rnn_size": options.units}
    data = options.data, options.validation
    if options.model == "point":
        folder = train_point_surrogate(
            *data, options.musicvae, options.out, options.training, **common
        )
    elif options.musicvae is None:
        raise OptionError("name the trio's checkpoint: --musicvae FOLDER")
    else:
        folder = train_surrogate(
            *data,
            options.musicvae,
            options.out,
            options.training,
            input_parts=options.input_parts,
            pooling=options.pooling,
            objective=options.objective,
            **common,
        )
    print(f"{folder}: trained")


_IDLE = (
    Idle(
        "--optimizer --muon-learning-rate --adam-beta2",
        lambda own: own.model == "point",
        "--model point has an optimiser of its own; leave it out",
    ),
    applies_to(
        "model", "distribution", "--input-parts --masks --pooling --decoder-weight --decode-from"
    ),
    Idle(
        "--steps",
        lambda own: own.epochs is not None,
        "--epochs takes its place; leave one of the two out",
    ),
    Idle(
        "--decode-from",
        lambda own: not own.decoder_weight,
        "applies to the decoder's loss; give that a --decoder-weight, or leave it out",
    ),
    *TRAINING_IDLE,
    FUSE_IDLE,
)
main = Command("train-surrogate", TrainSurrogate, train, EXAMPLES, _IDLE, preset=_preset)
