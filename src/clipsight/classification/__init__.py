"""Zero-shot classification: labels, prompt templates, labelled datasets."""
