"""Blind listening tests: bands of several systems, compared in pairs by people.

:mod:`excerpts` finds the songs that all systems have and plays them, :mod:`loudness` makes them
alike, :mod:`page` writes the test as one HTML file, :mod:`votes` reads what listeners send back,
and :mod:`report` says what they prefer; :mod:`key` says which system made each sound.
"""
