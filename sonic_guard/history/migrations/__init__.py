"""How the database's tables came to be, a revision a file: Alembic reads the folder."""
