"""MIDI ↔ notes ↔ tokens: one representation a file."""
