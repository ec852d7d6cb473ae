"""The command `train-musicvae`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.cli.training import FUSE_IDLE, TRAINING_IDLE, TrainingCommand
from musicvae_torch.config import get_config
from musicvae_torch.options import option, options_of
from musicvae_torch.training.options import TrainingOptions

EXAMPLES = """examples:
  train-musicvae midi -o my_trio --encoder 256 --decoder 256 --latent 256
  train-musicvae midi -o my_melodies --config cat-mel_2bar_small
  train-musicvae grooves -o my_grooves --config groovae_2bar_humanize --steps 3000
  train-musicvae data.h5 -o mine --init converted --learning-rate 1e-4
  train-musicvae data.h5 -o my_trio --devices 4 --batch-size 64 --draw sources

To watch the training: tensorboard --logdir OUT.training
val/nats is the loss of a validation window, val/kl_bits the KL divergence of its latent, and
val/accuracy_PART the share of its steps that are reconstructed correctly. The result is the
checkpoint with the lowest val/nats.
"""
_MODEL = "the model"
_SHIFT = "3 for multitrack configs and with chords, otherwise 5; drums are not transposed"


@dataclass(kw_only=True)
class TrainMusicVAE(TrainingCommand):
    """Train a MusicVAE of any config, on a data set from build-dataset or directly on a folder of
    MIDI files. Ctrl-C stops the training; the same command resumes it, with the same result as if
    it had not been stopped.

    Attributes:
        data: a data set from build-dataset; or a folder of MIDI files, of which a data set is made
            first, in the work folder, with a tenth of the songs reserved for validation.
        validation: songs to validate on, in the same form; None: the songs of DATA that are
            reserved for validation.
        config: one of Magenta's 23 configs, or a .json or .yaml file with a config of your own;
            None: that of --init, or hier-trio_16bar.
        init: folder of a model from which to start, such as one from convert-weights; its sizes
            cannot be changed.
        encoder: LSTM units of the encoder, for each layer and direction, as in 256 or 256,256;
            None: the config's.
        decoder: LSTM units of the decoder, for each layer, as in 256 or 256,256; None: the
            config's.
        latent: number of dimensions of the latent; None: the config's.
    """

    data: Path = option(positional=True, metavar="DATA")
    config: str | None = option(None, group=_MODEL, metavar="NAME")
    init: Path | None = option(None, group=_MODEL, metavar="FOLDER")
    encoder: tuple[int, ...] | None = option(
        None, group=_MODEL, metavar="UNITS", example="256 or 256,256"
    )
    decoder: tuple[int, ...] | None = option(
        None, group=_MODEL, metavar="UNITS", example="256 or 256,256"
    )
    latent: int | None = option(None, group=_MODEL, metavar="N")
    training: dict[str, Any] = options_of(
        TrainingOptions, built=False, usual={"max_transpose": _SHIFT}
    )


def train(options: TrainMusicVAE) -> None:
    from musicvae_torch.training import train_musicvae
    from musicvae_torch.training.musicvae import initial_config

    sizes = (options.encoder, options.decoder, options.latent)
    named = zip(("enc_rnn_size", "dec_rnn_size", "z_size"), sizes, strict=True)
    resized = {name: size for name, size in named if size is not None}
    if options.init:
        config = initial_config(options.init, resized, options.config)
    else:
        config = get_config(options.config or "hier-trio_16bar", **resized)
    chosen = dict(options.training)
    if "sampling_schedule" in chosen:
        chosen.setdefault("sampling_rate", 0.0)  # not that of Magenta's schedule
    folder = train_musicvae(
        options.data,
        options.validation,
        options.out,
        config,
        TrainingOptions.of(config, **chosen),
        init=options.init,
        work=options.work,
        device=options.hardware,
        store=options.store,
    )
    print(f"{folder}: trained")


_START_IDLE = Idle(
    "--start",
    lambda own: own.init is not None,
    "--init has weights to start from; leave one of the two out",
)
main = Command(
    "train-musicvae", TrainMusicVAE, train, EXAMPLES, (*TRAINING_IDLE, FUSE_IDLE, _START_IDLE)
)
