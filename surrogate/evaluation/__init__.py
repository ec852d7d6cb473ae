"""How good accompaniments are: on which songs, by which metrics, in which tables."""
