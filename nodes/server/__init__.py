"""What runs beside the nodes: routes for the pages, the history, and the instrumentation of Sonic's nodes."""
