"""Makes the models here, and golden.json: what the real magenta.js computes from them.

    PYTHONPATH=tests python tests/golden/magenta_js/make_models.py NODE_MODULES

NODE_MODULES: the folder into which `npm install @magenta/music` put its packages.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from magenta_js_models import GOLDEN, ask_magenta_js, compact, read_model, variables_of

from convert_weights.names.magenta_js import write_magenta_js
from musicvae_torch.config import get_config

TINY: dict[str, Any] = {"z_size": 4, "enc_rnn_size": (4,), "dec_rnn_size": (4, 4)}
# Each data converter of magenta.js; lengths as released models have, where no config has them.
MODELS: dict[str, tuple[str, int | None, dict[str, Any]]] = {
    "mel_2bar_chords": ("cat-mel_2bar_med_chords", 2, {"dec_rnn_size": (4, 4, 4)}),
    "drums_nade": ("nade-drums_2bar_reduced", None, {"nade_num_hidden": 5}),
    "tap2drum_1bar": ("groovae_2bar_tap_fixed_velocity", None, {"max_seq_len": 16}),
    "trio_4bar": (
        "hier-trio_16bar",
        1,
        {
            "max_seq_len": 64,
            "encoder_level_lengths": (16, 4),
            "decoder_level_lengths": (4, 16),
        },
    ),
    "multitrack": (
        "hier-multiperf_vel_1bar_med",
        1,
        {
            "max_seq_len": 48,
            "encoder_level_lengths": (16, 3),
            "decoder_level_lengths": (3, 16),
        },
    ),
}


def main() -> None:
    answers = {}
    for seed, (name, (base, quantization_bytes, sizes)) in enumerate(MODELS.items()):
        config = get_config(base, **(TINY | sizes))
        rng = np.random.default_rng(seed)
        # Large enough weights for the tokens to vary.
        tensors = {
            variable: rng.normal(0, 1.5, shape).astype(np.float32)
            for variable, shape in variables_of(config).items()
        }
        write_magenta_js(GOLDEN / name, tensors, config, quantization_bytes)
        config, _ = read_model(GOLDEN / name)
        answer = ask_magenta_js(Path(sys.argv[1]), GOLDEN / name, config)
        rows = np.round(answer["rows"], 6).tolist()
        answers[name] = compact(config, {"rows": rows, "mean": answer["mean"]})
    (GOLDEN / "golden.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
