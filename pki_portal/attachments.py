"""Answers that are files to save."""

from django.http import HttpResponse


def attachment(content: bytes, *, name: str, media_type: str) -> HttpResponse:
    """A file, kept by no cache and taken for nothing else; ``name`` is of characters that need no quoting."""
    return HttpResponse(
        content,
        content_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
