"""Training: a job of the host's own choosing, run as a supervised process; a small trainer comes with the node."""
