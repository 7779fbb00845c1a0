"""Account keys of a person at a terminal: named, on this machine, with the secret as safe as the backend makes it."""
