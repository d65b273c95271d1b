"""Fits the calibration of `search --sure` and `classify --unknown` for any model, and measures it."""
