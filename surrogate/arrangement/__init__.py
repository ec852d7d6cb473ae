"""Generated notes → new parts in the song's own file."""
