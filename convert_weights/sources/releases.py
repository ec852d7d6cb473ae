"""Magenta's released MusicVAE checkpoints, as data: names, addresses and configs.

Sources: the table in the README of Magenta's music_vae, checkpoints.json of magenta.js, and the
notebooks that load the others. All of them lie in two buckets of one server. What is said of them
is what those say; none was compared with another, so each address is a checkpoint of its own.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

from musicvae_torch.errors import DownloadError

SERVER = "https://storage.googleapis.com"
NOTICE = "published by Google's Magenta project, whose repository is Apache-2.0"
JS_CONFIG, JS_MANIFEST = "config.json", "weights_manifest.json"

Kind = Literal["tar", "tensorflow", "magenta.js"]

_CHECKPOINTS = "magentadata/models/music_vae/checkpoints"
_BARE = {
    "colab": "download.magenta.tensorflow.org/models/music_vae/colab2/checkpoints",
    "multitrack": "download.magenta.tensorflow.org/models/music_vae/multitrack",
}
_JS = "magentadata/js/checkpoints"


@dataclass(frozen=True)
class Release:
    """One released checkpoint.

    kind: "tar" holds a TensorFlow checkpoint, "tensorflow" is one as bare files, "magenta.js" is a
        folder whose manifest lists more files, the shards.
    folder: where its files lie, as BUCKET/PATH of the server.
    files: their names, without a magenta.js folder's shards.
    config: the config of Magenta 2.1.4 that it is a model of, sizes aside; None if none is known.
    aliases: older or other names of it.
    """

    name: str
    kind: Kind
    folder: str
    files: tuple[str, ...]
    config: str | None
    aliases: tuple[str, ...] = ()

    def url(self, file: str, base_url: str | None = None) -> str:
        """The address of one of its files, on Magenta's server or below `base_url`."""
        return f"{(base_url or SERVER).rstrip('/')}/{self.folder}/{file}"


