"""The dashboard in the cell of a notebook, also behind the proxies of JupyterHub and SageMaker Studio."""

from __future__ import annotations

import os
import secrets
import threading
import time
from html import escape
from pathlib import Path
from typing import Final, final
from urllib.parse import quote

from tunewright.dashboard.library import Library
from tunewright.dashboard.security import Safety
from tunewright.dashboard.server import Dashboard, listen, new_server
from tunewright.exceptions import BackendError, SettingsError
from tunewright.storage import ExperimentFolder, home

HUB_PREFIX: Final = "JUPYTERHUB_SERVICE_PREFIX"
"""Environment variable with the path of a user's server, such as ``/user/me/``."""
STUDIO_FILE: Final = Path("/opt/ml/metadata/resource-metadata.json")
"""A file that spaces of SageMaker Studio have."""
_STUDIO_PREFIX: Final = "/jupyterlab/default/"
_LOCAL: Final = "127.0.0.1"
_PATIENCE: Final = 10.0  # seconds until the server must have begun


def proxy_path() -> str:
    """The path at which the notebook's own server offers ports of this machine, with ``{port}``; empty on one's own machine.

    Such servers need the package jupyter-server-proxy; SageMaker Studio has it.
    """
    if prefix := os.environ.get(HUB_PREFIX, ""):
        return f"/{prefix.strip('/')}/proxy/{{port}}"
    return f"{_STUDIO_PREFIX}proxy/{{port}}" if STUDIO_FILE.exists() else ""


@final
class NotebookDashboard:
    """A running dashboard of one experiment; a notebook shows it as the value of a cell.

    The server is a thread of this process, listens at the loopback address, and ends with the process or by `stop`. The
    page sends its token in a header, as browsers block the cookies of pages in frames; no cookie is set.

    Parameters
    ----------
    folder
        Folder of the experiment, below ``$TUNEWRIGHT_HOME``.
    control
        Whether the page can stop and pause trials, change limits and add configurations.
    base_path
        Path at which a proxy offers the port, such as ``"/user/me/proxy/{port}"``; None: `proxy_path`.
    height
        Height in the cell, in pixels.

    Raises
    ------
    SettingsError
        The experiment is stored elsewhere.
    """

    def __init__(
        self,
        folder: ExperimentFolder,
        *,
        control: bool = False,
        base_path: str | None = None,
        height: int = 760,
    ) -> None:
        root = (home() / "experiments").resolve()
        if folder.path.resolve() != root / folder.tag / folder.name:
            raise SettingsError(f"The dashboard shows experiments in {root}, and {folder.path} is not in it")
        token = secrets.token_urlsafe(24)
        listening = listen(_LOCAL, 0)
        port: int = listening.getsockname()[1]
        base = (proxy_path() if base_path is None else base_path).rstrip("/").replace("{port}", str(port))
        # Without cookies a request from another name (DNS rebinding) has no token: any name of a proxy may be allowed.
        safety = Safety(token=token, base_path=base, can_embed=True, allowed_hosts=frozenset({"*"}))
        self._server = new_server(Dashboard(Library([folder.name], control=control)), safety)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name="tunewright-dashboard", daemon=True
        )
        self._thread.start()
        begin = time.monotonic()
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() - begin > _PATIENCE:
                raise BackendError("The dashboard's server did not start: its messages are in the output")
            time.sleep(0.01)
        origin = "" if base else f"http://{_LOCAL}:{port}"
        place = f"{quote(folder.tag)}/{quote(folder.name)}"
        self.url: Final = f"{origin}{base}/?token={token}&embedded=1#/e/{place}/overview"
        """Address of the page; behind a proxy without the name of its host."""
        self._height = height

    def __repr__(self) -> str:
        """The address."""
        return f"<NotebookDashboard {self.url}>"

    def _repr_html_(self) -> str:  # pyright: ignore[reportUnusedFunction] - notebooks call it
        """The page in a frame."""
        url = escape(self.url)
        return (
            f'<iframe src="{url}" title="Tunewright" width="100%" height="{self._height}" '
            f'style="border: 1px solid #8884; border-radius: 6px"></iframe><br><a href="{url}" target="_blank">Open in a tab</a>'
        )

    def stop(self) -> None:
        """End the server; the experiment goes on."""
        self._server.should_exit = True
        self._thread.join(_PATIENCE)
