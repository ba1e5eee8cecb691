"""
TLS between the members of a group: the authority that a client trusts, and the
key and certificate of a server. Both speak TLS 1.2 and 1.3 only.

Making authorities and certificates is in `cli.certs`.
"""

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.private_files import ReadFile, read_file
from p2ptwisted.support.address_policy import is_own

#: Bytes of a file with certificates; Mozilla's complete list has a quarter of that.
PEM_FILE_MAX = 1024 * 1024

#: For TLS 1.2: only suites with forward secrecy (ECDHE) and authenticated encryption (AEAD,
#: so no CBC). All suites of TLS 1.3 have both.
CIPHER_SUITES = (
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)

#: Characters shown of what is wrong with a certificate.
REASON_MAX = 200

_Extension = TypeVar("_Extension", x509.SubjectAlternativeName, x509.ExtendedKeyUsage)

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)


class NotProved(Exception):
    """A certificate doesn't prove that the server is the host that was called."""


class NotProvedInTls(SSL.Error):
    """NotProved in the form of an OpenSSL error, so that Twisted handles it as one."""

    def __init__(self, reason: str) -> None:
        super().__init__([("certificate", "", reason)])

    def __str__(self) -> str:
        return str(self.args[0][0][2])


class TrustedAuthority:
    """The authorities of a group: a client talks only to hosts with a certificate of theirs."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._context = tls_context(SSL.TLS_CLIENT_METHOD)
        # Only these, not those that the system trusts.
        store = self._context.get_cert_store()
        assert store is not None
        for certificate in certificates:
            store.add_cert(X509.from_cryptography(certificate))
        self._context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)

    def secured(
        self, host: str, plain: IStreamClientEndpoint, clock: IReactorTime
    ) -> IStreamClientEndpoint:
        """
        Return an endpoint that connects as `plain` does and speaks TLS, only with `host`.

        Raises InvalidInput where `host` is not an IPv4 address.
        """
        try:
            address = IPv4Address(host)
        except AddressValueError:
            raise InvalidInput(f"{host[:80]!r} is not an IPv4 address") from None
        return wrapClientTLS(_ClientConnections(self._context, address), plain, clock)


@implementer(IOpenSSLServerConnectionCreator)
class ServerIdentity:
    """The key and certificate of a server; creates its TLS connections."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context)


def load_authority(path: Path) -> TrustedAuthority:
    """Load one authority or several from a PEM file. Raises InvalidInput."""
    return TrustedAuthority(_certificates(path))


def load_identity(
    key_path: Path, certificate_path: Path | None = None, chain_path: Path | None = None
) -> ServerIdentity:
    """
    Load a server's key and certificate from PEM files; one file may have both.

    `chain_path`: the intermediate authorities' certificates. Raises
    InvalidInput, also where others can read a key.
    """
    called = f"the key file {key_path}"
    file = _read(key_path, called)
    file.check_private(called)
    found = _KEY.search(file.content)
    if found is None:
        raise InvalidInput(f"{key_path} has no private key in it: give it in PEM form")
    context = tls_context(SSL.TLS_SERVER_METHOD)
    certificate, *_ = _certificates(key_path if certificate_path is None else certificate_path)
    try:
        context.use_certificate(certificate)
        context.use_privatekey(load_pem_private_key(found.group(), password=None))  # type: ignore[arg-type]
        for intermediate in () if chain_path is None else _certificates(chain_path):
            context.add_extra_chain_cert(intermediate)
        context.check_privatekey()
    except (ValueError, TypeError, UnsupportedAlgorithm, SSL.Error) as error:
        raise InvalidInput(
            f"{key_path} and its certificate can't be used: {_reason_of(error)}"
        ) from None
    return ServerIdentity(context)


