"""Made-up windows of any config, and small sizes for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.converters.performance import END
from musicvae_torch.dataset import Windows
from musicvae_torch.windows.tensors import token_width


def tiny(name: str, **changes: Any) -> MusicVAEConfig:
    """A Magenta config at sizes that train in no time."""
    config = get_config(name)
    sizes = {"z_size": 4, "enc_rnn_size": (8,), "dec_rnn_size": (8,)} | changes
    if config.output == "nade":
        sizes |= {"nade_num_hidden": 5}
    return get_config(name, **sizes)


def made_up(config: MusicVAEConfig, count: int, seed: int = 0) -> Windows:
    """Windows of three songs, of random tokens such as the config's converter gives."""
    rng = np.random.default_rng(seed)
    shape = (count, config.max_seq_len, token_width(config))
    length = None
    if config.output == "groove":
        hits = rng.random((*shape[:2], 9)) < 0.3
        values = [hits, hits * rng.random(hits.shape), hits * rng.uniform(-1, 1, hits.shape)]
        kept = [rng.random(hits.shape) < 0.5] if shape[2] > 27 else []
        tokens = np.concatenate([*values, *kept], axis=-1).astype(np.float32)
    elif config.input_depth == 490:
        length = rng.integers(1, 65, (count, 8)).astype(np.int16)
        tokens = rng.integers(0, END, shape).astype(np.int16)
        tokens[..., 1:] %= 49
        past = np.arange(64) >= length[..., None]
        tokens[past.reshape(count, -1)] = -1
    else:
        depths = [2**15] * shape[2]  # of a word of drums
        if config.output == "categorical":
            depths = [*config.output_depths, config.control_depth][: shape[2]]
        if config.input_depth == 62:
            depths[-1] = 2 ** (61 % 15)
        parts = [rng.integers(0, depth, shape[:2]) for depth in depths]
        tokens = np.stack(parts, axis=-1).astype(np.int16)
        if config.input_depth == 10:
            tokens %= 512
    song = np.sort(rng.integers(0, 3, count)).astype(np.int32)
    return Windows(tokens, song, ["x/a.mid", "x/b.mid", "y/c.mid"], length=length)
