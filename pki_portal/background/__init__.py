"""Background work: rows that become due, and the worker that does them. Nothing is imported here: the keeper must start
without Django.
"""
