"""Fit the models, read labelled pages, score."""
