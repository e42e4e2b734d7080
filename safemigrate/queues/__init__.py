"""Task queues that a project has already, asked to do its backfills."""
