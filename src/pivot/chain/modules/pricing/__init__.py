"""What a token costs: a price per model that follows how much of its capacity is used."""
