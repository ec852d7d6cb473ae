"""The surrogate encoders, the MusicVAE that each belongs to, and the way to a song's latents."""
