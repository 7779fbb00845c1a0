"""Questions from host to host: signed by who asks, answered to who may know, with bounds on both sides."""
