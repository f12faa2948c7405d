"""X.509 as pure functions over bytes and values: no Django, no clock, no database."""
