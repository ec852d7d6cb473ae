"""Models on huggingface.co: a pretended Hub, and the real package's cache without a network."""

from __future__ import annotations

import inspect
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from fresh_python import run_python
from paths import ROOT

from musicvae_torch.attribute_vectors import AttributeVectors
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.errors import CheckpointError
from musicvae_torch.io import hub
from musicvae_torch.io.checkpoint import shipped_checkpoint
from musicvae_torch.model.vae import MusicVAE
from surrogate import PointSurrogate, SurrogateConfig, load_surrogate
from surrogate.encoder.loading import load_attributes

SIZES = MusicVAEConfig("tiny", 8, 15, (6, 5, 4), 4, (8,), (8,))


class Hub(ModuleType):
    """As much of huggingface_hub as there is use for: each repository is a folder.

    Attributes:
        root: of the repositories.
        calls: names and arguments of what was called.
        fault: raised by whatever is called.
    """

    def __init__(self, root: Path) -> None:
        super().__init__("huggingface_hub")
        self.root, self.calls = root, list[tuple[str, dict[str, Any]]]()
        self.fault: Exception | None = None

    def _called(self, name: str, **arguments: Any) -> None:
        self.calls.append((name, arguments))
        if self.fault:
            raise self.fault

    def snapshot_download(self, repo_id: str, **arguments: Any) -> str:
        self._called("download", repo_id=repo_id, **arguments)
        return str(self.root / repo_id)

    def create_repo(self, repo_id: str, **arguments: Any) -> str:
        self._called("create", repo_id=repo_id, **arguments)
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)
        return f"https://huggingface.co/{repo_id}"

    def file_exists(self, repo_id: str, name: str, token: str | None) -> bool:
        return (self.root / repo_id / name).exists()

    def upload_folder(self, repo_id: str, folder_path: str, **arguments: Any) -> None:
        self._called("upload", repo_id=repo_id, **arguments)
        for name in arguments["delete_patterns"]:
            (self.root / repo_id / name).unlink(missing_ok=True)
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    pretended = Hub(tmp_path / "hub")
    monkeypatch.setattr(hub, "_hub", lambda purpose: pretended)
    monkeypatch.chdir(tmp_path)
    return pretended


def a_model(seed: int = 0) -> MusicVAE:
    torch.manual_seed(seed)
    return MusicVAE(SIZES).eval()


def same(ours: torch.nn.Module, theirs: torch.nn.Module) -> bool:
    weights = theirs.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in ours.state_dict().items())


def test_there_and_back(remote: Hub, tmp_path: Path) -> None:
    model = a_model()
    address = model.push_to_hub(
        "me/tiny", private=True, token="secret", commit_message="first", records={"steps": 3}
    )
    assert address == "https://huggingface.co/me/tiny"
    (_, created), (_, uploaded) = remote.calls
    assert created == {"repo_id": "me/tiny", "private": True, "token": "secret", "exist_ok": True}
    assert uploaded["token"] == "secret" and uploaded["commit_message"] == "first"
    assert {path.name for path in (tmp_path / "hub/me/tiny").iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    again = MusicVAE.from_pretrained(
        "me/tiny", revision="v1", cache_dir=tmp_path / "cache", token="secret"
    )
    assert same(again, model)
    name, asked = remote.calls[-1]
    assert name == "download" and asked == {
        "repo_id": "me/tiny",
        "revision": "v1",
        "cache_dir": tmp_path / "cache",
        "token": "secret",
        "allow_patterns": [
            "config.json",
            "model.safetensors",
            "attributes.safetensors",
            "README.md",
        ],
    }


def test_the_card_says_how_to_load_it(remote: Hub, tmp_path: Path) -> None:
    a_model().push_to_hub("me/tiny")
    card = (tmp_path / "hub/me/tiny/README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: musicvae-torch\ntags:\n- music\n")
    assert "| output_depths | 6, 5, 4 |" in card
    code = card.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["rows"].shape == (4, 8, 15) and isinstance(names["model"], MusicVAE)


def test_a_card_on_the_hub_is_kept(remote: Hub, tmp_path: Path) -> None:
    card = tmp_path / "hub/me/tiny/README.md"
    card.parent.mkdir(parents=True)
    card.write_text("By hand.", encoding="utf-8")
    a_model().push_to_hub("me/tiny")
    assert card.read_text(encoding="utf-8") == "By hand."


def test_a_folder_goes_up_as_it_is(remote: Hub, tmp_path: Path) -> None:
    shipped = shipped_checkpoint("trio_16bar_small")
    hub.push_folder(shipped, "me/trio")
    for path in shipped.iterdir():
        assert (tmp_path / "hub/me/trio" / path.name).read_bytes() == path.read_bytes()
    vectors = AttributeVectors.load("me/trio")
    assert vectors.names == AttributeVectors.load(shipped).names
    beside = load_attributes("me/trio")
    assert beside is not None and beside.names == vectors.names
    # Vectors of weights that are no longer there go.
    a_model().push_to_hub("me/trio")
    assert not (tmp_path / "hub/me/trio/attributes.safetensors").exists()


def test_the_guide_s_lines(remote: Hub, tmp_path: Path) -> None:
    guide = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in guide.split("```python\n")[2:]]
    shutil.copytree(shipped_checkpoint("trio_16bar_small"), tmp_path / "my_trio")
    for code in reversed(blocks):  # up before down
        exec(code, {})
    assert [name for name, _ in remote.calls] == ["create", "upload", "download"]


