"""A routing table in memory, for what asks the kernel which address leads where."""

import socket
from types import TracebackType


class FakeKernel:
    """Stands in for the module `socket`: a routing table in memory."""

    AF_INET, SOCK_DGRAM = socket.AF_INET, socket.SOCK_DGRAM

    def __init__(self, routes: dict[str, str]) -> None:
        self.routes = routes
        self.open = 0

    def socket(self, family: int, kind: int) -> "FakeProbe":
        assert (family, kind) == (self.AF_INET, self.SOCK_DGRAM)
        return FakeProbe(self)


class FakeProbe:
    """A UDP socket that only ever connects."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self._name = "0.0.0.0"

    def __enter__(self) -> "FakeProbe":
        self._kernel.open += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._kernel.open -= 1

    def connect(self, address: tuple[str, int]) -> None:
        if address[0] not in self._kernel.routes:
            raise OSError("Network is unreachable")
        self._name = self._kernel.routes[address[0]]

    def getsockname(self) -> tuple[str, int]:
        return self._name, 12345
