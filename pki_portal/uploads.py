"""How much a form may bring along in files: read before anything of it is, so that nothing is written to a disk."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

# The largest file that a page takes, and a form around it, twice over.
UPLOAD_LIMIT = 2 * 1024 * 1024


class BoundedUploadHandler(FileUploadHandler):
    """Refuses a body with files by its announced length, and leaves what passes to the next handler."""

    def handle_raw_input(
        self, input_data: Any, meta: Any, content_length: int, boundary: str, encoding: str | None = None
    ) -> None:
        """Raises RequestDataTooBig."""
        if content_length > UPLOAD_LIMIT:
            raise RequestDataTooBig(f"The files are larger than {UPLOAD_LIMIT} bytes.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Pass it on."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The next handler has the file."""
