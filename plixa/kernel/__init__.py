"""The shared kernel: settings, database, event store, unit of work, outbox, HTTP conventions. Imports no module of Plixa."""
