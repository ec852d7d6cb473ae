"""The command `export-onnx`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from musicvae_torch.cli.command_line import command, read_arguments, run_command

EXAMPLES = """examples:
  export-onnx my_trio -o my_trio_onnx
  export-onnx my_surrogate -o my_surrogate_onnx

and then, in Python, without PyTorch:
  from musicvae_torch.onnx.runtime import OnnxMusicVAE
  rows = OnnxMusicVAE("my_trio_onnx").sample(4, temperature=0.5)
"""


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="export-onnx",
        description="Write a network as ONNX: of a MusicVAE its encoder and decoder, of a "
        "surrogate itself.\nmanifest.json beside them names all inputs and outputs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="FOLDER", help="checkpoint of a MusicVAE or a surrogate"
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where to write; files of the same names are replaced",
    )
    return run_command("export-onnx", _export, read_arguments(parser, argv))


def _export(arguments: argparse.Namespace) -> None:
    from musicvae_torch.io.checkpoint import read_config, weights_sha256
    from musicvae_torch.model.vae import MusicVAE
    from musicvae_torch.onnx import export_musicvae
    from surrogate.encoder.model import load_surrogate
    from surrogate.encoder.onnx import export_surrogate

    folder = arguments.checkpoint
    if read_config(folder).get("kind") == MusicVAE.kind:
        model = MusicVAE.from_pretrained(folder)
        paths = export_musicvae(model, arguments.out, {"sha256": weights_sha256(folder)})
    else:
        network = load_surrogate(folder)
        paths = export_surrogate(network, arguments.out, {"sha256": weights_sha256(folder)})
    for path in paths:
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")
