"""Explanations of a score: shares of the query's words, and a heat map over the photo.

`registry` names the methods, `base` defines what a method offers, `explanation` combines the results.
"""
