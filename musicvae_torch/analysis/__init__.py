"""What windows and songs are like: attributes, probes, timelines, and why a song has no window."""