def get_release(name: str) -> Release:
    """The release of that name or alias. Raises DownloadError if there is none."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    close = difflib.get_close_matches(name.lower(), _BY_NAME, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise DownloadError(
        f"no released checkpoint is called {name!r}; {hint}--download list shows them all"
    )


def _tar(name: str, config: str | None = None, *aliases: str) -> Release:
    return Release(name, "tar", _CHECKPOINTS, (f"{name}.tar",), config or name, aliases)


def _bare(name: str, config: str, is_only_one: bool = False) -> Release:
    """is_only_one: no other TensorFlow release is of that config, whose name serves as an alias."""
    where, base = name.split("/")
    files = (f"{base}.ckpt.index", f"{base}.ckpt.data-00000-of-00001")
    aliases = (config,) if is_only_one else ()
    return Release(name, "tensorflow", _BARE[where], files, config, aliases)


def _js(name: str, config: str | None = None, path: str | None = None) -> Release:
    folder = f"{_JS}/{path or f'music_vae/{name}'}"
    other = f"js/{folder.rpartition('/')[2]}"
    aliases = () if other == f"js/{name}" else (other,)
    return Release(f"js/{name}", "magenta.js", folder, (JS_CONFIG, JS_MANIFEST), config, aliases)


_RELEASES = (
    # The aliases are the names that Magenta's README used before November 2018.
    _tar("cat-mel_2bar_big", None, "mel_2bar"),
    _tar("hierdec-mel_16bar", None, "mel_16bar"),
    _tar("hierdec-trio_16bar", None, "trio_16bar"),
    _tar("cat-drums_2bar_small.lokl", "cat-drums_2bar_small", "drums_2bar_oh_lokl"),
    _tar("cat-drums_2bar_small.hikl", "cat-drums_2bar_small", "drums_2bar_oh_hikl"),
    _tar("nade-drums_2bar_full", None, "drums_2bar_nade_full"),
    _tar("groovae_4bar"),
    _tar("groovae_2bar_humanize"),
    _tar("groovae_2bar_humanize_nokl", "groovae_2bar_humanize"),
    _tar("groovae_2bar_tap_fixed_velocity"),
    _tar("groovae_2bar_add_closed_hh"),
    _tar("groovae_2bar_hits_control", "groovae_2bar_hits_control_tfds"),
    _tar("groovae_2bar_hits_control_nokl", "groovae_2bar_hits_control_tfds"),
    _bare("colab/drums_2bar_small.lokl", "cat-drums_2bar_small"),
    _bare("colab/drums_2bar_small.hikl", "cat-drums_2bar_small"),
    _bare("colab/drums_2bar_nade.reduced", "nade-drums_2bar_reduced", is_only_one=True),
    _bare("colab/drums_2bar_nade.full", "nade-drums_2bar_full"),
    _bare("colab/mel_2bar_big", "cat-mel_2bar_big"),
    _bare("colab/mel_16bar_hierdec", "hierdec-mel_16bar"),
    _bare("colab/mel_16bar_flat", "flat-mel_16bar", is_only_one=True),
    _bare("colab/trio_16bar_hierdec", "hierdec-trio_16bar"),
    _bare("colab/trio_16bar_flat", "flat-trio_16bar", is_only_one=True),
    _bare("multitrack/model_fb256", "hier-multiperf_vel_1bar_med", is_only_one=True),
    _bare("multitrack/model_chords_fb64", "hier-multiperf_vel_1bar_med_chords", is_only_one=True),
    # The names are those of checkpoints.json, the aliases those of folders that differ.
    _js("drums_2bar_lokl_small", "cat-drums_2bar_small"),
    _js("drums_2bar_hikl_small", "cat-drums_2bar_small"),
    _js("drums_2bar_nade_9_q2", "nade-drums_2bar_reduced"),
    _js("drums_4bar_med_q2"),
    _js("drums_4bar_med_lokl_q2"),
    _js("mel_2bar_small", "cat-mel_2bar_small"),
    _js("mel_4bar_med_q2"),
    _js("mel_4bar_med_lokl_q2"),
    _js("mel_4bar_small_q2"),
    _js("mel_chords", "cat-mel_2bar_med_chords"),
    _js("mel_16bar_small_q2"),
    _js("trio_4bar_lokl_small_q1", path="music_vae/trio_4bar"),
    _js("trio_16bar_xl", path="music_vae/trio_16bar"),
    _js("multitrack", "hier-multiperf_vel_1bar_med"),
    _js("multitrack_med", "hier-multiperf_vel_1bar_med"),
    _js("multitrack_med_fb256", "hier-multiperf_vel_1bar_med"),
    _js("multitrack_chords", "hier-multiperf_vel_1bar_med_chords"),
    _js("multitrack_med_chords", "hier-multiperf_vel_1bar_med_chords"),
    _js("multitrack_med_chords_fb256", "hier-multiperf_vel_1bar_med_chords"),
    _js("groovae_2bar_humanize", "groovae_2bar_humanize"),
    _js("groovae_4bar", "groovae_4bar"),
    _js("tap2drum_1bar", path="groovae/tap2drum_1bar"),
    _js("tap2drum_2bar", "groovae_2bar_tap_fixed_velocity", path="groovae/tap2drum_2bar"),
    _js("tap2drum_3bar", path="groovae/tap2drum_3bar"),
    _js("tap2drum_4bar", path="groovae/tap2drum_4bar"),
    *(
        _js(f"{model}_fb{bits}", path=f"music_vae/mel_multicontrol/{model}_fb{bits}")
        for model in ("mel_2bar_multicontrol_tiny", "mel_rhythm_2bar_tiny", "mel_shape_2bar_tiny")
        for bits in (0, 8, 16, 32)
    ),
)

RELEASES = {release.name: release for release in _RELEASES}
_BY_NAME = {alias: release for release in _RELEASES for alias in (release.name, *release.aliases)}
