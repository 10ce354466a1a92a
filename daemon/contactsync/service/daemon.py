"""The daemon's parts: built in the order in which they are needed, ended in reverse."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.api.app import create_app
from contactsync.api.context import ApiContext
from contactsync.api.events import EventHub
from contactsync.api.schemas import Reloaded
from contactsync.bootstrap import allowed_references, build_runner, database_of, run_options
from contactsync.control.server import ControlServer
from contactsync.dispatch.dispatcher import Dispatcher, RunRequest
from contactsync.dispatch.live import LiveFolders
from contactsync.dispatch.live.definitions import LiveDefinitions
from contactsync.dispatch.run_queue import RunQueue
from contactsync.dispatch.scheduler import Schedule
from contactsync.errors import (
    AlreadyRunning,
    ContactsyncError,
    DatabaseConflict,
    DatabaseError,
    DefinitionError,
    DefinitionLocked,
    SecretError,
    SettingsError,
)
from contactsync.fleet.callbacks import FleetCallbacks
from contactsync.fleet.identity import NodeIdentity, NodeLabel
from contactsync.fleet.listening import ListeningCallbacks
from contactsync.fleet.queue import FleetQueue
from contactsync.fleet.refusals import FleetRefusals
from contactsync.ldap.connection.cache import SessionCache
from contactsync.log.recent import keep_recent
from contactsync.metrics.exporter import Metrics
from contactsync.metrics.snapshot import DaemonSnapshot, SnapshotReader
from contactsync.model import Definition, RunReport, Trigger
from contactsync.operations.requests.queue import Requests
from contactsync.operations.secrets.new_passwords import accept_password, publish_public_key
from contactsync.service.systemd import ServiceManager
from contactsync.service.upkeep import Upkeep
from contactsync.service.vitals import Vitals
from contactsync.serving.peer import uid_of
from contactsync.settings.reload import differing, with_live
from contactsync.store.definitions import read_definitions
from contactsync.store.notifications import Callbacks, DefinitionWatch
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.fleet import LocalNeeds
from contactsync.store.record.runs import interrupt_abandoned
from contactsync.store.waits import WaitWatch
from contactsync.sync.definition import resolve
from contactsync.sync.observer import ObserverGroup

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.control.socket import Listening
    from contactsync.settings.schema import Settings

log = structlog.get_logger()

API_SECONDS = 10.0
"""How long the leader of a fleet leaves requests by the API to the node that got them."""
CUT_OFF_SECONDS = 5
"""How long the runs of a fleet's node that were cancelled at its stop may take to end."""


