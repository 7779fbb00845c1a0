"""What hosts earn: pay for answers and a share of the epoch's reward, settled once per epoch and claimed until the next."""
