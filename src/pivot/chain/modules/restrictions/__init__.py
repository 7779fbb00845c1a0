"""A young network's coins cannot be traded: until a height users' transfers are refused, but for named exemptions."""
