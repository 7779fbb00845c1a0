"""What the proof of compute rests on, measured: how far honest machines are apart, and how far off every fraud is."""
