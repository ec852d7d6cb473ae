"""Where the missing parts of songs come from: one file for each kind of model."""
