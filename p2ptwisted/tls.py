"""
Where a group speaks TLS: whom to trust, the authority that has signed its
certificates; and that one's own key is nobody else's.
"""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from OpenSSL.crypto import Error
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from p2ptwisted.errors import InvalidInput

#: Bytes of a file with certificates; the whole of Mozilla's list has a quarter of that.
FILE_MAX = 1024 * 1024

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


#: What stands between the parts of an endpoint string, unless it is escaped.
_COLON = re.compile(r"(?<!\\):")


class Authority:
    """Whoever it has signed a certificate for is spoken with."""

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        self._root = trustRootFromCertificates(certificates)

    def secured(self, host: str, plain: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """An endpoint that speaks TLS where `plain` leads, with nobody but `host` (an address)."""
        return wrapClientTLS(optionsForClientTLS(host, trustRoot=self._root), plain)


def load_authority(path: Path) -> Authority:
    """The authority, or several, in a PEM file. Raises InvalidInput."""
    try:
        with open(path, "rb") as file:
            content = file.read(FILE_MAX)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"can't read {path}: {told}") from None
    try:
        certificates = [Certificate.loadPEM(found) for found in _CERTIFICATE.findall(content)]
    except Error as error:
        raise InvalidInput(f"{path}: a certificate that can't be read: {error}") from None
    if not certificates:
        raise InvalidInput(f"{path} has no certificate in it: give it in PEM form")
    return Authority(certificates)


def check_private_key(endpoint: str) -> None:
    """Raises InvalidInput where a TLS endpoint's key can't be read, or can by everybody."""
    kind, *parts = _COLON.split(endpoint)
    given = dict(part.split("=", 1) for part in parts if "=" in part)
    if kind != "ssl" or "privateKey" not in given:
        return
    path = given["privateKey"].replace("\\:", ":")
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"can't read the key {path}: {told}") from None
    if mode & stat.S_IRWXO:
        raise InvalidInput(f"everybody can read the key {path}: chmod o= it")
