"""From the notes that the decoder played to new parts in the song's own file."""
