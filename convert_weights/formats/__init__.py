"""Bytes on disk: checkpoint, archive and compression formats. Nothing here knows of music."""
