"""What may be issued, as pure values and functions: no Django, no database, no clock."""
