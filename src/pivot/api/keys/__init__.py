"""API keys that this host issues: its gateway account pays for who has one, within the key's terms."""
