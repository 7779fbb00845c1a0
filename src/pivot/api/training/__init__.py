"""Training: this host's nodes in runs of several hosts. Off unless the host turns it on (`DAPI_TRAINING__ENABLED`)."""
