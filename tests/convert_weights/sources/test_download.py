"""Released checkpoints from a server of our own, which breaks off, changes and lies."""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT
from properties import examples

from convert_weights.sources import fetch as fetching
from convert_weights.sources.download import cache_folder, download
from convert_weights.sources.releases import RELEASES, SERVER, get_release
from musicvae_torch.errors import DownloadError

NAME = "cat-mel_2bar_big"
TAR = f"/magentadata/models/music_vae/checkpoints/{NAME}.tar"
JS = "/magentadata/js/checkpoints/music_vae/mel_2bar_small"
CONTENT = bytes(range(256)) * 400
OTHER = CONTENT[::-1]


@dataclass
class Site:
    """What the server has, how it behaves, and what it was asked: (path, Range header)."""

    base: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    takes_ranges: bool = True
    heeds_if_range: bool = True
    says_length: bool = True
    content_type: str = "application/x-tar"
    busy: int = 0  # answers 503 to so many requests
    cuts: list[int] = field(default_factory=list)  # each drops one answer after so many bytes
    gate: threading.Event = field(default_factory=threading.Event)  # opened to finish cut answers
    holds: bool = False  # whether a cut answer waits at the gate, and then goes on
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def ranges(self) -> list[str | None]:
        return [span for _, span in self.asked]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        site, span = self.server.site, self.headers.get("Range")
        site.asked.append((self.path, span))
        if site.busy:
            site.busy -= 1
            self.send_error(503)
            return
        if self.path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[self.path])
            self.end_headers()
            return
        if self.path not in site.files:
            self.send_error(404)
            return
        content = site.files[self.path]
        is_same = self.headers.get("If-Range") in site.headers.values()
        if span and site.takes_ranges and (is_same or not site.heeds_if_range):
            start = int(span.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            content = content[start:]
        else:
            self.send_response(200)
        for name, value in site.headers.items():
            self.send_header(name, value)
        if site.says_length:
            self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", site.content_type)
        self.end_headers()
        cut = site.cuts.pop(0) if site.cuts else len(content)
        self.wfile.write(content[:cut])
        if site.holds and site.gate.wait(60):
            self.wfile.write(content[cut:])

    def log_message(self, *arguments: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    site: Site

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up are what the tests are about


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def site(server: Server) -> Site:
    return new_site(server)


def new_site(server: Server) -> Site:
    server.site = Site(base=f"http://127.0.0.1:{server.server_port}", files={TAR: CONTENT})
    return server.site


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_FIRST_WAIT", 0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # urllib looks at the environment once and keeps what it found here.
    monkeypatch.setattr(urllib.request, "_opener", None)


def get(site: Site, folder: Path, name: str = NAME) -> Path:
    return download(name, folder, site.base, progress=False)


def refusal(site: Site, folder: Path, name: str = NAME) -> str:
    with pytest.raises(DownloadError) as caught:
        get(site, folder, name)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def left(folder: Path) -> set[str]:
    """The files below a folder, without the locks."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix() for path in paths}


def break_off(site: Site, folder: Path, at: int) -> Path:
    """Leaves a download that got as far as `at`; returns its part."""
    site.cuts = [at] + [0] * 5
    assert f"{at:,} bytes are kept" in refusal(site, folder)
    site.cuts, site.asked = [], []
    (part,) = folder.glob(f"{NAME}/*.part")
    assert part.read_bytes() == CONTENT[:at]
    return part


def test_a_whole_tar(site: Site, tmp_path: Path) -> None:
    path = get(site, tmp_path)
    assert path == tmp_path / NAME / f"{NAME}.tar"
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == {f"{NAME}/{NAME}.tar"}
    assert get(site, tmp_path, "mel_2bar") == path
    assert site.asked == [(TAR, None)]


def test_a_bare_checkpoint(site: Site, tmp_path: Path) -> None:
    release = get_release("colab/mel_2bar_big")
    for file in release.files:
        site.files[f"/{release.folder}/{file}"] = file.encode()
    path = get(site, tmp_path, release.name)
    assert path == tmp_path / "colab" / "mel_2bar_big"
    assert left(path) == {"mel_2bar_big.ckpt.index", "mel_2bar_big.ckpt.data-00000-of-00001"}
    assert (path / "mel_2bar_big.ckpt.index").read_bytes() == b"mel_2bar_big.ckpt.index"


def test_a_magenta_js_folder(site: Site, tmp_path: Path) -> None:
    manifest = [{"paths": ["group1-shard1of2", "group1-shard2of2"]}, {"paths": ["weights_1"]}]
    put_js(site, manifest)
    path = get(site, tmp_path, "js/mel_2bar_small")
    shards = {"group1-shard1of2", "group1-shard2of2", "weights_1"}
    assert left(path) == {"config.json", "weights_manifest.json", *shards}
    assert json.loads((path / "weights_manifest.json").read_bytes()) == manifest
    assert (path / "weights_1").read_bytes() == b"weights_1"
    count = len(site.asked)
    (path / "weights_1").unlink()
    get(site, tmp_path, "js/mel_2bar_small")
    assert site.asked[count:] == [(f"{JS}/weights_1", None)]


def put_js(site: Site, manifest: Any) -> None:
    site.files[f"{JS}/config.json"] = b"{}"
    site.files[f"{JS}/weights_manifest.json"] = json.dumps(manifest).encode()
    for name in ("group1-shard1of2", "group1-shard2of2", "weights_1"):
        site.files[f"{JS}/{name}"] = name.encode()


HOSTILE = [
    "../shard",
    "..",
    ".",
    "",
    "/etc/shard",
    "a/b",
    "a\\..\\b",
    "C:shard",
    "http://127.0.0.1/shard",
    "//127.0.0.1/shard",
    ".bashrc",
    "shard?x",
    "shard\n",
    "%2e%2e",
    3,
    None,
]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_a_hostile_manifest(site: Site, tmp_path: Path, name: Any) -> None:
    put_js(site, [{"paths": ["group1-shard1of2", name]}])
    message = refusal(site, tmp_path, "js/mel_2bar_small")
    assert f"lists {name!r}" in message
    # Not even the good shard is fetched.
    assert left(tmp_path / "js/mel_2bar_small") == {"config.json", "weights_manifest.json"}
    assert len(site.asked) == 2


BROKEN = [b"{}", b"[3]", b'["x"]', b"[{}]", b'[{"paths": null}]', b"3", b"\xff", b"[" * 100_000]


@pytest.mark.parametrize("manifest", [*BROKEN, b"[]" + b" " * (17 << 20)], ids=range(9))
def test_no_manifest(site: Site, tmp_path: Path, manifest: bytes) -> None:
    put_js(site, [])
    site.files[f"{JS}/weights_manifest.json"] = manifest
    assert "not a magenta.js manifest" in refusal(site, tmp_path, "js/mel_2bar_small")


def test_a_cut_connection_goes_on(site: Site, tmp_path: Path) -> None:
    site.cuts = [5000, 3000]
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=5000-", "bytes=8000-"]
    assert left(tmp_path) == {f"{NAME}/{NAME}.tar"}


@examples(40)
@given(
    cuts=st.lists(st.integers(0, len(CONTENT)), max_size=4),
    headers=st.sampled_from(
        [
            {},
            {"ETag": '"1"'},
            {"ETag": 'W/"1"'},
            {"Last-Modified": "Tue, 13 Mar 2018 10:00:00 GMT"},
            {"ETag": '"1"', "Last-Modified": "Tue, 13 Mar 2018 10:00:00 GMT"},
        ]
    ),
    takes_ranges=st.booleans(),
    heeds_if_range=st.booleans(),
)
def test_any_cuts(
    server: Server,
    cuts: list[int],
    headers: dict[str, str],
    takes_ranges: bool,
    heeds_if_range: bool,
) -> None:
    site = new_site(server)
    site.cuts, site.headers = cuts, headers
    site.takes_ranges, site.heeds_if_range = takes_ranges, heeds_if_range
    with tempfile.TemporaryDirectory() as folder:
        assert get(site, Path(folder)).read_bytes() == CONTENT


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"1"'}])
def test_nothing_tells_versions_apart(site: Site, tmp_path: Path, headers: dict[str, str]) -> None:
    site.cuts, site.headers = [5000], headers
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, None]


def test_many_cuts_with_something_new_each(site: Site, tmp_path: Path) -> None:
    site.cuts = [1000] * 20
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert len(site.asked) == 21


def test_another_range_than_asked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(site, tmp_path, 5000)
    answer = Handler.do_GET

    def answer_from_too_far_on(handler: Handler) -> None:
        if "Range" in handler.headers:
            handler.headers.replace_header("Range", "bytes=6000-")
        answer(handler)

    monkeypatch.setattr(Handler, "do_GET", answer_from_too_far_on)
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.ranges == ["bytes=6000-", None]


def test_a_later_call_goes_on(site: Site, tmp_path: Path) -> None:
    break_off(site, tmp_path, 5000)
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.ranges == ["bytes=5000-"]


def test_a_server_without_ranges(site: Site, tmp_path: Path) -> None:
    break_off(site, tmp_path, 5000)
    site.takes_ranges = False
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.ranges == ["bytes=5000-"]


@pytest.mark.parametrize("heeds_if_range", [True, False])
@pytest.mark.parametrize("size", [len(OTHER), 100_000, 5000, 3000])
def test_a_changed_file(site: Site, tmp_path: Path, heeds_if_range: bool, size: int) -> None:
    break_off(site, tmp_path, 5000)
    site.files[TAR], site.headers = OTHER[:size], {"ETag": '"2"'}
    site.heeds_if_range = heeds_if_range
    assert get(site, tmp_path).read_bytes() == OTHER[:size]
    assert site.ranges == (["bytes=5000-"] if heeds_if_range else ["bytes=5000-", None])


def test_a_changed_length(site: Site, tmp_path: Path) -> None:
    break_off(site, tmp_path, 5000)
    site.files[TAR], site.headers, site.heeds_if_range = OTHER + b"more", {}, False
    assert get(site, tmp_path).read_bytes() == OTHER + b"more"


def test_another_server_has_another_file(site: Site, tmp_path: Path) -> None:
    break_off(site, tmp_path, 5000)
    site.base = site.base.replace("127.0.0.1", "localhost")
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None]


def test_a_part_that_only_wants_its_name(site: Site, tmp_path: Path) -> None:
    part = break_off(site, tmp_path, 5000)
    part.write_bytes(CONTENT)
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == [] and left(tmp_path) == {f"{NAME}/{NAME}.tar"}


@pytest.mark.parametrize("note", [None, b"", b"{}", b"[]", b"\xff", b'{"url": 3}'])
def test_a_part_of_unknown_origin(site: Site, tmp_path: Path, note: bytes | None) -> None:
    part = break_off(site, tmp_path, 5000)
    path = part.with_name(f"{part.name}.json")
    path.unlink() if note is None else path.write_bytes(note)
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None]


def test_no_length(site: Site, tmp_path: Path) -> None:
    site.says_length = False
    assert get(site, tmp_path).read_bytes() == CONTENT


def test_an_empty_file(site: Site, tmp_path: Path) -> None:
    site.files[TAR] = b""
    assert get(site, tmp_path).read_bytes() == b""


def test_stopped_before_the_first_byte(site: Site, tmp_path: Path) -> None:
    part = break_off(site, tmp_path, 5000)
    note = part.with_name(f"{part.name}.json")
    note.write_text(json.dumps({**json.loads(note.read_bytes()), "length": 0}))
    part.unlink()
    site.files[TAR] = b""
    assert get(site, tmp_path).read_bytes() == b""


def test_a_busy_server(site: Site, tmp_path: Path) -> None:
    site.busy = 3
    assert get(site, tmp_path).read_bytes() == CONTENT
    site.busy = 5
    assert "the server answers 503" in refusal(site, tmp_path / "other")
    assert site.busy == 0


def test_not_found(site: Site, tmp_path: Path) -> None:
    site.files = {}
    message = refusal(site, tmp_path)
    assert f"{site.base}{TAR}: the server answers 404" in message and "pass the file" in message
    assert len(site.asked) == 1 and left(tmp_path) == set()


def test_nobody_answers(site: Site, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        site.base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        message = refusal(site, tmp_path)
    assert message.startswith("could not reach 127.0.0.1: Connection refused; is there a network?")
    assert message.endswith(f"pass the file: {site.base}{TAR}")


def test_offline_with_everything_there(site: Site, tmp_path: Path) -> None:
    path = get(site, tmp_path)
    assert download(NAME, tmp_path, "http://nowhere.invalid") == path


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/x-tar"])
def test_a_web_page_instead(site: Site, tmp_path: Path, content_type: str) -> None:
    part = break_off(site, tmp_path, 5000)
    page = b" \n<!DOCTYPE html><html>Welcome to our hotel" if "tar" in content_type else b"Hello"
    site.files[TAR], site.headers, site.content_type = page, {}, content_type
    assert "a web page came instead" in refusal(site, tmp_path)
    assert part.read_bytes() == CONTENT[:5000]


@pytest.mark.parametrize("status", [204, 206, 403])
def test_a_strange_answer(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.end_headers()

    monkeypatch.setattr(Handler, "do_GET", answer)
    assert f"the server answers {status}" in refusal(site, tmp_path)


def test_redirected(site: Site, tmp_path: Path) -> None:
    site.redirects, site.files = {TAR: f"{site.base}/moved"}, {"/moved": CONTENT}
    break_off(site, tmp_path, 5000)
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1] == ("/moved", "bytes=5000-")


def test_through_a_proxy(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.base)
    site.files = {f"http://mirror.invalid/magenta{TAR}": CONTENT}
    path = download(NAME, tmp_path, "http://mirror.invalid/magenta/", progress=False)
    assert path.read_bytes() == CONTENT


def test_no_room(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(site, tmp_path, 5000)
    room = len(CONTENT) - 5001
    usage = type(shutil.disk_usage(tmp_path))(10**6, 0, room)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert f"97,400 bytes are needed for {NAME}.tar, 97,399 are free" in refusal(site, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def open_full(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> IO[Any]:
        # A device that never has room stands in for the disk.
        is_part = path.suffix == ".part" and mode == "ab"
        return opened(Path("/dev/full") if is_part else path, mode, *arguments, **options)

    with monkeypatch.context() as context:
        context.setattr(Path, "open", open_full)
        assert "the disk is full" in refusal(site, tmp_path)
    assert get(site, tmp_path).read_bytes() == CONTENT


def test_other_faults_of_the_disk_are_told_as_they_are(site: Site, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"a file where the folder should be")
    with pytest.raises(FileExistsError):
        get(site, tmp_path)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_interrupted(site: Site, tmp_path: Path) -> None:
    site.cuts, site.holds = [1000], True
    # A process that was begun in the background has Ctrl-C switched off.
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from convert_weights.sources.download import download; download(*sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, NAME, str(tmp_path), site.base],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    part = tmp_path / NAME / f"{NAME}.tar.part"
    wait_until(lambda: part.exists() and part.stat().st_size == 1000)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) != 0
    site.gate.set()
    assert part.read_bytes() == CONTENT[:1000]
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=1000-"]


def test_two_at_once(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.cuts, site.holds = [5000], True
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(download(NAME, tmp_path, site.base)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: "waiting for another download" in capsys.readouterr().err)
    site.gate.set()
    for thread in threads:
        thread.join(20)
    assert [path.read_bytes() for path in paths] == [CONTENT] * 2
    assert site.asked == [(TAR, None)]


@pytest.mark.parametrize(
    "base", ["", "mirror", "file:///", "ftp://x", "http://", "http://x:y", "http://a b"]
)
def test_a_base_that_is_none(tmp_path: Path, base: str) -> None:
    with pytest.raises(DownloadError, match="expected an address"):
        download(NAME, tmp_path, base)
    assert left(tmp_path) == set()


def test_where_they_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/musicvae-torch"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder() == tmp_path / ".cache/musicvae-torch"


def test_names() -> None:
    assert get_release("cat-mel_2bar_big").url("cat-mel_2bar_big.tar") == SERVER + TAR
    assert get_release("flat-trio_16bar").name == "colab/trio_16bar_flat"
    with pytest.raises(DownloadError, match=r"did you mean js/mel_2bar_small or .*--download list"):
        get_release("mel_2bar_small")
    with pytest.raises(DownloadError, match=r"called '\\x1b'; --download list"):
        get_release("\x1b")


def test_the_table() -> None:
    releases = RELEASES.values()
    names = [name for release in releases for name in (release.name, *release.aliases)]
    assert len(set(names)) == len(names)
    urls = [release.url(file) for release in releases for file in release.files]
    assert len(set(urls)) == len(urls)
    for name in names:
        assert name in (release := get_release(name)).aliases or name == release.name
