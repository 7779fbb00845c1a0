"""Whether this node can do its work now."""
