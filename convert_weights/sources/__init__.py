"""Where checkpoints are, on this disk and on the web."""
