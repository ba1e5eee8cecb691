"""What `twistd` and `twist` keep to themselves: their options, and the log that those ask for."""

from twisted.logger import ILogObserver, LegacyLogObserverWrapper
from twisted.python.usage import Options
from twisted.scripts._twistd_unix import UnixAppLogger


def twistd_log(options: Options) -> ILogObserver:
    """
    Return the log that twistd writes by itself, as its own options say.

    Missing in Twisted: a public way to what --logfile, --syslog and SIGUSR1 do.
    """
    observer = UnixAppLogger(options)._getLogObserver()
    if ILogObserver.providedBy(observer):
        return observer
    return LegacyLogObserverWrapper(observer)  # syslog's


def twist_options() -> Options:
    """
    Return the options of `twist` (`python -m twisted`), for tests: it runs a role, as twistd does.

    Missing in Twisted: a public name for them.
    """
    # Here, for no daemon needs it.
    from twisted.application.twist._options import TwistOptions

    return TwistOptions()
