"""What earlier runs really took: kept in a database, and turned into better predictions."""
