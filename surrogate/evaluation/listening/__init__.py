"""Blind listening tests: bands of several systems, compared in pairs by people.

:mod:`excerpts` finds the songs that all systems have and plays them, :mod:`loudness` makes them
alike, :mod:`page` writes the test as one HTML file, :mod:`votes` reads what listeners send back,
and :mod:`tables` says what they prefer; :mod:`key` says whose each sound is, which the last two
must know and listeners must not.
"""
