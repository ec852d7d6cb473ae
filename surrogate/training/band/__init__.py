"""Training the band network on songs of trios."""