def check_certificate(
    certificate: x509.Certificate, depth: int, is_trusted: bool, address: IPv4Address
) -> None:
    """
    Raises NotProved unless a certificate of a server's chain is valid for `address`.

    `depth` is 0 for the host's own; `is_trusted` is OpenSSL's verdict on the
    signatures, validity times and authorities up to this certificate. Only
    what is stated explicitly counts: no name that looks like the address, and
    no implied purpose. For one address of this machine a certificate for any
    other of its addresses is valid too, for it is the same host.
    """
    if is_trusted is not True:
        raise NotProved("it is not signed by the group's authority, or not good now")
    if depth != 0:
        return
    names = _extension(certificate, x509.SubjectAlternativeName, "subjectAltName")
    addresses = names.get_values_for_type(x509.IPAddress)
    if address not in addresses and not _is_same_machine(address, addresses):
        others = ", ".join(map(str, addresses)) or "no address"
        raise NotProved(f"it is for {others}, not for {address}")
    purposes = _extension(certificate, x509.ExtendedKeyUsage, "extendedKeyUsage")
    if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        raise NotProved("it is not for servers (extendedKeyUsage)")
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise NotProved("it is an authority's, not a host's")


def _is_same_machine(address: IPv4Address, others: Sequence[object]) -> bool:
    """Whether all that is called `address` is this machine, and one of the others is it too."""
    return is_own(str(address)) and any(
        isinstance(other, IPv4Address) and not other.is_loopback and is_own(str(other))
        for other in others
    )


class _ClientConnection(SSL.Connection):
    """A client's connection; its handshake fails unless the server has proved who it is."""

    def __init__(self, context: SSL.Context, address: IPv4Address) -> None:
        super().__init__(context)
        self.address = address
        self.proved = False
        #: Why the certificate was refused.
        self.refusal: str | None = None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except SSL.WantReadError:
            raise
        except SSL.Error:
            if self.refusal is not None:
                raise NotProvedInTls(self.refusal) from None
            raise
        if not self.proved:
            # `_verify` was never called, for whatever reason.
            raise NotProvedInTls("no certificate was looked at")


@implementer(IOpenSSLClientConnectionCreator)
class _ClientConnections:
    """Creates TLS connections to one host."""

    def __init__(self, context: SSL.Context, address: IPv4Address) -> None:
        self._context = context
        self._address = address

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return _ClientConnection(self._context, self._address)


def _verify(call: SSL.Connection, certificate: X509, error: int, depth: int, good: int) -> bool:
    """
    OpenSSL's verify callback, called for each certificate from the authority's to the host's.

    Twisted's own callback accepts where it raises something unforeseen; this
    one accepts only where nothing at all was wrong.
    """
    try:
        assert isinstance(call, _ClientConnection)
        check_certificate(certificate.to_cryptography(), depth, good == 1, call.address)
        call.proved = call.proved or depth == 0
        return True
    except NotProved as problem:
        reason = str(problem)
    except BaseException as problem:
        # It must not propagate into OpenSSL, which would lose it.
        reason = f"it can't be read ({type(problem).__name__})"
    if isinstance(call, _ClientConnection):
        by_openssl = f" (X.509 error {error})" if error else ""
        call.refusal = f"the certificate is refused: {reason[:REASON_MAX]}{by_openssl}"
    return False


def tls_context(method: int) -> SSL.Context:
    """Return a context with the settings that both sides share."""
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHER_SUITES)
    # A resumed or renegotiated session would skip the check of the certificate.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    # An idle connection keeps no buffers.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def _read(path: Path, called: str) -> ReadFile:
    """Read a PEM file that is `called` so in messages, with the permissions that it must have."""
    try:
        file = read_file(path, PEM_FILE_MAX)
    except InvalidInput as error:
        raise InvalidInput(f"can't read {called}: {error}") from None
    if _KEY.search(file.content):
        # A key must be private, whatever else the file holds and whichever option names it.
        file.check_private(called)
    file.check_trustworthy(called)
    return file


def _certificates(path: Path) -> list[x509.Certificate]:
    """Return all certificates of a PEM file, at least one. Raises InvalidInput."""
    content = _read(path, str(path)).content
    try:
        found = [x509.load_pem_x509_certificate(block) for block in _CERTIFICATE.findall(content)]
    except ValueError as error:
        raise InvalidInput(f"{path}: a certificate that can't be read: {error}") from None
    if not found:
        raise InvalidInput(f"{path} has no certificate in it: give it in PEM form")
    return found


def _extension(certificate: x509.Certificate, kind: type[_Extension], called: str) -> _Extension:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        raise NotProved(f"it has no {called}") from None


def _reason_of(error: Exception) -> object:
    """Return what is wrong with a key or a certificate, in a few words."""
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return error.args[0][-1][2]
    return error
