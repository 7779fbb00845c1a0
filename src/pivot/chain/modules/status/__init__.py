"""Who is trusted to serve: a running sequential test of every host's checked answers (design, decision 15)."""
