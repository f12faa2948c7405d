"""A Django application with one slow job, for tests that end its worker in the middle."""
