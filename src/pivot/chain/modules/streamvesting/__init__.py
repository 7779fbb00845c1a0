"""Pay that hosts receive over many epochs: a slot of each schedule is released at every switch."""
