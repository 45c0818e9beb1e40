"""Many jobs: leases of one card's memory between processes."""
