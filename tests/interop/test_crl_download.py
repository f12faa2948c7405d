"""A long CRL on its way: who is cut off is told so."""

import socket
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from urllib.parse import urlsplit

import pytest

from tests.portal import Portal

# More than the kernel keeps between the two; that it is no CRL is nothing to who sends it.
SEGMENTS, OCTETS = 32, 1_000_000

LENGTHEN = f"""
import os
from certificates.models import CertificateRevocationList, RevocationSegment
row = CertificateRevocationList.objects.filter(der__isnull=False)[0]
segments = [
    RevocationSegment(
        revocation_list=row, first_revision=number, last_revision=number, entry_count=1, size={OCTETS},
        der=os.urandom({OCTETS}),
    )
    for number in range({SEGMENTS})
]
RevocationSegment.objects.bulk_create(segments, batch_size=1)
row.segments = [str(each.pk) for each in segments]
row.save(update_fields=["segments"])
print(row.pk, len(row.der) + {SEGMENTS * OCTETS})
"""
LOSE = """
from certificates.models import RevocationSegment
RevocationSegment.objects.all().delete()
"""


@pytest.mark.timeout(180)
def test_a_download_whose_segments_go_ends_with_the_connection(portal: Portal) -> None:
    made = portal.manage("shell", "-v", "0", "-c", LENGTHEN)
    assert made.returncode == 0, made.stderr
    crl_id, length = made.stdout.split()
    address = urlsplit(portal.base_url)
    path = f"/api/v1/cert-manager/crl/{crl_id}/der"

    with closing(HTTPConnection(address.hostname or "", address.port, timeout=30)) as whole:
        whole.request("GET", path)
        with whole.getresponse() as response:
            assert response.headers["Content-Length"] == length
            assert len(response.read()) == int(length)
        whole.request("HEAD", path)
        with whole.getresponse() as response:
            assert (response.headers["Content-Length"], response.read()) == (length, b"")

    with closing(HTTPConnection(address.hostname or "", address.port, timeout=30)) as client:
        client.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.request("GET", path)
        with client.getresponse() as response:
            assert response.status == 200
            assert len(response.read(65536)) == 65536
            lost = portal.manage("shell", "-v", "0", "-c", LOSE)
            assert lost.returncode == 0, lost.stderr
            with pytest.raises((IncompleteRead, ConnectionResetError)):
                response.read()

    with closing(HTTPConnection(address.hostname or "", address.port, timeout=30)) as later:
        later.request("GET", path)
        with later.getresponse() as response:
            assert response.status == 503
            assert b"Parts of the CRL are missing" in response.read()
