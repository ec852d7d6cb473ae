"""The command `accompany-app`: a web page on this computer that accompanies songs."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command import Command
from musicvae_torch.errors import OptionError
from musicvae_torch.options import option, options_of
from surrogate.cli.accompany import NETWORKS_IDLE
from surrogate.options import METHODS, NETWORKS, NetworkOptions

if TYPE_CHECKING:
    from surrogate.app.studio import Studio

LARGEST_UPLOAD = "5mb"
FIRST_PORT = 7860  # from which on Gradio looks for a free one
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")
COLOURS = {  # of Gradio's themes: light, dark
    "body_background_fill": ("#f6f4f0", "#151418"),
    "body_text_color": ("#26242b", "#efedf3"),
    "body_text_color_subdued": ("#6b6772", "#9b96a5"),
    "block_background_fill": ("#ffffff", "#1f1d24"),
    "block_border_color": ("#e4e0d9", "#34313b"),
    "button_primary_background_fill": ("#26242b", "#efedf3"),
    "button_primary_background_fill_hover": ("#45424c", "#cfccd4"),
    "button_primary_text_color": ("#ffffff", "#151418"),
}
EXAMPLES = """examples:
  accompany-app
  accompany-app --musicvae my_trio --surrogate my_surrogate --port 8000
  accompany-app --api --no-browser   a server for other programs
"""


@dataclass(kw_only=True)
class AccompanyApp:
    """Open the app, a web page that adds a bass and drums to your songs. It runs on this computer,
    needs no network, and sends nothing anywhere. Ctrl-C ends it.

    Attributes:
        host: address at which the app can be reached; with 0.0.0.0, other computers in your network
            can use it.
        port: port at which the app can be reached; None: the first free one from 7860 on.
        no_browser: print the address of the page, and do not open it.
        api: let other programs use the app, too, by HTTP or with gradio_client.
        soundfont: SoundFont whose instruments make the sound (.sf2); None: that of pretty_midi.
        method: which networks to load: band, all; surrogate, all but the band network; refine-only,
            neither the band network nor the surrogate encoder; None: band; surrogate, if you name a
            MusicVAE and no band network.
    """

    host: str = option("127.0.0.1")
    port: int | None = option(None, least=1, most=65535, metavar="PORT")
    no_browser: bool = option(False)
    api: bool = option(False)
    soundfont: Path | None = option(None, metavar="SF2")
    method: str | None = option(
        None, choices=tuple(m for m in METHODS if m != "refine"), group=NETWORKS
    )
    networks: NetworkOptions = options_of(NetworkOptions)


def _run(options: AccompanyApp) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="accompany-") as folder:
            _serve_in(Path(folder), options)
    except KeyboardInterrupt:  # which is how one ends it, and no error
        print("accompany-app: ended", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)


def _serve_in(folder: Path, options: AccompanyApp) -> None:
    offline(folder / "sent")
    print("loading the networks…", flush=True)
    blocks = serve(_studio(options, folder), options.host, options.port, options.api)
    print(f"{blocks.local_url} is ready; Ctrl-C ends it", flush=True)
    try:
        if not options.no_browser:
            import webbrowser

            webbrowser.open(blocks.local_url)
        threading.Event().wait()
    finally:
        blocks.close(verbose=False)


def _studio(options: AccompanyApp, folder: Path) -> Studio:
    import gradio  # noqa: F401  (if it is missing, this fails before the networks are loaded)

    from musicvae_torch.io.devices import use_few_threads
    from surrogate.app.studio import Studio
    from surrogate.outputs import check_formats
    from surrogate.pipeline import Accompanist

    accompanist = Accompanist.from_pretrained(method=options.method, **vars(options.networks))
    use_few_threads(accompanist.musicvae)
    studio = Studio(accompanist, folder, options.soundfont)
    if studio.sounds:
        check_formats(("wav",), options.soundfont)  # before the work, not after it
    return studio


def offline(sent: Path) -> None:
    """Keep Gradio, which must not be imported yet, from asking anything of the network, and let it
    put uploads into the folder `sent`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"  # or the browser keeps all songs and bands
    os.environ["GRADIO_TEMP_DIR"] = str(sent)
    os.environ["HF_HUB_OFFLINE"] = "1"


def serve(
    studio: Studio, host: str = "127.0.0.1", port: int | None = None, api: bool = False
) -> Any:
    """Begin to serve the app, and return.

    Args:
        studio: makes the bands.
        host, port: to be reached at; None: the first free port.
        api: whether other programs may use it, too.

    Returns:
        The running gradio.Blocks, with its `local_url`; `close()` ends it.

    Raises:
        OptionError: the host or port cannot be used.
    """
    from surrogate.app.page import Page

    examples = example_songs()
    blocks = Page(studio, examples, api).blocks
    try:
        blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=LARGEST_UPLOAD,
            allowed_paths=[str(path) for path in examples.values()],
            theme=_theme(),
            css=files("surrogate.app").joinpath("app.css").read_text(encoding="utf-8"),
            footer_links=["api"] if api else [],
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
    """The colours of surrogate/render/page.css, with fonts that the computer has."""
    import gradio as gr

    theme = gr.themes.Base(
        primary_hue="neutral",
        neutral_hue="zinc",
        radius_size=gr.themes.sizes.radius_lg,
        font=FONT,
        font_mono=MONO,
    )
    colours = {name: light for name, (light, _) in COLOURS.items()}
    return theme.set(**colours, **{f"{name}_dark": dark for name, (_, dark) in COLOURS.items()})


main = Command("accompany-app", AccompanyApp, _run, EXAMPLES, NETWORKS_IDLE)

if __name__ == "__main__":
    sys.exit(main())
