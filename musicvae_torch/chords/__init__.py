"""Chord symbols, their classes, and chords inferred from notes."""
