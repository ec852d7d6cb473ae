#!/usr/bin/env python3
"""What helps a surrogate encoder: short trainings that differ in one thing, on as many windows.

    python benchmarks/surrogate_experiments.py TRIO TRAIN.h5 VALIDATION.h5 [--windows 20000]
        [--only NAME ...] [--results FILE.json]

Each row of EXPERIMENTS is trained by the library, with the rate falling to a twentieth over the
run, and scored once, at its end, with the melody given. Finished rows are kept in FILE.json, which
a later call goes on from; the table is of all rows there.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import numpy as np
import torch

from musicvae_torch.dataset import Windows, read_dataset
from musicvae_torch.io.files import replacing
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import TrainingOptions, WindowsDataModule, fit, load_best
from surrogate.accompany_music_vae.options import ORIGINAL_OPTIONS
from surrogate.accompany_music_vae.training import PointTraining
from surrogate.encoder.model import SurrogateConfig, part_depths
from surrogate.training.encoder.module import SurrogateTraining
from surrogate.training.encoder.options import SurrogateObjective

# What differs from the first row, by fields of SurrogateConfig, SurrogateObjective and
# TrainingOptions; `share` is how much of the windows a run is given.
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "ours": {},
    "decoder .3, mean": {"decoder_weight": 0.3, "decode_from": "mean"},
    "pooling: attention": {"pooling": "attention"},
    "melody alone, always": {"masks": {"melody": 1.0}},
    "no transposition": {"max_transpose": 0},
    "point (accompany-music-vae)": {"point": True},
    "decoder 1, mean": {"decoder_weight": 1.0, "decode_from": "mean"},
    "decoder .3, sample": {"decoder_weight": 0.3, "decode_from": "sample"},
    "pooling: mean": {"pooling": "mean"},
    "two layers": {"rnn_size": (96, 96)},
    "twice the windows": {"share": 2},
    "decoder .1, mean": {"decoder_weight": 0.1, "decode_from": "mean"},
    "batches of 16": {"batch_size": 16},
    "twice the rate": {"learning_rate": 4e-3},
    "half the rate": {"learning_rate": 1e-3},
    "twice the units": {"rnn_size": (192,)},
}


def build(
    changes: dict[str, Any], musicvae: MusicVAE, windows: int, seed: int
) -> tuple[SurrogateTraining | PointTraining, TrainingOptions]:
    """The training of one row, which is given `windows` windows."""
    changes = dict(changes)
    point = changes.pop("point", False)
    windows = round(windows * changes.pop("share", 1))
    fields: dict[str, Any] = {"batch_size": 32, "learning_rate": 2e-3, "adam_beta2": 0.99}
    fields |= dict(ORIGINAL_OPTIONS) if point else {}
    known = TrainingOptions.__dataclass_fields__
    fields |= {name: changes.pop(name) for name in list(changes) if name in known}
    steps = windows // fields["batch_size"]
    fields |= {"steps": steps, "validate_every": steps, "seed": seed}
    options = TrainingOptions(**({"decay_rate": 0.05 ** (1 / steps)} | fields))
    trio = musicvae.config
    config = SurrogateConfig(max_seq_len=trio.max_seq_len, z_size=trio.z_size)
    lightning.seed_everything(seed, verbose=False)
    if point:
        return PointTraining(musicvae, config, options), options
    known = SurrogateConfig.__dataclass_fields__
    config = replace(
        config,
        input_depth=sum(part_depths(PARTS)),
        level_lengths=trio.encoder_level_lengths,
        input_parts=PARTS,
        **{"rnn_size": (96,)}
        | {name: changes.pop(name) for name in list(changes) if name in known},
    )
    return SurrogateTraining(musicvae, config, options, SurrogateObjective(**changes)), options


def run(
    changes: dict[str, Any],
    musicvae: MusicVAE,
    sides: tuple[Windows, Windows],
    windows: int,
    seed: int,
) -> dict[str, float]:
    """Scores of one row, and its sizes."""
    module, options = build(changes, musicvae, windows, seed)
    monitor = "val/latent_error"
    with TemporaryDirectory() as work:
        data = WindowsDataModule(*sides, options)
        scores = load_best(module, fit(module, data, options, work, "cpu", monitor=monitor))
    parameters = sum(parameter.numel() for parameter in module.surrogate.parameters())
    return scores | {
        "windows": options.steps * options.batch_size,
        "parameters": parameters,
    }


def few_a_song(windows: Windows, most: int, seed: int = 0) -> Windows:
    """At most so many windows of each song, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(windows.tokens))
    taken: dict[int, int] = {}
    rows = []
    for row in order.tolist():
        song = int(windows.song[row])
        if taken.setdefault(song, 0) < most:
            taken[song] += 1
            rows.append(row)
    rows.sort()
    return replace(windows, tokens=windows.tokens[rows], song=windows.song[rows])


def table(results: dict[str, dict[str, float]]) -> str:
    """All results as a Markdown table."""
    names = ["windows", "KL", "bass", "drums", "both", "latent error", "KL, drums given"]
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for name, scores in results.items():
        bass, drums = (scores[f"val/surrogate_nats_{part}"] for part in ("bass", "drums"))
        cells = [
            f"{scores['windows']:,.0f}",
            f"{scores['val/kl']:.2f}" if "val/kl" in scores else "-",
            f"{bass:.1f}",
            f"{drums:.1f}",
            f"{bass + drums:.1f}",
            f"{scores['val/latent_error']:.4f}",
            f"{scores['val/kl_given_drums']:.2f}" if "val/kl_given_drums" in scores else "-",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    first = next(iter(results.values()))
    for source in ("encoder", "prior_mean"):
        bass, drums = (first[f"val/{source}_nats_{part}"] for part in ("bass", "drums"))
        kl = f"{first['val/kl_of_prior']:.2f}" if source == "prior_mean" else "0"
        lines.append(
            f"| ({source}) | - | {kl} | {bass:.1f} | {drums:.1f} | {bass + drums:.1f} | - | - |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("musicvae", type=Path, help="checkpoint of a trio")
    parser.add_argument("training", type=Path, help="data set to train on")
    parser.add_argument("validation", type=Path, help="data set of other songs")
    parser.add_argument("--windows", type=int, default=20_000, help="to train each row on")
    parser.add_argument("--most", type=int, default=2, help="windows a song to validate on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, metavar="NAME")
    parser.add_argument("--results", type=Path, default=Path("surrogate_experiments.json"))
    arguments = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    musicvae = MusicVAE.from_pretrained(arguments.musicvae)
    training = read_dataset(arguments.training)
    validation = few_a_song(read_dataset(arguments.validation), arguments.most)
    results: dict[str, dict[str, float]] = {}
    if arguments.results.is_file():
        results = json.loads(arguments.results.read_text(encoding="utf-8"))
    for name in arguments.only or EXPERIMENTS:
        if name not in results:
            results[name] = run(
                EXPERIMENTS[name],
                musicvae,
                (training, validation),
                arguments.windows,
                arguments.seed,
            )
            with replacing(arguments.results) as path:
                path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"{arguments.musicvae.name}; validated on {len(validation.tokens)} windows\n")
    print(table(results))


if __name__ == "__main__":
    main()
