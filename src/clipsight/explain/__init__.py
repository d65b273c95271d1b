"""Explanations of a score: contributions of the query's words, and a heat map over the photo.

`registry` lists the methods, `base` has their protocols and result types, `explanation` combines the results.
"""
