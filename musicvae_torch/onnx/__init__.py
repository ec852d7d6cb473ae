"""MusicVAE as ONNX graphs, for ONNX Runtime and whatever else reads them, without PyTorch.

    export_musicvae(MusicVAE.from_pretrained("my_model"), "my_model_onnx")

They are run by :mod:`musicvae_torch.onnx.runtime`, which needs NumPy and ONNX Runtime alone.
"""

from musicvae_torch.onnx.folder import MANIFEST_FILE, export_musicvae
from musicvae_torch.onnx.graph import GraphError

__all__ = ["MANIFEST_FILE", "GraphError", "export_musicvae"]
