"""The checkpoint folder: config.json beside model.safetensors.

Every network of this project is stored so. ``config.json`` holds the format's version, the kind of
network, its sizes, and whatever records the writer adds; the sizes alone rebuild the network.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.checkpoint_files import CONFIG_FILE, WEIGHTS_FILE
from musicvae_torch.io.files import replacing
from musicvae_torch.io.hub import local_folder, push_folder

FORMAT_VERSION = 1


def shipped_checkpoint(name: str) -> Path:
    """Folder of a checkpoint that comes with the package.

    Raises:
        CheckpointError: no such checkpoint.
    """
    package = Path(__file__).parents[1]
    # A wheel holds the checkpoints inside the package; a working copy, beside it.
    for home in (package / "checkpoints", package.parent / "checkpoints"):
        if (home / name / CONFIG_FILE).is_file():
            return home / name
    raise CheckpointError(f"no checkpoint {name!r} was installed with musicvae_torch")


def read_config(folder: str | Path) -> dict[str, Any]:
    """All of a checkpoint's config.json.

    Raises:
        CheckpointError: there is no such folder or file, it is not JSON, or of another version.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: no checkpoint here; wanted a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}") from None
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version is {version!r}, this library reads {FORMAT_VERSION}"
        )
    return config


def weights_sha256(folder: str | Path) -> str:
    """Hash of a checkpoint folder's weights, which identifies them in what was made with them."""
    with (Path(folder) / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _NoInit(TorchFunctionMode):
    """A mode in which ``torch.nn.init`` leaves tensors as they are.

    To draw normal numbers without memory, PyTorch would import its compiler, for half a second.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def config_text(kind: str, sizes: dict[str, Any], records: dict[str, Any] | None) -> str:
    """The config.json of a network of a kind and of sizes; `records` are added to it."""
    own = {"format_version": FORMAT_VERSION, "kind": kind, "model": sizes}
    config = own | (records or {}) | own  # first in the file, and never overwritten by records
    return json.dumps(config, indent=2) + "\n"


class PretrainedNetwork(nn.Module):
    """A network that can be stored in a checkpoint folder and rebuilt from it.

    Attributes:
        kind: its name in a checkpoint's config.json.
        config_class: of `config`; it has ``to_dict`` and ``from_dict``.
        config: the network's sizes, which alone make a network like it.
    """

    kind: ClassVar[str]
    config_class: ClassVar[Any]
    config: Any

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        device: str | torch.device = "cpu",
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
    ) -> Self:
        """Load `config.json` and `model.safetensors` from `folder`, in evaluation mode.

        The network computes in float32, whatever precision its weights are stored in.

        Args:
            folder: a checkpoint folder; or "user/name" of a model on huggingface.co, if there is
                no such folder.
            device: where to put the network.
            revision, cache_dir, token: of a model on huggingface.co; see
                :func:`musicvae_torch.io.hub.fetch`.

        Raises:
            CheckpointError: a file is missing, unreadable, or does not fit the other; or the model
                cannot be fetched.
        """
        home = local_folder(folder, revision=revision, cache_dir=cache_dir, token=token)
        config, path = read_config(home), home / CONFIG_FILE
        if config.get("kind") != cls.kind:
            raise CheckpointError(f"{path}: holds a {config.get('kind')!r}, wanted a {cls.kind!r}")
        sizes = config.get("model")
        if not isinstance(sizes, dict):
            raise CheckpointError(f"{path}: has no sizes under 'model'")
        try:
            # Without memory, so that absurd sizes fail because the weights do not fit them.
            with torch.device("meta"), _NoInit():
                network = cls(cls.config_class.from_dict(sizes))
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: {_first_line(error)}") from None
        path = home / WEIGHTS_FILE
        try:
            weights = {name: tensor.float() for name, tensor in load_file(path).items()}
        except (OSError, SafetensorError) as error:
            reason = _first_line(error)
            raise CheckpointError(f"{path}: not readable as safetensors: {reason}") from None
        try:
            network.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{path}: does not fit {CONFIG_FILE}: {reason}") from None
        return network.to(device).eval()

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        dtype: torch.dtype = torch.float32,
        records: dict[str, Any] | None = None,
    ) -> None:
        """Write `config.json` and `model.safetensors` into `folder`.

        Args:
            folder: made if need be.
            dtype: precision of the stored weights; float16 halves the file.
            records: further JSON data to keep in config.json, such as provenance.
        """
        # Before anything is written, as it may fail.
        text = config_text(self.kind, self.config.to_dict(), records)
        weights = {
            name: tensor.detach().to("cpu", dtype).contiguous()
            for name, tensor in self.state_dict().items()
        }
        with replacing(Path(folder) / WEIGHTS_FILE) as path:
            save_file(weights, path, metadata={"format": "pt"})
        with replacing(Path(folder) / CONFIG_FILE) as path:
            path.write_text(text, encoding="utf-8")

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str | None = None,
        dtype: torch.dtype = torch.float32,
        records: dict[str, Any] | None = None,
    ) -> str:
        """Upload the network to huggingface.co, with a model card if it has none yet.

        :func:`musicvae_torch.io.hub.push_folder` uploads a checkpoint folder with its records,
        README.md and attribute vectors, and describes the other arguments, the result and errors.

        Args:
            dtype, records: as for :meth:`save_pretrained`.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, dtype=dtype, records=records)
            return push_folder(
                folder, repo_id, private=private, token=token, commit_message=commit_message
            )
