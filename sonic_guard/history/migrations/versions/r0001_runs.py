"""The table of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "sonic_guard_runs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("machine", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("process_started", sa.Double, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("total_bytes", sa.BigInteger, nullable=False),
        sa.Column("available_bytes", sa.BigInteger, nullable=False),
        sa.Column("driver", sa.Text, nullable=False),
        sa.Column("torch", sa.Text, nullable=False),
        sa.Column("comfyui", sa.Text, nullable=False),
        sa.Column("wrapper", sa.Text, nullable=False),
        sa.Column("job", sa.JSON, nullable=False),
        sa.Column("predicted", sa.JSON, nullable=False),
        sa.Column("stages", sa.JSON, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("sonic_guard_runs_card", "sonic_guard_runs", ["card"])
