"""Exit codes of the application's process."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_UPGRADE = 3
"""Another version must make the next block; the log's last line says which."""
