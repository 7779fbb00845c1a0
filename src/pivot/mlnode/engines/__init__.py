"""What can serve a model on this machine: one file per engine, all alike from outside (base.py)."""
