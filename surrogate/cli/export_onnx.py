"""The command `export-onnx`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from musicvae_torch.cli.command import Command
from musicvae_torch.options import option

EXAMPLES = """examples:
  export-onnx my_trio -o my_trio_onnx
  export-onnx my_surrogate -o my_surrogate_onnx

and then, in Python, without PyTorch:
  from musicvae_torch.onnx.runtime import OnnxMusicVAE
  rows = OnnxMusicVAE("my_trio_onnx").sample(4, temperature=0.5)
"""


@dataclass(kw_only=True)
class ExportOptions:
    """Export a MusicVAE or a surrogate encoder as ONNX graphs, which run without PyTorch and
    without this package. manifest.json, beside them, describes all inputs and outputs.

    Attributes:
        checkpoint: folder of a MusicVAE or a surrogate encoder.
        out: folder to write; files of the same names are replaced.
    """

    checkpoint: Path = option(positional=True, metavar="FOLDER")
    out: Path = option(short="o", metavar="FOLDER")


def export(options: ExportOptions) -> None:
    from musicvae_torch.io.checkpoint import read_config, weights_sha256
    from musicvae_torch.model.vae import MusicVAE
    from musicvae_torch.onnx import export_musicvae
    from surrogate.encoder.loading import load_surrogate
    from surrogate.encoder.onnx import export_surrogate

    folder = options.checkpoint
    is_musicvae = read_config(folder).get("kind") == MusicVAE.kind
    network = MusicVAE.from_pretrained(folder) if is_musicvae else load_surrogate(folder)
    source = {"sha256": weights_sha256(folder)}  # last: it says less of a folder without weights
    if isinstance(network, MusicVAE):
        paths = export_musicvae(network, options.out, source)
    else:
        paths = export_surrogate(network, options.out, source)
    for path in paths:
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


main = Command("export-onnx", ExportOptions, export, EXAMPLES)
