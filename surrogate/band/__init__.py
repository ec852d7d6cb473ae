"""The band: a network that plays the hidden parts of a song, hearing those that are given."""
