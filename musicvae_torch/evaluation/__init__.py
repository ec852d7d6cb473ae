"""How well models of any config give back what they read."""
