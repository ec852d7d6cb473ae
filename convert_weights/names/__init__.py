"""The names of variables in others' checkpoints ↔ ours."""