class Daemon:
    """Follows the definitions and runs them until `stop`.

    `reread` reads the settings again and raises SettingsError.
    """

    def __init__(
        self,
        settings: Settings,
        conninfo: str,
        pool: Pool,
        *,
        listening: Listening,
        reread: Callable[[], Settings],
        manager: ServiceManager,
        identity: NodeIdentity | None = None,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._reread = reread
        self._manager = manager
        self._reloading = threading.Lock()
        self._started_at = datetime.now(UTC)
        self._hub = EventHub()
        self._recent = keep_recent()
        self.metrics = Metrics(self._snapshot, identity.name if identity else "")
        observers = [*([NodeLabel(identity.name)] if identity else []), self._hub, self.metrics]
        # At most one idle connection for each worker.
        self._sessions = SessionCache(per_server=settings.scheduler.per_server, most=settings.scheduler.workers)
        self._runner = build_runner(settings, pool, ObserverGroup(*observers), self._sessions)
        limits = {"workers": settings.scheduler.workers, "per_server": settings.scheduler.per_server}
        self._fleet = self._join_fleet(conninfo, identity, limits) if identity else None
        self._hub.other_nodes = self._fleet.events if self._fleet else None
        self._dispatcher: RunQueue = self._fleet or Dispatcher(self._work, self._server_of, **limits)
        self._schedule = Schedule(
            pool, self._dispatcher, self._follow_live, self._accept_password, leads=self._fleet is None
        )
        self._live_definitions = LiveDefinitions(pool)
        self._live = LiveFolders(self._runner, self._dispatcher, self._may_listen, self._look_at_listeners)
        api_seconds = API_SECONDS if self._fleet else 0.0
        self._requests = Requests(pool, self._schedule, self._dispatcher, api_seconds)
        self._upkeep = self._make_upkeep()
        self._watch = self._make_watch(conninfo)
        self._waits = WaitWatch(conninfo)
        self._snapshot_reader = self._make_snapshot_reader()
        console_uid = uid_of(settings.web.user, "[web] user in settings.toml") if settings.web.enabled else -1
        self._control = ControlServer(create_app(self._api_context()), self._hub, listening, console_uid)
        self.vitals = self._make_vitals()

    def start(self) -> None:
        """Mark the runs of killed processes as interrupted, then follow the definitions. Raises DatabaseError."""
        self._waits.start()
        # A lock of another session must not keep the daemon from starting: the next run of a definition marks it too.
        with suppress(DatabaseConflict), connection_of(self._pool) as connection:
            for run_id, definition in interrupt_abandoned(connection):
                log.warning("run.interrupted", folder=definition, run=run_id)
        self._dispatcher.start()  # a node with another key may not join
        with suppress(DatabaseConflict), connection_of(self._pool) as connection:
            publish_public_key(connection, self._runner.passwords)
        self._schedule.start()
        self._watch.start()
        self._control.start()
        self._control.listen(self._settings.api)

    def stop(self) -> None:
        """Start no more runs, cancel those that have not reached the apply, and wait for the others."""
        drain = self._settings.scheduler.drain_seconds
        self._control.stop()
        self._watch.stop()
        self._live.stop()
        self._schedule.stop()
        self._dispatcher.stop()
        if self._fleet is None:
            self._runner.cancel_all()
        if not self._dispatcher.join(drain):
            log.warning("daemon.drain_exceeded", running=sorted(self._dispatcher.running), drain_seconds=drain)
        if self._fleet is not None:
            self._runner.cancel_all()
            self._dispatcher.join(CUT_OFF_SECONDS)
            self._fleet.leave()
        self._sessions.close()
        self._waits.stop()

    def close_idle_connections(self) -> None:
        """Close connections to directories that were idle for some time."""
        self._sessions.close_idle()

    def reload(self) -> Reloaded:
        """Read the settings again, and soon the definitions too. Raises SettingsError, and then changes nothing.

        Settings that need a restart are logged.
        """
        with self._reloading, self._manager.reloading():
            read = self._reread()
            before, self._settings = self._settings, with_live(self._settings, read)
            self._runner.options = run_options(self._settings)
            self._runner.passwords = replace(self._runner.passwords, references=allowed_references(self._settings))
            self._watch.replace_rescan(self._settings.scheduler.rescan_seconds)
            self._control.listen(self._settings.api)
            self.metrics.server.reload(self._settings.metrics)
            changed = sorted(differing(before, self._settings))
            need_restart = sorted(differing(self._settings, read))
        if self._fleet:
            with suppress(DatabaseError):
                self._fleet.referrals.forget_own()
        log.info("settings.reloaded", changed=changed)
        if need_restart:
            log.warning("settings.need_restart", settings=need_restart)
        return Reloaded(changed=changed, need_restart=need_restart)

    def handle_signal(self, received: signal.Signals) -> None:
        """SIGUSR1 runs all definitions, SIGUSR2 logs the status, SIGHUP reloads the settings."""
        if received is signal.SIGUSR1:
            self._run_all()
        elif received is signal.SIGUSR2:
            self._log_status()
        else:
            try:
                self.reload()
            except SettingsError as error:
                log.error("settings.refused", error_code=error.code, error=str(error))

    def _run_all(self) -> None:
        definition_ids = self._schedule.enabled()
        log.info("daemon.run_all", definitions=len(definition_ids))
        for definition_id in definition_ids:
            self._dispatcher.request(definition_id, Trigger.MANUAL)

    def _log_status(self) -> None:
        log.info(
            "daemon.status",
            status=self.vitals.status,
            ready=self.vitals.ready,
            definitions=len(self._schedule.followed),
            running=[report.definition.label for report in self._runner.active()],
            waiting=self._dispatcher.waiting,
            uptime_seconds=round((datetime.now(UTC) - self._started_at).total_seconds()),
        )

    def _make_upkeep(self) -> Upkeep:
        return Upkeep(
            pool=self._pool,
            schedule=self._schedule,
            requests=self._requests,
            live=self._live,
            hub=self._hub,
            fleet=self._fleet,
            follow_live=self._follow_live,
            history=lambda: self._settings.history,
        )

    def _make_watch(self, conninfo: str) -> DefinitionWatch:
        return DefinitionWatch(
            conninfo,
            Callbacks(
                on_edit=self._upkeep.follow_edits,
                on_request=self._upkeep.follow_requests,
                on_rescan=self._upkeep.rescan,
                on_tick=self._upkeep.tick,
                on_lost=database_of(self._settings).revive,
            ),
            rescan_seconds=self._settings.scheduler.rescan_seconds,
        )

    def _make_snapshot_reader(self) -> SnapshotReader:
        return SnapshotReader(
            pool=self._pool,
            schedule=self._schedule,
            dispatcher=self._dispatcher,
            watch=self._watch,
            waits=self._waits,
            live=self._live,
            workers=self._settings.scheduler.workers,
            in_fleet=self._fleet is not None,
        )

    def _make_vitals(self) -> Vitals:
        return Vitals(
            schedule=self._schedule,
            watch=self._watch,
            waits=self._waits,
            dispatcher=self._dispatcher,
            runner=self._runner,
            control=self._control,
            upkeep=self._upkeep,
            fleet=self._fleet,
            connect_seconds=self._settings.database.connect_timeout_seconds,
        )

    def _api_context(self) -> ApiContext:
        return ApiContext(
            pool=self._pool,
            runner=self._runner,
            dispatcher=self._dispatcher,
            schedule=self._schedule,
            requests=self._requests,
            hub=self._hub,
            recent=self._recent,
            live=self._live,
            settings=lambda: self._settings,
            started_at=self._started_at,
            problems=self._problems,
            metrics=self.metrics.render,
            reload=self.reload,
            fleet=self._fleet,
        )

    def _join_fleet(self, conninfo: str, identity: NodeIdentity, limits: dict[str, int]) -> FleetQueue:
        box = self._runner.passwords.open_box()
        fleet = FleetQueue(conninfo, self._pool, identity, box.key_id.hex(), self._fleet_callbacks(), **limits)
        self._runner.refusals = FleetRefusals(self._pool, box.derive(b"contactsync-refused"), fleet.node)
        return fleet

    def _fleet_callbacks(self) -> FleetCallbacks:
        return FleetCallbacks(
            work=self._work,
            server_of=self._server_of,
            find_server=self._find_server,
            cancel=self._cancel,
            cancel_all=self._cancel_current,
            listener_of=self._listener_of,
            on_run=self._note_run_elsewhere,
            listening=lambda: self._live.snapshot.listening,
            missing=self._missing,
            live=ListeningCallbacks(
                listeners=lambda: self._live.listeners,
                needs=lambda: self._live.needs,
                listen=self._listen_with,
                closed=self._closed,
            ),
            on_event=self._hub.relay,
        )

    def _missing(self, needs: LocalNeeds) -> str | None:
        """What this machine lacks of what a definition needs."""
        return self._runner.passwords.missing(needs.password_ref, needs.key_id, needs.files)

    # The fleet is built before the live folders, which request their runs of it.

    def _listener_of(self, definition_id: int) -> str | None:
        return self._live.listener_of(definition_id)

    def _listen_with(self, listeners: frozenset[str]) -> None:
        self._live.listen_with(listeners)

    def _closed(self, seconds: float) -> bool:
        return self._live.closed(seconds)

    def _may_listen(self) -> bool:
        return self._fleet is None or self._fleet.node.lease_seconds > 0

    def _cancel(self, run_id: int) -> list[int]:
        return [run_id] if self._runner.cancel(run_id) else []

    def _cancel_current(self) -> None:
        for run in self._runner.active():
            self._runner.cancel(run.run_id)

    def _note_run_elsewhere(self, definition_id: int, run: RunReport | ContactsyncError | None) -> None:
        """Another node of the fleet has started or made a run of a folder that this one listens for."""
        if run is None:
            self._live.run_started(definition_id)
        elif isinstance(run, RunReport):
            self._live.run_finished(definition_id, run)
        else:
            self._live.run_failed(definition_id)

    def _problems(self) -> list[str]:
        return self.vitals.problems()

    def _snapshot(self) -> DaemonSnapshot:
        return self._snapshot_reader()

    def _server_of(self, definition_id: int) -> str:
        return self._schedule.server_of(definition_id)

    def _find_server(self, definition_id: int) -> str:
        """The directory server of a definition that is not followed yet; empty if there is none. DatabaseError."""
        with connection_of(self._pool) as connection:
            definitions = read_definitions(connection, [definition_id])
        with suppress(DefinitionError, SecretError):
            return resolve(definitions[0]).server_key if definitions else ""
        return ""

    def _work(self, request: RunRequest) -> RunReport:
        """Make one run on a worker thread; log what it raises and raise it again for those who wait."""
        definition_id = request.definition_id
        try:
            live = self._live.run_started(definition_id)
            report = self._runner.run(
                definition_id,
                request.trigger,
                asked_at=request.asked_at,
                live=live,
                remark=request.remark,
                node_id=request.node_id,
            )
            self._live.run_finished(definition_id, report)
            return report
        except DefinitionLocked as error:
            log.debug("run.not_due", definition=definition_id)
            self._requests.refuse(definition_id, error.message)
            raise
        except ContactsyncError as error:
            if isinstance(error, DatabaseError | AlreadyRunning):
                self._live.run_failed(definition_id)
            log.warning("run.not_started", definition=definition_id, error_code=error.code, error=str(error))
            raise
        except Exception:
            log.exception("run.crashed", definition=definition_id)
            raise

    def _accept_password(self, connection: Connection[Any], definition: Definition) -> Definition:
        return accept_password(connection, self._runner.passwords, definition)

    def _follow_live(self) -> None:
        followed = (each for each in self._schedule.followed if each.may_run and not each.locked)
        self._live.follow(followed, self._live_definitions.resolved, auto=self._runner.options.auto_live_folders)
        self._look_at_listeners()

    def _look_at_listeners(self) -> None:
        if self._fleet:
            self._fleet.listening.look()
