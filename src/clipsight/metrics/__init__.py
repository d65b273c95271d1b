"""Figures of merit in pure NumPy: recall@k, accuracy, calibration."""
