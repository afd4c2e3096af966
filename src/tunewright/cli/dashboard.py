"""``tunewright dashboard``: experiments live in the browser."""

from __future__ import annotations

import os
import re
import secrets
import sys
import webbrowser
from typing import Annotated, Final

from cyclopts import Parameter

from tunewright.cli.exits import say
from tunewright.cli.output import set_up_logging
from tunewright.cli.parsing import command_app
from tunewright.exceptions import MissingExtraError, SettingsError

try:
    from tunewright.dashboard import library, security, server
except ModuleNotFoundError:  # the extra is not installed
    library = security = server = None  # pyright: ignore[reportAssignmentType]

TOKEN_VARIABLE: Final = "TUNEWRIGHT_DASHBOARD_TOKEN"  # noqa: S105 - the variable's name
_LEAST_TOKEN: Final = 16

dashboard_app = command_app(
    "dashboard",
    "Show experiments live in the browser. Ctrl-C ends the dashboard; experiments go on.",
    usage="tunewright dashboard [OPTIONS] [TAG|EXPERIMENT ...]",
)


@dashboard_app.default
def dashboard(
    *what: str,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(metavar="PORT")] = 0,
    token: str | None = None,
    control: bool = False,
    base_path: Annotated[str, Parameter(metavar="PATH")] = "",
    allowed_host: tuple[str, ...] = (),
    embed: bool = False,
    no_browser: bool = False,
    verbose: bool = False,
) -> int:
    """Serve the page until Ctrl-C, and print its address. The page needs no internet, and no journal is changed.

    Parameters
    ----------
    what
        Tags and names of experiments (default: all).
    host
        Address to listen at; others than this machine can reach it only if this is not a loopback address.
    port
        Port to listen at (default: the first free one from 8080 on).
    token
        Secret that the page needs, 16 characters at least (default: $TUNEWRIGHT_DASHBOARD_TOKEN, or a random one).
    control
        Take requests: stop and pause trials, change limits, add configurations.
    base_path
        Path prefix of a proxy in front of it, such as /user/me/proxy/8080.
    allowed_host
        Further name under which it is reached, such as that of a proxy; may be repeated.
    embed
        Let pages of the same origin show it in a frame, as notebooks do.
    no_browser
        Do not open the browser.
    verbose
        Print messages of the server, and tracebacks of errors.
    """
    set_up_logging(is_verbose=verbose)
    chosen = token or os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)
    if len(chosen) < _LEAST_TOKEN or not re.fullmatch(r"[A-Za-z0-9._~-]+", chosen):
        raise SettingsError(
            f"A token has {_LEAST_TOKEN} characters at least, all of them letters, digits or one of . _ ~ -"
        )
    if not 0 <= port < 2**16:
        raise SettingsError(f"--port {port} is not between 0 and 65535")
    if not re.fullmatch(r"[A-Za-z0-9._~/@%+:=-]*", base_path):
        raise SettingsError(
            f"--base_path is the path of a URL, such as /user/anna/proxy/8050, not {base_path!r}"
        )
    base = f"/{base_path.strip('/')}" if base_path.strip("/") else ""
    if library is None or security is None or server is None:
        raise MissingExtraError("dashboard", "The dashboard")
    safety = security.Safety(
        token=chosen,
        host=host,
        allowed_hosts=frozenset(name.lower() for name in allowed_host),
        base_path=base,
        can_embed=embed,
    )
    chosen_experiments = library.Library(what, control=control)
    for word in chosen_experiments.unknown():
        say(f"No tag or experiment is called {word!r} yet: the page shows it as soon as it begins")
    served = server.Dashboard(chosen_experiments)
    listening = server.listen(host, port)
    own_port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{own_port}{base}/?token={chosen}"
    say(f"Dashboard: {address}")
    if not security.is_loopback(host):
        say("It can be reached from other machines, without encryption: prefer ssh -L, or a proxy with TLS")
    say("Ctrl-C ends the dashboard; experiments go on")
    if not no_browser and sys.stdout.isatty() and _has_display():
        webbrowser.open(address)
    server.serve(served, safety, listening)
    return 0


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
