"""What can be wrong in a ceremony."""


class CeremonyError(Exception):
    """A sentence that names the file, the host or the field."""
