"""Using the latent space: songs are encoded, their latents changed, and decoded again.

song = encode_song(model, "song.mid")
z = interpolate(song.mean[:2], steps=5)
tokens = decode_tokens(model, z, temperature=0.5, seed=1)
song.converter.from_tokens(tokens[2]).write("half_way.mid")
"""

from musicvae_torch.latent.encoded_song import (
    EncodedSong,
    encode_song,
    find_windows,
    song_converter,
)
from musicvae_torch.latent.grooves import Groove, add_hats, humanise, shipped_groovae, tap_to_drums
from musicvae_torch.latent.reconstruction import Reconstruction, reconstruct
from musicvae_torch.latent.space import interpolate, sample, slerp
from musicvae_torch.windows.encoding import decode_tokens

__all__ = [
    "EncodedSong",
    "Groove",
    "Reconstruction",
    "add_hats",
    "decode_tokens",
    "encode_song",
    "find_windows",
    "humanise",
    "interpolate",
    "reconstruct",
    "sample",
    "shipped_groovae",
    "slerp",
    "song_converter",
    "tap_to_drums",
]
