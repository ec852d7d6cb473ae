"""The checkpoint folder: config.json beside model.safetensors.

Used by every network that the repo stores. ``config.json`` holds the format's version, the
kind of network, its sizes, and whatever records the writer adds; the sizes alone rebuild the
network.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

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

Network = TypeVar("Network", bound=nn.Module)


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
    """The whole of a checkpoint's config.json.

    Raises:
        CheckpointError: no such folder or file, not JSON, or a format of another version.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: no checkpoint here; wanted a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}") from None
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version is {version!r}, this library reads {FORMAT_VERSION}"
        )
    return config


def weights_sha256(folder: str | Path) -> str:
    """Hash of a checkpoint folder's weights, by which what was made with them knows them again."""
    with (Path(folder) / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_checkpoint(
    folder: str | Path,
    kind: str,
    build: Callable[[dict[str, Any]], Network],
    device: str | torch.device,
) -> Network:
    """Rebuild a network from `folder`, in float32 and evaluation mode.

    Args:
        folder: as written by :func:`save_checkpoint`.
        kind: the kind of network that is wanted.
        build: makes the network from the stored sizes.
        device: where to put it.

    Raises:
        CheckpointError: a file is missing or corrupt, of another kind, or of other sizes.
    """
    config = read_config(folder)
    path = Path(folder) / CONFIG_FILE
    if config.get("kind") != kind:
        raise CheckpointError(f"{path}: holds a {config.get('kind')!r}, wanted a {kind!r}")
    sizes = config.get("model")
    if not isinstance(sizes, dict):
        raise CheckpointError(f"{path}: has no sizes under 'model'")
    try:
        # Without memory, so that sizes out of all proportion fail on their weights, not on it.
        with torch.device("meta"), _NoInit():
            network = build(sizes)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {_first_line(error)}") from None
    path = Path(folder) / WEIGHTS_FILE
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: not readable as safetensors: {_first_line(error)}"
        ) from None
    try:
        network.load_state_dict(
            {name: tensor.float() for name, tensor in weights.items()}, assign=True
        )
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: does not fit {CONFIG_FILE}: {reason}") from None
    return network.to(device).eval()


class _NoInit(TorchFunctionMode):
    """Within it, what ``torch.nn.init`` is to fill is left as it is.

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
    """What the config.json of a network holds; arguments as for :func:`save_checkpoint`."""
    own = {"format_version": FORMAT_VERSION, "kind": kind, "model": sizes}
    config = own | (records or {}) | own  # first in the file, and never overwritten by records
    return json.dumps(config, indent=2) + "\n"


def save_checkpoint(
    network: nn.Module,
    folder: str | Path,
    kind: str,
    sizes: dict[str, Any],
    dtype: torch.dtype,
    records: dict[str, Any] | None,
) -> None:
    """Write `network` into `folder`; see :func:`load_checkpoint`."""
    folder = Path(folder)
    text = config_text(kind, sizes, records)  # before anything is written, as it may fail
    weights = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    with replacing(folder / WEIGHTS_FILE) as path:
        save_file(weights, path, metadata={"format": "pt"})
    with replacing(folder / CONFIG_FILE) as path:
        path.write_text(text, encoding="utf-8")


class PretrainedNetwork(nn.Module):
    """A network that can be stored in a checkpoint folder and rebuilt from it.

    Attributes:
        kind: what a checkpoint's config.json calls such a network.
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

        Weights are computed with in float32, whatever precision they are stored in.

        Args:
            folder: a checkpoint folder; or "user/name" of a model on huggingface.co, where there
                is no such folder.
            device: where to put the network.
            revision, cache_dir, token: of such a model; see :func:`musicvae_torch.io.hub.fetch`.

        Raises:
            CheckpointError: a file is missing, unreadable, or does not fit the other; or the model
                cannot be fetched.
        """
        folder = local_folder(folder, revision=revision, cache_dir=cache_dir, token=token)
        return load_checkpoint(
            folder, cls.kind, lambda sizes: cls(cls.config_class.from_dict(sizes)), device
        )

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
        save_checkpoint(self, folder, self.kind, self.config.to_dict(), dtype, records)

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
        """Upload the network to huggingface.co, with a model card where there is none yet.

        A checkpoint folder, with its records, README.md and attribute vectors, is uploaded as it
        is by :func:`musicvae_torch.io.hub.push_folder`; for the other arguments, result and errors,
        see there.

        Args:
            dtype, records: as for :meth:`save_pretrained`.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, dtype=dtype, records=records)
            return push_folder(
                folder, repo_id, private=private, token=token, commit_message=commit_message
            )
