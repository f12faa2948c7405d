"""Approvals: what a request waits for, who may agree to it now, and what comes of it.

``demand`` says what is demanded, ``asking`` is the doors' way to a certificate, ``standing`` counts, ``acts`` are those
of people, ``issuing`` is the worker's, ``mails`` tells approvers. ``issuance`` asks ``demand`` alone.
"""
