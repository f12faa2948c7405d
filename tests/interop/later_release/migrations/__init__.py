"""What the later release adds."""
