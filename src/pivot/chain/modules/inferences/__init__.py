"""Requests and their pay: started once, finished once, paid once, refunded once (design, decisions 8 to 12 and 16)."""
