"""Folders of ONNX graphs, with a manifest that says how to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from musicvae_torch.io.files import replacing
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.onnx.decoder import sample_graph, start_graph, state_size, step_graph
from musicvae_torch.onnx.encoder import encoder_graph
from musicvae_torch.onnx.graph import OPSET, Graph
from musicvae_torch.onnx.heads import draws_of

MANIFEST_FILE = "manifest.json"
"""The file of an exported folder that says what its graphs take and give."""

FORMAT_VERSION = 1
_LOOP = [
    "embeddings, states = decoder_start(z); row = zeros",
    "for each step: segment = step // segment_steps (0, where segment_steps is null)",
    "at the first step of a segment: state = states[:, segment]",
    "logits, state = decoder_step(row, embeddings[:, segment], state), with controls[:, step] as "
    "control, where there is that input",
    "row = decoder_sample(logits, temperatures, places): the step's result, and the next step's "
    "previous",
]


def export_musicvae(
    model: MusicVAE, out: str | Path, records: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write a MusicVAE's encoder and decoder as ONNX.

    Args:
        out: folder for encoder.onnx, decoder_start.onnx, decoder_step.onnx, decoder_sample.onnx
            and manifest.json, made if need be.
        records: further JSON data for the manifest, such as what the weights are.

    Returns:
        The files, the manifest last.

    Raises:
        GraphError: a graph would be too large for one file.
        OSError: a file cannot be written.
    """
    config, decoder = model.config, model.decoder
    graphs = [encoder_graph(model), start_graph(model), step_graph(model), sample_graph(model)]
    manifest: dict[str, Any] = {
        "kind": model.kind,
        "config": config.to_dict(),
        "decoding": {
            "segments": decoder.segments,
            "segment_steps": decoder.segment_steps,
            "state_size": state_size(config),
            "draws": draws_of(config),
            "loop": _LOOP,
        },
    }
    return write_graphs(out, graphs, {**(records or {}), **manifest})


def write_graphs(
    out: str | Path, graphs: Sequence[Graph], manifest: Mapping[str, Any]
) -> list[Path]:
    """Write each graph into a file of its name, and then a manifest that describes them; see
    :func:`export_musicvae`."""
    out = Path(out)
    for graph in graphs:
        graph.check_size()  # of all, before any is written
    paths = []
    entries = {}
    for graph in graphs:
        path = out / f"{graph.name}.onnx"
        data = graph.model().SerializeToString()
        with replacing(path) as temporary:
            temporary.write_bytes(data)
        paths.append(path)
        entries[graph.name] = {
            "file": path.name,
            "about": graph.about,
            "inputs": [port.to_dict() for port in graph.inputs],
            "outputs": [port.to_dict() for port in graph.outputs],
        }
    whole = {"format_version": FORMAT_VERSION, "opset": OPSET, **manifest, "graphs": entries}
    with replacing(out / MANIFEST_FILE) as temporary:
        temporary.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return [*paths, out / MANIFEST_FILE]
