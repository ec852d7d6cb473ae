"""The commands: arguments in, one call, messages out."""
