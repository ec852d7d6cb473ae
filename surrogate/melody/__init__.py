"""The melody of a song: which track it is, and which of that track's notes are sung."""
