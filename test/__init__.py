"""
System tests: real twistd processes, real sockets. Run them from the checkout, as

    python -m twisted.trial test

(plain `trial test` may find CPython's own `test` package instead). Those of
several hosts make network namespaces, which takes root and iproute2.
"""
