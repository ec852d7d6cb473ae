"""The command `accompany-app`: a web page on this computer that accompanies songs."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.errors import OptionError
from musicvae_torch.options import option
from surrogate.options import METHODS

if TYPE_CHECKING:
    from surrogate.app.studio import Studio

LARGEST_UPLOAD = "5mb"
FIRST_PORT, PORTS = 7860, 100  # to look for a free one among
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")
EXAMPLES = """examples:
  accompany-app
  accompany-app --musicvae my_trio --surrogate my_surrogate --port 8000
"""


@dataclass(kw_only=True)
class AccompanyApp:
    """Give melodies a band in a web browser: a page on this computer, which needs no network and
    sends nothing anywhere. Ctrl-C ends it.

    Attributes:
        host: address to be reached at; 0.0.0.0 lets others in your network use it.
        port: port to be reached at; None: the first free one from 7860 on.
        no_browser: print the page's address, but do not open it.
        musicvae: trio checkpoint; None: shipped.
        surrogate: its surrogate encoder; None: shipped.
        method: band loads all networks, surrogate none for the band, and refine-only no surrogate
            encoder either; None: band; surrogate, with a MusicVAE of your own and no band network.
        band: a band network; None: shipped.
        groove: a GrooVAE checkpoint (groovae_2bar_humanize, ...) to play the drums' hits.
        soundfont: instruments for the sound (.sf2, .sf3).
        device: auto, cpu, cuda, cuda:1, ...
    """

    host: str = option("127.0.0.1")
    port: int | None = option(None, least=1, most=65535, metavar="PORT")
    no_browser: bool = option(False)
    musicvae: Path | None = option(None, metavar="FOLDER")
    surrogate: Path | None = option(None, metavar="FOLDER")
    method: str | None = option(None, choices=tuple(m for m in METHODS if m != "refine"))
    band: Path | None = option(None, metavar="FOLDER")
    groove: Path | None = option(None, metavar="FOLDER")
    soundfont: Path | None = option(None, metavar="SF2")
    device: str = option("auto")


IDLE = (
    Idle(
        "--surrogate",
        lambda own: own.method == "refine-only",
        "--method refine-only does without a surrogate; leave one of the two out",
    ),
    Idle(
        "--band",
        lambda own: own.method not in (None, "band"),
        "applies to --method band; choose that, or leave it out",
    ),
)


def _run(options: AccompanyApp) -> None:
    with _ended_politely(), tempfile.TemporaryDirectory(prefix="accompany-") as folder:
        offline(Path(folder) / "sent")
        print("loading the networks…", flush=True)
        studio = _studio(options, Path(folder))
        blocks = serve(studio, options.host, options.port)
        print(f"{blocks.local_url} is ready; Ctrl-C ends it", flush=True)
        try:
            if not options.no_browser:
                import webbrowser

                webbrowser.open(blocks.local_url)
            threading.Event().wait()
        finally:
            blocks.close(verbose=False)


@contextmanager
def _ended_politely() -> Iterator[None]:
    """Being told to end, by Ctrl-C or the system, is no error and leaves no files."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        print("accompany-app: ended", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)


def _studio(options: AccompanyApp, folder: Path) -> Studio:
    import gradio  # noqa: F401  (if it is missing, that is told before the networks are loaded)

    from musicvae_torch.io.devices import use_few_threads
    from surrogate.app.studio import Studio
    from surrogate.pipeline import Accompanist

    accompanist = Accompanist.from_pretrained(
        options.musicvae,
        options.surrogate,
        options.device,
        options.method,
        options.groove,
        band=options.band,
    )
    use_few_threads(accompanist.musicvae)
    studio = Studio(accompanist, folder, options.soundfont)
    if options.soundfont is not None and studio.sounds:
        from surrogate.render.synth import Synthesizer

        Synthesizer(options.soundfont)  # before the work, not after it
    return studio


def offline(sent: Path) -> None:
    """Let Gradio, before it is imported, ask for nothing from the network, and keep what is sent
    to it in a folder."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"  # or the browser keeps all songs and bands
    os.environ["GRADIO_TEMP_DIR"] = str(sent)
    os.environ["HF_HUB_OFFLINE"] = "1"


def serve(studio: Studio, host: str = "127.0.0.1", port: int | None = None) -> Any:
    """Begin to serve the app, and return.

    Args:
        studio: makes the bands.
        host, port: to be reached at; None: the first free port.

    Returns:
        The running gradio.Blocks, with its `local_url`; `close()` ends it.

    Raises:
        OSError: the host or port cannot be had.
    """
    from surrogate.app.page import build

    examples = example_songs()
    blocks = build(studio, examples)
    try:
        blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            inbrowser=False,
            max_file_size=LARGEST_UPLOAD,
            allowed_paths=[str(path) for path in examples.values()],
            theme=_theme(),
            css=files("surrogate.app").joinpath("app.css").read_text(encoding="utf-8"),
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
        )
    except OSError:
        where = f"port {port}" if port else f"any of the ports from {FIRST_PORT} on"
        raise OptionError(f"cannot use {where} at {host}; choose another with --port") from None
    return blocks


def example_songs() -> dict[str, Path]:
    """The repo's example tunes, by title; none, where only the packages are installed."""
    home = Path(__file__).resolve().parents[2] / "examples"
    if not (home / "make_tunes.py").is_file():
        return {}
    return {path.stem.replace("_", " ").capitalize(): path for path in sorted(home.glob("*.mid"))}


def _theme() -> Any:
    """The colours of the page of surrogate/present, with fonts that the computer has."""
    import gradio as gr

    sizes = gr.themes.sizes
    theme = gr.themes.Base(
        primary_hue="neutral",
        neutral_hue="zinc",
        radius_size=sizes.radius_lg,
        font=FONT,
        font_mono=MONO,
    )
    return theme.set(
        body_background_fill="#f6f4f0",
        body_background_fill_dark="#151418",
        body_text_color="#26242b",
        body_text_color_dark="#efedf3",
        body_text_color_subdued="#75717c",
        body_text_color_subdued_dark="#9b96a5",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1f1d24",
        block_border_color="#e4e0d9",
        block_border_color_dark="#34313b",
        button_primary_background_fill="#26242b",
        button_primary_background_fill_hover="#45424c",
        button_primary_background_fill_dark="#efedf3",
        button_primary_background_fill_hover_dark="#cfccd4",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#151418",
    )


main = Command("accompany-app", AccompanyApp, _run, EXAMPLES, IDLE)

if __name__ == "__main__":
    sys.exit(main())
