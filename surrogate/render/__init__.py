"""Pictures, sound and HTML pages of a song and of what was made for it."""
