"""
`p2p node` and `p2p supernode`: the daemons in the foreground, without a word of twistd's.

They are what `twistd -n` runs, with the same options: those are read from the plugin's own, so
that none is written down twice. For everything else that twistd can do to a process (a pid file,
another user, syslog) there is twistd.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from p2ptwisted.cli.end_signals import END_SIGNALS
from p2ptwisted.cli.exit_status import ExitStatus

if TYPE_CHECKING:
    from twisted.application.service import ServiceMaker
    from twisted.python.usage import Options

#: By the last word of an option's name: what stands for its value in the help.
_METAVARS = {
    "config": "FILE",
    "download": "RATE",
    "file": "FILE",
    "group": "ADDRESS:PORT",
    "interface": "NAME",
    "interval": "TIME",
    "location": "HOST:PORT",
    "name": "NAME",
    "network": "NETWORK",
    "peer": "URL",
    "port": "PORT",
    "resources": "DIR",
    "size": "SIZE",
    "state": "DIR",
    "supernode": "URL",
    "time": "TIME",
    "timeout": "TIME",
    "upload": "RATE",
}

#: Options of every command of twistd's that `p2p` has for itself.
_OWN = frozenset({"help", "version"})


class DaemonCommand(click.Command):
    """A command that runs one of the daemons until a signal ends it."""

    def __init__(self, name: str, tapname: str, help: str, folder: str | None = None) -> None:
        """`tapname` is twistd's command, `folder` its option that the one argument is for."""
        arguments: list[click.Parameter] = []
        if folder is not None:
            path = click.Path(file_okay=False)
            arguments.append(click.Argument(["folder"], required=False, type=path, metavar="[DIR]"))
        super().__init__(name, params=arguments, callback=self._start, help=help)
        self._tapname = tapname
        self._folder = folder
        self._options: list[click.Parameter] | None = None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        # Only now: reading them imports the daemon, which no other command has to wait for.
        if self._options is None:
            self._options = list(_click_options(_maker(self._tapname).options()))
        params = super().get_params(ctx)
        return [*self.params, *self._options, *params[len(self.params) :]]

    def _start(self, folder: str | None = None, **values: Any) -> ExitStatus:
        given = {key.replace("_", "-"): value for key, value in values.items()}
        if folder is not None and self._folder is not None:
            if given[self._folder] is not None:
                raise click.UsageError(
                    f"{folder} and --{self._folder} {given[self._folder]} are two folders: name "
                    "one.",
                    click.get_current_context(),
                )
            given[self._folder] = folder
        return run_daemon(self._tapname, list(_as_typed(given)))


def run_daemon(tapname: str, arguments: list[str]) -> ExitStatus:
    """
    Run what `twistd -n` would with this command and these arguments, until it ends.

    Raises SystemExit where it can't start, after one line that says why.
    """
    from twisted.scripts.twistd import ServerOptions, runApp  # type: ignore[attr-defined]

    class Foreground(ServerOptions):
        """twistd's options, with this one command: no other's plugin is looked for."""

        loadedPlugins = {tapname: _maker(tapname)}

        @property
        def subCommands(self) -> Any:
            for name, maker in self.loadedPlugins.items():
                yield name, None, maker.options, maker.description

    # How it ends by a signal is the daemon's own matter.
    END_SIGNALS.uninstall()
    options = Foreground()
    try:
        options.parseOptions(["--nodaemon", "--pidfile=", tapname, *arguments])
    except SystemExit:
        return ExitStatus.USAGE  # The line has been printed.
    runApp(options)
    return ExitStatus.OK


def _maker(tapname: str) -> "ServiceMaker":
    from twisted.plugins.p2ptwisted_plugin import p2p_node, p2p_supernode

    return {one.tapname: one for one in (p2p_node, p2p_supernode)}[tapname]


def _click_options(options: "Options") -> Iterator[click.Option]:
    """The options of a daemon as those of a command."""
    short = {long: short for short, long in options.synonyms.items() if len(short) == 1}
    for long in options.longOpt:
        name = long.rstrip("=")
        if name in _OWN:
            continue
        names = [f"--{name}"] + ([f"-{short[name]}"] if name in short else [])
        help = _sentence(" ".join((options.docs[name] or "").split()))
        if name == long:
            yield click.Option(names, is_flag=True, help=help)
            continue
        metavar = _METAVARS.get(name.rpartition("-")[2], "NUMBER")
        is_path = metavar in ("FILE", "DIR")
        yield click.Option(
            names,
            type=click.Path() if is_path else str,
            metavar=metavar,
            # Those with a method of their own gather their values.
            multiple=name not in options,
            help=help,
        )


def _sentence(text: str) -> str:
    """The text with a capital letter, unless it begins with what is typed so."""
    word = text.partition(" ")[0].rstrip(",:;")
    return text[:1].upper() + text[1:] if word.isalpha() else text


def _as_typed(values: dict[str, Any]) -> Iterator[str]:
    """Command-line arguments that give these options these values."""
    for name, value in values.items():
        if value is True:
            yield f"--{name}"
        elif isinstance(value, tuple):
            yield from (f"--{name}={one}" for one in value)
        elif value is not None and value is not False:
            yield f"--{name}={value}"
