"""Downloading one file over HTTP, whole or not at all; a download that broke off is continued.

PATH.part holds the bytes that came, PATH.part.json the address and the version that they are of.
The next attempt asks for the rest of just that version (Range with If-Range, RFC 9110, sections 13
and 14) and starts over if the server has another one, or sends everything anyway.
"""

import errno
import json
import re
import shutil
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tqdm import tqdm

from musicvae_torch.errors import DownloadError
from musicvae_torch.io.files import replacing

_TIMEOUT = 30.0  # seconds without a byte
_MAX_FAILURES = 5  # in a row, without a byte more than before
_FIRST_WAIT = 1.0  # seconds, doubled after each such failure
_CHUNK = 1 << 18
_BUSY = {408, 429, 500, 502, 503, 504}
_BY_HAND = "or download it by hand and pass the file"


class _BrokenError(Exception):
    """The connection failed, or the server is busy; another attempt may succeed.

    reached: whether there was a connection at all.
    """

    def __init__(self, reason: str, reached: bool = True) -> None:
        super().__init__(reason)
        self.reached = reached


class _StaleError(Exception):
    """The bytes on disk are not of the file that the server has now: start over."""


def fetch(url: str, path: Path, *, progress: bool = False) -> None:
    """Downloads `url` to `path`, which appears when it is complete; continues a broken download.

    Nobody else may be fetching to `path` at the time. Proxies are taken from the environment, as
    urllib does. progress: show a bar on stderr, if that is a terminal.

    Raises DownloadError if the file cannot be had, OSError if it cannot be written.
    """
    part = _Part(url, path)
    reached, failures, most = False, 0, part.size
    while not part.complete:
        try:
            with _request(url, part) as response:
                reached = True
                _receive(response, part, progress)
        except _StaleError:
            part.clear()
        except _BrokenError as error:
            reached = reached or error.reached
            if not reached:
                raise DownloadError(
                    f"could not reach {urlsplit(url).hostname}: {error}; is there a network? Run it"
                    f" again there, {_BY_HAND}: {url}"
                ) from None
            failures = 0 if part.size > most else failures + 1
            most = max(most, part.size)
            if failures == _MAX_FAILURES:
                kept = part.size if part.validator else 0
                raise DownloadError(
                    f"{url}: {error}, {failures} times in a row; {kept:,} bytes are kept: run it"
                    f" again to go on, {_BY_HAND}"
                ) from None
            time.sleep(_FIRST_WAIT * 2**failures)
    part.finish()


class _Part:
    """The bytes of a file that were downloaded so far.

    validator: a strong ETag or a Last-Modified date, which distinguishes versions of the file; ""
        if the server gives none. length: bytes of the whole file; None if the server does not say.
    """

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path = url, path
        self.data = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")
        self.validator = ""
        self.length: int | None = None
        try:
            note = json.loads(self._note.read_bytes())
            whose, self.validator, self.length = note["url"], note["validator"], note["length"]
        except (OSError, ValueError, KeyError, TypeError):
            whose = None
        if whose != self.url:
            self.clear()
        self.complete = self.data.exists() and self.size == self.length

    @property
    def size(self) -> int:
        return self.data.stat().st_size if self.data.exists() else 0

    def start(self, validator: str, length: int | None) -> None:
        """Deletes the bytes so far; those to come are of this version."""
        self.clear()
        self.validator, self.length = validator, length
        with replacing(self._note) as temporary:
            note = {"url": self.url, "validator": validator, "length": length}
            temporary.write_text(json.dumps(note), encoding="utf-8")

    def clear(self) -> None:
        # The bytes first: without them the note does no harm.
        self.data.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.validator, self.length, self.complete = "", None, False

    def finish(self) -> None:
        self.data.replace(self.path)
        self._note.unlink(missing_ok=True)


def _request(url: str, part: _Part) -> HTTPResponse:
    """Asks the server for the bytes that are missing."""
    if not part.validator:
        part.clear()
    request = Request(url)
    if part.size:
        request.add_header("Range", f"bytes={part.size}-")
        request.add_header("If-Range", part.validator)
    try:
        response: HTTPResponse = urlopen(request, timeout=_TIMEOUT)
        return response
    except HTTPError as error:
        error.close()
        if error.code == 416 and part.size:
            raise _StaleError from None
        if error.code in _BUSY:
            raise _BrokenError(f"the server answers {error.code} {error.reason}") from None
        raise DownloadError(
            f"{url}: the server answers {error.code} {error.reason}; the file may have moved: look"
            " for it elsewhere and pass the file"
        ) from None
    except URLError as error:
        raise _BrokenError(_reason(error.reason), reached=False) from None
    except (OSError, HTTPException) as error:
        raise _BrokenError(f"no answer ({_reason(error)})") from None


def _receive(response: HTTPResponse, part: _Part, progress: bool) -> None:
    """Writes the bytes of an answer to the part."""
    chunk = _read(response)
    _refuse_web_page(response, part.url, chunk)
    _place(response, part)
    _check_space(part)
    bar = tqdm(
        desc=part.path.name,
        total=part.length,
        initial=part.size,
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
    try:
        with bar, part.data.open("ab") as file:
            while chunk:
                file.write(chunk)
                file.flush()  # so that even a killed process leaves what came
                bar.update(len(chunk))
                chunk = _read(response)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DownloadError(
            f"{part.data}: the disk is full; make room and run it again to go on from there"
        ) from None
    if part.length is not None and part.size < part.length:
        raise _BrokenError("the connection broke off")
    part.complete = True


def _place(response: HTTPResponse, part: _Part) -> None:
    """Empties the part if the answer is a whole file; checks that it continues the part if not."""
    headers = response.headers
    if response.status == 200:
        etag = headers.get("ETag", "")
        # If-Range takes strong tags alone; a weak one starts with W/.
        validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        length = headers.get("Content-Length", "")
        part.start(validator, int(length) if length.isdigit() else None)
        return
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", ""))
    if response.status != 206 or not part.size:
        raise DownloadError(f"{part.url}: the server answers {response.status}, expected 200")
    kind = "ETag" if part.validator.startswith('"') else "Last-Modified"
    is_same_version = headers.get(kind, part.validator) == part.validator
    if span is None or not is_same_version or int(span[1]) != part.size:
        raise _StaleError
    if part.length not in (None, int(span[2])):
        raise _StaleError
    part.length = int(span[2])


def _read(response: HTTPResponse) -> bytes:
    """Waits for bytes and returns those that have arrived; none at the end."""
    try:
        return response.read1(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _BrokenError(f"the connection broke off ({_reason(error)})") from None


def _refuse_web_page(response: HTTPResponse, url: str, beginning: bytes) -> None:
    is_page = beginning.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
    if is_page or response.headers.get_content_type() == "text/html":
        raise DownloadError(
            f"{url}: a web page came instead of the file; does the network want a login first? Open"
            f" a page in a browser, {_BY_HAND}"
        )


def _check_space(part: _Part) -> None:
    if part.length is None:
        return
    needed, free = part.length - part.size, shutil.disk_usage(part.data.parent).free
    if needed > free:
        raise DownloadError(
            f"{part.path.parent}: {needed:,} bytes are needed for {part.path.name}, {free:,} are"
            " free; make room, or choose another folder"
        )


def _reason(error: object) -> str:
    """An exception's message in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
