"""Software upgrades: at an agreed height nodes stop, and go on with a version that knows what has changed."""
