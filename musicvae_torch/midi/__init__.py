"""MIDI files ↔ messages ↔ notes, and which part each of them belongs to."""
