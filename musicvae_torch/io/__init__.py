"""Checkpoint folders, huggingface.co, files that are written whole, devices, worker processes."""
