"""The command `accompany-app`: a web page on this computer that accompanies songs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.errors import OptionError

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


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="accompany-app",
        description="Give melodies a band in a web browser: a page on this computer, which needs "
        "no network and sends nothing anywhere. Ctrl-C ends it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to be reached at; 0.0.0.0 lets others in your network use it "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, help=f"(default: the first free one from {FIRST_PORT} on)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the page's address, but do not open it"
    )
    parser.add_argument(
        "--musicvae", type=Path, metavar="FOLDER", help="trio checkpoint (default: shipped)"
    )
    parser.add_argument(
        "--surrogate", type=Path, metavar="FOLDER", help="its surrogate encoder (default: shipped)"
    )
    parser.add_argument(
        "--method",
        choices=["band", "surrogate", "refine-only"],
        default=None,
        help="band loads all networks, surrogate none for the band, and refine-only no surrogate "
        "encoder either (default: band; surrogate, if you name a --musicvae and no --band)",
    )
    parser.add_argument(
        "--band", type=Path, metavar="FOLDER", help="a band network (default: shipped)"
    )
    parser.add_argument(
        "--groove",
        type=Path,
        metavar="FOLDER",
        help="a GrooVAE checkpoint (groovae_2bar_humanize, ...) to play the drums' hits",
    )
    parser.add_argument(
        "--soundfont", type=Path, metavar="SF2", help="instruments for the sound (.sf2, .sf3)"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)"
    )
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 for what the user can mend."""
    return run_command("accompany-app", _run, read_arguments(parser(), argv), IDLE)


def _run(arguments: argparse.Namespace) -> None:
    with _ended_politely(), tempfile.TemporaryDirectory(prefix="accompany-") as folder:
        offline(Path(folder) / "sent")
        print("loading the networks…", flush=True)
        studio = _studio(arguments, Path(folder))
        blocks = serve(studio, arguments.host, arguments.port)
        print(f"{blocks.local_url} is ready; Ctrl-C ends it", flush=True)
        try:
            if not arguments.no_browser:
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


def _studio(arguments: argparse.Namespace, folder: Path) -> Studio:
    import gradio  # noqa: F401  (if it is missing, that is told before the networks are loaded)

    from musicvae_torch.io.devices import use_few_threads
    from surrogate.app.studio import Studio
    from surrogate.pipeline import Accompanist

    accompanist = Accompanist.from_pretrained(
        arguments.musicvae,
        arguments.surrogate,
        arguments.device,
        arguments.method,
        arguments.groove,
        band=arguments.band,
    )
    use_few_threads(accompanist.musicvae)
    studio = Studio(accompanist, folder, arguments.soundfont)
    if arguments.soundfont is not None and studio.sounds:
        from surrogate.render.synth import Band

        Band(arguments.soundfont)  # before the work, not after it
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


if __name__ == "__main__":
    sys.exit(main())
