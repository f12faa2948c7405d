"""The judges of ``decide``: each looks at one part of a request, notes what it finds, returns what it grants."""
