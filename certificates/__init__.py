"""Issuing and keeping certificates."""
