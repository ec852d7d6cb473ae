"""A model card for a checkpoint that has no README of its own."""

from __future__ import annotations

import json
from pathlib import Path

from musicvae_torch.errors import CheckpointError

_LOADING = {
    "musicvae": "from musicvae_torch import MusicVAE\n\n"
    'model = MusicVAE.from_pretrained("{repo_id}")\n'
    "rows = model.sample(4, temperature=0.5)",
    "surrogate": 'from surrogate import load_surrogate\n\nsurrogate = load_surrogate("{repo_id}")',
}
_LOADING["point-surrogate"] = _LOADING["surrogate"]
_TITLES = {
    "musicvae": "A MusicVAE: a variational autoencoder of windows of music",
    "surrogate": "A surrogate encoder: from some parts of a song to a MusicVAE's latent",
    "point-surrogate": "A surrogate encoder: from a melody to a MusicVAE's latent",
}


def model_card(config_file: str | Path, repo_id: str) -> str:
    """A card in Markdown, with the metadata that huggingface.co reads at its top.

    The card holds what config.json says; data, licence and scores are for the owner to add.

    Args:
        config_file: of a checkpoint.
        repo_id: "user/name", under which the model is loaded.

    Raises:
        CheckpointError: the file holds no config of a checkpoint.
    """
    try:
        config = json.loads(Path(config_file).read_text(encoding="utf-8"))
        kind, sizes = str(config["kind"]), dict(config["model"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{config_file}: not the config of a checkpoint") from None
    lines = [
        "---",
        "library_name: musicvae-torch",
        "tags:",
        *(f"- {tag}" for tag in ("music", "midi", "vae", kind)),
        "---",
        "",
        f"# {repo_id.rpartition('/')[2]}",
        "",
        f"{_TITLES.get(kind, kind)}, in PyTorch.",
    ]
    if kind in _LOADING:
        code = _LOADING[kind].replace("{repo_id}", repo_id)
        lines += ["", "```sh", "pip install 'musicvae-torch[hub]'", "```"]
        lines += ["", "```python", code, "```"]
    lines += ["", "| size | |", "| --- | --- |"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in sizes.items()]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace("|", r"\|").replace("\n", " ")
