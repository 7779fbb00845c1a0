"""The calendar: a record per epoch with all its heights and its own copy of the parameters (design, decision 4)."""
