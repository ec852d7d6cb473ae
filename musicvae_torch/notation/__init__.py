"""MusicXML and ABC → MIDI: what notation programs write, as a score that can be accompanied.

The files are parsed by music21, which is an optional package (the extra `scores`) and is imported
only when such a file is read.
"""
