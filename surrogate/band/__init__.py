"""The band: a network that plays the hidden parts of a song, conditioned on the given ones."""
