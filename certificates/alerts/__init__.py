"""Telling people and programs in time: rules of a project, channels, what was told, and whether it arrived."""
