"""Which words, and which places of a photo, made a score.

`protocol` says what a method is and names them all; `explanation` puts an answer together; `picture`, `page`
and `terminal` show it. Called by `library` and `cli`.
"""
