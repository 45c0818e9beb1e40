"""The index serves a card's runs in their order, page by page."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Put the id beside the card."""
    op.drop_index("sonic_guard_runs_card", "sonic_guard_runs")
    op.create_index("sonic_guard_runs_card", "sonic_guard_runs", ["card", "id"])
