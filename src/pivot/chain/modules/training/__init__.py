"""Training: tasks that somebody asks for, members that assign them, nodes of hosts that do them together."""
