"""How the application's process ends."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_UPGRADE = 3
"""Another version must make the next block; HALT_FILE says which."""
HALT_FILE = "data/halt.txt"
"""In the home of the application that ended with EXIT_UPGRADE: the sentence that says why."""
