"""The server side of the pack: routes for the pages, the history, and the instrumentation of Sonic's nodes."""
