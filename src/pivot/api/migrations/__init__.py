"""The history of the database's schema, one file per step in `versions`. `database.migrate` runs what is missing."""
