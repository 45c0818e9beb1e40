"""Migrates a database's tables to this version, with the revisions in `migrations`."""

import threading
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from ..errors import HistoryError
from .schema import VERSION_TABLE

_operations_lock = threading.Lock()
"""Alembic's `op`, which the revisions use, is global to the process."""


def upgrade(connection: Connection, revisions: Path) -> None:
    """Apply the missing `revisions` in the transaction of `connection`: all of them or none.

    The caller has to lock out other processes. Raises `HistoryError` for a database of a newer version.
    """
    scripts = ScriptDirectory(str(revisions))
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    try:
        current = context.get_current_revision()
    except CommandError as error:  # the table holds more than one revision
        raise HistoryError(f"history: the database's table {VERSION_TABLE} is damaged: {error}.") from error
    if current not in {None, *(script.revision for script in scripts.walk_revisions())}:
        raise HistoryError(
            f"history: this database (revision {current}) is from a newer version of Sonic Guard. Update the pack, "
            "or keep this version's history elsewhere (SONIC_GUARD_DB)."
        )
    steps = list(scripts.iterate_revisions("head", current or "base"))
    with _operations_lock, Operations.context(context):
        for step in reversed(steps):
            step.module.upgrade()
            context.stamp(scripts, step.revision)
