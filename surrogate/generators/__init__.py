"""Models that generate the missing parts of songs, one file for each kind of model."""
