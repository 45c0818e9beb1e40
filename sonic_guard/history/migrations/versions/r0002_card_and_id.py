"""Extends the index on card by the id, so that it serves a card's runs in order, page by page."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the id to the index on card."""
    op.drop_index("sonic_guard_runs_card", "sonic_guard_runs")
    op.create_index("sonic_guard_runs_card", "sonic_guard_runs", ["card", "id"])
