"""Checkpoint folders on huggingface.co, by the package huggingface_hub, if it is installed.

A model's name on the Hub is "user/name". A name that is also a local path is never looked for on
the Hub, and a :class:`~pathlib.Path` is always local.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.checkpoint_files import ATTRIBUTES_FILE, CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from musicvae_torch.io.model_card import model_card

_FILES = [CONFIG_FILE, WEIGHTS_FILE, ATTRIBUTES_FILE, CARD_FILE]
# The names that the Hub allows; others, such as ./model, are paths.
_REPO_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
# Libraries whose errors are of the network; huggingface_hub has moved from one to another.
_NETWORK = {"huggingface_hub", "httpx", "httpx2", "httpcore", "requests", "urllib3"}


def local_folder(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
) -> Path:
    """The folder that `source` names, or that holds what it names on the Hub.

    Args:
        source: a path; or "user/name", if there is no such path.
        revision, cache_dir, token: as for :func:`fetch`.

    Raises:
        CheckpointError: as :func:`fetch`; but not for a path that does not exist.
    """
    if isinstance(source, Path) or not _REPO_ID.fullmatch(source) or Path(source).exists():
        return Path(source)
    return fetch(source, revision=revision, cache_dir=cache_dir, token=token)


def fetch(
    repo_id: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
) -> Path:
    """Download a checkpoint from the Hub, unless the newest version is in the cache.

    Args:
        repo_id: "user/name".
        revision: a branch, tag or commit; None: the main branch.
        cache_dir: where to keep it; None: huggingface_hub's own cache.
        token: for private models; True, or None: the one that was logged in with.

    Returns:
        The checkpoint folder, in the cache.

    Raises:
        CheckpointError: huggingface_hub is not installed, the Hub cannot be reached, or it has no
            such model or revision, or the model is no checkpoint of this project.
    """
    hub = _hub(f"{repo_id}: no such folder; to fetch it from huggingface.co")
    with translate_hub_errors(
        f"{repo_id}: no such folder, and not fetched from huggingface.co", revision
    ):
        where = {"revision": revision, "cache_dir": cache_dir, "token": token}
        folder = Path(hub.snapshot_download(repo_id, **where, allow_patterns=_FILES))
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{repo_id}: no checkpoint of musicvae-torch on huggingface.co; it has no {name}"
            )
    return folder


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
) -> str:
    """Upload a checkpoint folder: its config.json and model.safetensors, its
    attributes.safetensors if there, and its README.md or, if it has none, a model card.

    A model card never replaces a README.md on the Hub; the folder's README.md does. If the folder
    has no attribute vectors, those on the Hub are removed, as they are of other weights.

    Args:
        folder: the checkpoint.
        repo_id: "user/name"; the repository is made if need be.
        private: whether a repository that is made is private; None: the owner's default.
        token: with the right to write; None: the one that was logged in with.
        commit_message: None: one that names this project.

    Returns:
        The model's address.

    Raises:
        CheckpointError: there is no checkpoint in the folder, huggingface_hub is not installed,
            or the upload failed.
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder / name}: no such file; only whole checkpoints go up")
    present = [name for name in _FILES if (folder / name).is_file()]
    card = None if CARD_FILE in present else model_card(folder / CONFIG_FILE, repo_id)
    hub = _hub(f"{repo_id}: to upload to huggingface.co")
    with tempfile.TemporaryDirectory() as work:
        for name in present:
            shutil.copyfile(folder / name, Path(work) / name)
        with translate_hub_errors(f"{repo_id}: not uploaded to huggingface.co"):
            address = str(hub.create_repo(repo_id, private=private, token=token, exist_ok=True))
            if card and not hub.file_exists(repo_id, CARD_FILE, token=token):
                (Path(work) / CARD_FILE).write_text(card, encoding="utf-8")
            hub.upload_folder(
                repo_id=repo_id,
                folder_path=work,
                commit_message=commit_message or "Upload a checkpoint of musicvae-torch",
                token=token,
                delete_patterns=[ATTRIBUTES_FILE],
            )
    return address


def _hub(purpose: str) -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise CheckpointError(
            f"{purpose}, huggingface_hub is needed: pip install 'musicvae-torch[hub]'"
        ) from None
    return huggingface_hub


@contextmanager
def translate_hub_errors(what: str, revision: str | None = None) -> Iterator[None]:
    """Turn what huggingface_hub and its network library raise into a CheckpointError of one line,
    which begins with `what`."""
    try:
        yield
    except Exception as error:
        reason = _reason(error, revision)
        if reason is None:
            raise
        raise CheckpointError(f"{what}: {reason}") from None


def _reason(error: Exception, revision: str | None) -> str | None:
    """An error in words; None: it is neither of the Hub nor of the network."""
    from huggingface_hub import errors

    log_in = "log in with hf auth login, or pass a token"
    # A gated repository's error is also a kind of the next: it comes first.
    reasons = {
        errors.GatedRepoError: f"its owner has to grant access; then {log_in}",
        errors.RepositoryNotFoundError: f"no such model there, or a private one: {log_in}",
        errors.RevisionNotFoundError: f"it has no revision {revision!r}",
        errors.OfflineModeIsEnabled: "the Hub cannot be reached, as HF_HUB_OFFLINE is set",
        errors.LocalEntryNotFoundError: "the Hub cannot be reached (offline?), and it is not in "
        "the cache",
    }
    for kind, reason in reasons.items():
        if isinstance(error, kind):
            return reason
    libraries = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    if not isinstance(error, OSError | ValueError) and _NETWORK.isdisjoint(libraries):
        return None
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
