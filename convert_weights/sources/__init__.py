"""Finding checkpoints on this disk and on the web."""
