"""A song and what was made of it as one HTML file that needs no network: notes, players, settings.

Its parts are beside this file: `page.html` is the body in the frame `frame.html`, `page.css` its
style. Of the scripts, `page_sound.js` plays, `page_elements.js` makes the players, `page_roll.js`
draws, `page_stretch.js` changes the tempo, `page_mixer.js` has volumes and tempo, `page_bars.js`
the chosen bars, and `page.js` does the rest.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from musicvae_torch.io.files import replacing
from surrogate.render.page_data import Data, KnownSounds, add_sound, page_data
from surrogate.render.view import View

SCRIPTS = (
    "page_sound.js",
    "page_elements.js",
    "page_roll.js",
    "page_stretch.js",
    "page_mixer.js",
    "page_bars.js",
    "page.js",
)
FRAME_HEIGHT = 760  # pixels, of a page within a notebook: one row of players and the settings
# In JSON these only stand in strings; written so, no text can end the element that holds it.
UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def write_page(
    path: str | Path,
    views: Sequence[View],
    settings: Mapping[str, str] | None = None,
    title: str | None = None,
    soundfont: str | Path | None = None,
    sound: bool = True,
) -> None:
    """Write a page that shows and plays songs side by side, in any browser, without a network.

    The sound is compressed to about a megabyte for each minute of a trio, if soundfile is
    installed; without it, it is several times as large and not as good. An even version of a view
    is as large again, except for the parts that sound the same in both.

    Args:
        path: of the .html file.
        views: the input and what was made of it; the first one's bars and tempo are shown.
        settings: names and values of what made them, shown as a table.
        title: of the page; the default is the name of the first view's file.
        soundfont: .sf2; the default is pretty_midi's.
        sound: without it the page shows notes alone.

    Raises:
        MidiError: a song is longer than an hour.
        ModuleNotFoundError: midirenderer, for the sound, is not installed.
        OptionError: the SoundFont cannot be read.
        ValueError: there are no views.
    """
    content = page_html(views, settings, title, soundfont, sound)
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def page_html(
    views: Sequence[View],
    settings: Mapping[str, str] | None = None,
    title: str | None = None,
    soundfont: str | Path | None = None,
    sound: bool = True,
) -> str:
    """What :func:`write_page` writes."""
    return html_of(page_contents(views, settings, title, soundfont, sound))


def page_contents(
    views: Sequence[View],
    settings: Mapping[str, str] | None = None,
    title: str | None = None,
    soundfont: str | Path | None = None,
    sound: bool = True,
    known: KnownSounds | None = None,
) -> Data:
    """What the page shows and plays, for :func:`html_of`.

    Arguments and errors are those of :func:`write_page`; `known` are sounds that need not be made
    again (:class:`surrogate.render.page_data.KnownSounds`).
    """
    if not views:
        raise ValueError("a page needs at least one song to show")
    title = title or Path(views[0].score.name).stem or "Song"
    data = page_data(title, views, settings or {})
    if sound:
        add_sound(data, views, soundfont, known)
    return data


def html_of(data: Data, scripts: Sequence[str] = (), style: str = "") -> str:
    """The page of what :func:`page_contents` gives.

    Args:
        data: to which more may have been added, for further scripts.
        scripts: JavaScript that comes after the page's own.
        style: CSS that comes after the page's own.
    """
    own = [resource(__package__, name) for name in SCRIPTS]
    style = resource(__package__, "page.css") + style
    body = resource(__package__, "page.html")
    return fill_frame(body, data["title"], style, [*own, *scripts], data)


def fill_frame(
    body: str, title: str, style: str, scripts: Sequence[str], data: Mapping[str, Any]
) -> str:
    """A whole HTML file, which loads nothing: its policy lets in its own script and style alone.

    Args:
        body: HTML in which `{{title}}` stands for the title.
        title: as text.
        style: CSS.
        scripts: JavaScript, one after the other.
        data: what the scripts read as JSON.
    """
    script = '"use strict";\n' + "\n".join(scripts)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    pieces = {
        "title": html.escape(title),
        "policy": html.escape(policy),
        "style": style,
        "script": script,
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).translate(UNSAFE),
    }
    frame = resource("surrogate.render", "frame.html").replace("{{body}}", body)
    # In one pass, so that braces within a piece are not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda braces: pieces[braces[1]], frame)


def resource(package: str, name: str) -> str:
    """The text of a file that lies in a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def notebook_html(
    views: Sequence[View],
    settings: Mapping[str, str] | None = None,
    title: str | None = None,
    soundfont: str | Path | None = None,
    sound: bool = True,
) -> str:
    """The page in a frame of its own, for what a notebook shows (`_repr_html_`).

    Arguments and errors are those of :func:`write_page`.
    """
    page = html.escape(page_html(views, settings, title, soundfont, sound))
    return (
        f'<iframe title="Players" srcdoc="{page}" width="100%" height="{FRAME_HEIGHT}" '
        'style="border: 0" allow="autoplay"></iframe>'
    )


def _hash(text: str) -> str:
    """The hash by which the page's policy allows its own script or style."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
