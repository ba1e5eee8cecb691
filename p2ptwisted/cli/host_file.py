"""A host's file with its key and certificate that `p2p certs` finds there, and keeps."""

import datetime
from collections.abc import Collection
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509

from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.private_files import read_file

#: Bytes of such a file; those of `p2p certs` have about one thousand.
FILE_MAX = 64 * 1024


def fault_of(
    path: Path,
    names: Collection[IPv4Address | str],
    now: datetime.datetime,
    authority: x509.Certificate,
) -> str | None:
    """Return what is wrong with a host's file for a host with these names; None: nothing."""
    try:
        certificate = x509.load_pem_x509_certificate(read_file(path, FILE_MAX).content)
        certificate.verify_directly_issued_by(authority)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except InvalidInput as error:
        return f"it can't be read: {error}"
    except x509.ExtensionNotFound:
        return "it is for no host"
    except Exception:
        # Whatever the library says of what others have put there: of many kinds of errors.
        return "it has no certificate that this authority has signed"
    there: set[object] = {
        *found.get_values_for_type(x509.IPAddress),
        *found.get_values_for_type(x509.DNSName),
    }
    if there != set(names):
        return f"it is for {', '.join(sorted(map(str, there)))}"
    if certificate.not_valid_after_utc <= now:
        return f"it was good until {certificate.not_valid_after_utc:%Y-%m-%d}"
    return None
