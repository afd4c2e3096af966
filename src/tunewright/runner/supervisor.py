"""Run one script to its end: reports go out, requests come in, and no process is left behind."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import queue
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from .channel import EXITED, GO_ON, STOP, TERMINATED, UNTIL, Channel, End, Report
from .process import ChildProcess, Script, ScriptProcess, adopt_orphans
from .run_order import RunOrder
from .script_launch import build_command, build_environment

_TERMINATE = "terminate"
_CHILD = "child"
REPORT_SECONDS = 1.0
"""Longest time that a script gets to report a checkpoint that it has just written, before it is asked to end."""
_LOOK_SECONDS = 0.02
"""Time between two looks whether that report has come."""


def supervise(
    order: RunOrder, channel: Channel, sinks: tuple[IO[bytes], IO[bytes]], *, owns_process: bool = True
) -> End:
    """Run the order's script and send its reports and its end to the channel.

    Parameters
    ----------
    order
        The run.
    channel
        Takes reports and gives requests.
    sinks
        Binary files that the script's standard output and standard error are copied to.
    owns_process
        This process does nothing else: processes that the script leaves behind are adopted, ended and reaped.

    Returns
    -------
    End
        The end that was sent to the channel.
    """
    return _Supervisor(order, channel, sinks, owns_process).run()


class _Supervisor:
    def __init__(
        self, order: RunOrder, channel: Channel, sinks: tuple[IO[bytes], IO[bytes]], owns_process: bool
    ) -> None:
        self._order = order
        self._channel = channel
        self._sinks = sinks
        self._owns_process = owns_process
        self._events: queue.SimpleQueue[Report | str] = queue.SimpleQueue()
        self._started = time.monotonic()
        self._seq = 0
        self._reported = time.time()
        self._is_at_until = False
        self._resource = order.resume_from
        self._cause = ""
        self._ask_at = math.inf
        self._ask_by = math.inf
        self._kill_at = math.inf
        self._late_at = self._started + (order.max_seconds or math.inf)
        self._warned = False

    def run(self) -> End:
        with self._signals():
            if self._owns_process:
                adopt_orphans()
            self._prepare_folders()
            self._channel.load_checkpoint()
            try:
                script = self._start()
            except (OSError, RuntimeError, ValueError) as error:
                return self._finish(127, f"The script could not be started: {error}")
            try:
                self._channel.note_start()
                code = self._follow(script)
            finally:
                script.end_group(reap_all=self._owns_process)
            while not self._events.empty():
                self._handle(self._events.get(), script)
            last_lines = self._without_secrets(script.last_lines())
            return self._finish(code, _error_text(code, last_lines, has_reported=self._seq > 0))

    @contextlib.contextmanager
    def _signals(self) -> Generator[None, None, None]:
        """Turn signals into events, also while a channel's call takes its time."""

        def on_terminate(_number: int, _frame: object) -> None:
            self._events.put(_TERMINATE)

        def on_child(_number: int, _frame: object) -> None:
            self._events.put(_CHILD)

        handlers = {
            signal.SIGTERM: on_terminate,
            signal.SIGINT: on_terminate,
            signal.SIGCHLD: on_child,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _prepare_folders(self) -> None:
        base = Path(self._order.base_dir)
        for folder in (Path(self._order.checkpoint_dir), base / "model", base / "output" / "data"):
            folder.mkdir(parents=True, exist_ok=True)
        if self._order.config_file:
            Path(self._order.config_file).write_text(json.dumps(self._order.config), encoding="utf-8")

    def _start(self) -> Script:
        return Script(self._start_process(), self._sinks, on_report=self._take_report)

    def _start_process(self) -> ScriptProcess:
        order = self._order
        environment = build_environment(order, os.environ, self._packages())
        if order.function_server:
            # loaded by name, since scripts do without it
            served = importlib.import_module(f"{__package__}.function_server").ServedFunction
            try:
                return served(order.function_server, order.config_file, environment, order.cwd)
            except OSError as error:
                if order.is_of_session:
                    raise RuntimeError(f"the process that holds the function has gone ({error})") from error
        return ChildProcess(build_command(order), environment, order.cwd)

    def _packages(self) -> str:
        """The folder of packages that the script's requirements.txt asks for and this Python has not got."""
        requirements = Path(self._order.cwd, self._order.script_file).with_name("requirements.txt")
        if not self._order.cache_dir or not requirements.is_file():
            return ""
        # loaded by name, because its imports take longer to import than everything else of the runner
        module = importlib.import_module(f"{__package__}.requirements")
        return module.install_missing(requirements, Path(self._order.cache_dir), self._sinks[1])

    def _follow(self, script: Script) -> int:
        """Handle events until the script has ended; its exit code."""
        next_look = 0.0
        while (code := script.poll()) is None:
            now = time.monotonic()
            if now >= self._kill_at:
                script.signal_group(signal.SIGKILL)
                self._kill_at = math.inf
            if now >= self._ask_at:
                self._ask_to_end(script)
            if now >= self._late_at:
                self._end(script, EXITED)
                self._late_at = math.inf
            if now >= next_look:
                self._look(script)
                next_look = now + self._channel.poll_seconds
            with contextlib.suppress(queue.Empty):
                timeout = max(0.0, min(next_look, self._ask_at, self._kill_at, self._late_at) - now)
                self._handle(self._events.get(timeout=timeout), script)
        return code

    def _handle(self, event: Report | str, script: Script) -> None:
        if isinstance(event, Report):
            self._handle_report(event, script)
        elif event == _TERMINATE:
            self._end(script, TERMINATED)
        elif event == _CHILD and self._owns_process:
            script.reap_orphans()

    def _take_report(self, metrics: dict[str, Any]) -> bool:
        """Queue a report; whether it is the one at ``until``, after which the script has no time to lose.

        Runs in the thread that reads the output, as sending the reports before this one may take a while.
        """
        self._seq += 1
        self._reported = time.time()
        report = Report(self._seq, self._resource_of(metrics), metrics, self._cost(), self._reported)
        until = self._order.until
        is_last = until is not None and report.resource >= until and not self._is_at_until
        self._is_at_until = self._is_at_until or is_last
        self._events.put(report)
        return is_last

    def _handle_report(self, report: Report, script: Script) -> None:
        self._resource = max(self._resource, report.resource)
        self._channel.send_report(report)
        until = self._order.until
        if until is not None and report.resource >= until:
            self._end(script, UNTIL, is_asked=True)
        elif not self._cause:
            self._channel.note_checkpoint(self._resource)
            self._look(script)

    def _resource_of(self, metrics: dict[str, Any]) -> int:
        name = self._order.resource_attr
        value = metrics.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            resource = round(value)
            if resource >= 1 and math.isclose(value, resource, rel_tol=1e-6):
                return resource
        if name and not self._warned:
            self._warned = True
            self._say(
                f"the resource {name!r} should be a whole number >= 1, not {value!r}: reports are counted"
            )
        return self._order.resume_from + self._seq

    def _look(self, script: Script) -> None:
        """Ask the channel for a request, and end the script if there is one."""
        if not self._cause:
            wanted = self._channel.wanted()
            if wanted != GO_ON:
                self._end(script, wanted)

    def _end(self, script: Script, cause: str, *, is_asked: bool = False) -> None:
        """End the script unless it was asked to already; the first cause counts."""
        if not self._cause:
            self._cause = cause
            now, grace = time.monotonic(), self._order.grace
            self._kill_at = now + grace
            if not is_asked:
                self._ask_by = now if cause in (STOP, EXITED) else now + min(REPORT_SECONDS, grace / 2)
                self._ask_to_end(script)

    def _ask_to_end(self, script: Script) -> None:
        """Send SIGTERM. A script that goes on later from a checkpoint gets time to report that one first.

        Scripts write the checkpoint of an epoch and report the epoch then. If one ended in between, its next run would begin after
        the epoch, and no run would report it. The script stands still while its files are looked at.
        """
        script.signal_group(signal.SIGSTOP)
        now = time.monotonic()
        if now < self._ask_by and self._is_report_due():
            self._ask_at = now + _LOOK_SECONDS
        else:
            self._ask_at = math.inf
            script.signal_group(signal.SIGTERM)
        script.signal_group(signal.SIGCONT)

    def _is_report_due(self) -> bool:
        """Whether a file of the checkpoint is newer than the last report."""
        try:
            files = [path.stat() for path in Path(self._order.checkpoint_dir).rglob("*") if path.is_file()]
        except FileNotFoundError:
            return True
        return any(file.st_mtime > self._reported for file in files)

    def _finish(self, code: int, error: str) -> End:
        """Save the checkpoint, then send the end."""
        if self._cause == EXITED:
            code, error = (
                1,
                f"The trial took longer than {self._order.max_seconds:g} s and was ended. {error}",
            )
        elif self._cause:
            code, error = 0, ""
        has_checkpoint = self._resource >= 1 and self._channel.save_checkpoint(self._resource)
        if code and error and self._order.failure_file:
            with contextlib.suppress(
                OSError
            ):  # a full disk may be the error's cause; the end message has the text
                Path(self._order.failure_file).write_text(error[-1024:], encoding="utf-8")
        end = End(
            cause=self._cause or EXITED,
            exit=128 - code if code < 0 else code,
            error=error,
            cost=self._cost(),
            wall=time.time(),
            checkpoint=self._resource if has_checkpoint else None,
        )
        self._channel.send_end(end)
        return end

    def _without_secrets(self, text: str) -> str:
        """A text of the script without the values of secrets that it printed."""
        for name in self._order.secrets:
            value = self._order.environment[name]
            text = text.replace(value, f"[{name}]") if value else text
        return text

    def _cost(self) -> float:
        hours = (time.monotonic() - self._started) / 3600
        return self._order.cost_before + hours * self._order.dollars_per_hour

    def _say(self, text: str) -> None:
        """A line of our own in the script's log."""
        with contextlib.suppress(OSError):
            self._sinks[1].write(f"[tunewright] {text}\n".encode())
            self._sinks[1].flush()


def _error_text(code: int, last_lines: str, *, has_reported: bool) -> str:
    """Why a script failed, with the end of its output; empty if it did not.

    Of a script that ended well without a report it is the output: what is wanted of it is said by others.
    """
    if code == 0:
        return "" if has_reported or not last_lines else f"Its last output:\n{last_lines}"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        cause = f"The script was killed by {name}"
        cause += " (out of memory?)" if -code == signal.SIGKILL else ""
    else:
        cause = f"The script ended with exit code {code}"
    return f"{cause}. Its last output:\n{last_lines}" if last_lines else f"{cause} and printed nothing."