def test_a_surrogate_from_the_hub_is_the_one_that_was_pushed(remote: Hub) -> None:
    network = PointSurrogate(SurrogateConfig(z_size=3, rnn_size=(5, 4)))
    network.push_to_hub("me/point")
    assert same(load_surrogate("me/point"), network)
    with pytest.raises(CheckpointError, match="holds a 'point-surrogate', wanted a 'musicvae'"):
        MusicVAE.from_pretrained("me/point")


def test_local_folders_win(remote: Hub, tmp_path: Path) -> None:
    a_model(0).push_to_hub("me/tiny")
    a_model(1).save_pretrained(tmp_path / "me/tiny")
    remote.calls.clear()
    assert same(MusicVAE.from_pretrained("me/tiny"), a_model(1))
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        MusicVAE.from_pretrained(Path("you/tiny"))  # a Path is always of here
    for path in ("./you/tiny", "../you/tiny", "you/tiny/more", "/you/tiny", "tiny", "you/ti ny"):
        with pytest.raises(CheckpointError, match="no checkpoint here"):
            MusicVAE.from_pretrained(path)
    assert not remote.calls


def test_a_repository_of_something_else(remote: Hub, tmp_path: Path) -> None:
    (tmp_path / "hub/me/bert").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="me/bert: no checkpoint of musicvae-torch"):
        MusicVAE.from_pretrained("me/bert")


def test_only_checkpoints_go_up(remote: Hub, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half/config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="no such file; only whole checkpoints go up"):
        hub.push_folder(tmp_path / "half", "me/half")
    (tmp_path / "half/model.safetensors").touch()
    with pytest.raises(CheckpointError, match="not the config of a checkpoint"):
        hub.push_folder(tmp_path / "half", "me/half")
    assert not remote.calls


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"^me/tiny: no such folder.*musicvae-torch\[hub\]"):
        MusicVAE.from_pretrained("me/tiny")
    with pytest.raises(CheckpointError, match=r"to upload .*musicvae-torch\[hub\]"):
        a_model().push_to_hub("me/tiny")
    a_model().save_pretrained(tmp_path / "me/tiny")
    assert same(MusicVAE.from_pretrained("me/tiny"), a_model())


def http_error(kind: str) -> Exception:
    """An error of huggingface_hub, of which only the kind counts."""
    errors = pytest.importorskip("huggingface_hub.errors", reason="needs huggingface_hub")
    error: Exception = getattr(errors, kind).__new__(getattr(errors, kind))
    error.args = ("Client Error.\n\nRequest ID: 1",)
    return error


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("RepositoryNotFoundError", "no such model there, or a private one"),
        ("GatedRepoError", "its owner has to grant access"),
        ("RevisionNotFoundError", "it has no revision 'v9'"),
        ("LocalEntryNotFoundError", "the Hub cannot be reached"),
        ("OfflineModeIsEnabled", "the Hub cannot be reached"),
        ("HfHubHTTPError", "Client Error."),
        ("HFValidationError", "Client Error."),
    ],
)
def test_faults_are_told_in_one_line(fault: str, message: str, remote: Hub) -> None:
    remote.fault = http_error(fault)
    with pytest.raises(CheckpointError) as caught:
        MusicVAE.from_pretrained("me/tiny", revision="v9")
    text = str(caught.value)
    start = "me/tiny: no such folder, and not fetched from huggingface.co: "
    assert text.startswith(start + message) and "\n" not in text
    if fault != "RevisionNotFoundError":
        with pytest.raises(CheckpointError, match=f"not uploaded to huggingface.co: {message}"):
            a_model().push_to_hub("me/tiny")


def test_our_own_mistakes_are_not_taken_for_the_hub_s(remote: Hub) -> None:
    pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    remote.fault = TypeError("unexpected keyword argument")
    with pytest.raises(TypeError):
        MusicVAE.from_pretrained("me/tiny")


def test_the_real_cache_offline(tmp_path: Path) -> None:
    """As huggingface_hub lays its cache out; in a process of its own, since it reads the
    environment when it is imported."""
    pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    commit = "0123456789abcdef0123456789abcdef01234567"
    home = tmp_path / "cache/models--me--tiny"
    a_model().save_pretrained(home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs/main").write_text(commit, encoding="utf-8")
    code = """
from musicvae_torch import MusicVAE
print(MusicVAE.from_pretrained("me/tiny").config.name)
print(MusicVAE.from_pretrained("me/tiny", revision=REVISION).config.name)
for attempt in (
    lambda: MusicVAE.from_pretrained("me/other"),
    lambda: MusicVAE.from_pretrained("me/tiny", revision="v2"),
    lambda: MusicVAE.from_pretrained("me/ti..ny"),
    lambda: MusicVAE.from_pretrained("me/tiny").push_to_hub("me/tiny"),
):
    try:
        attempt()
    except ValueError as error:
        print(error)
""".replace("REVISION", repr(commit))
    environment = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_TOKEN": "none",
    }
    done = run_python(code, folder=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["tiny", "tiny"] and len(lines) == 6, done.stdout
    assert all("cannot be reached (offline?), and it is not in the cache" in x for x in lines[2:4])
    assert lines[4].startswith("me/ti..ny: no such folder, and not fetched")
    assert lines[5].startswith("me/tiny: not uploaded to huggingface.co: the Hub cannot be reached")


def test_what_the_pretended_hub_takes_the_real_one_takes(remote: Hub) -> None:
    real = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    a_model().push_to_hub("me/tiny")
    MusicVAE.from_pretrained("me/tiny")
    names = {"download": "snapshot_download", "create": "create_repo", "upload": "upload_folder"}
    for name, arguments in remote.calls:
        known = inspect.signature(getattr(real, names[name])).parameters
        assert set(arguments) <= set(known), name
    assert [name for name, _ in remote.calls] == ["create", "upload", "download"]
