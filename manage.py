#!/usr/bin/env python3
"""Runs the portal's commands: ``manage.py help`` lists them."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    os.umask(0o077)  # the database and whatever else is made holds what only this user may read
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pki_portal.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
