"""Pictures, sound and HTML of a song and of what was made of it.

One subject a module: :mod:`view` says which track plays which part, :mod:`bars` where the song's
bars are; :mod:`piano_roll`, :mod:`audio` and :mod:`page` show and play that.
"""
