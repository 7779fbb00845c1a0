"""The members of each epoch: immutable snapshots of who serves what with which weight."""
