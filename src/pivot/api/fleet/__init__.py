"""The host's ML nodes: who they are, what each should do, what each does, and which one answers a request."""
