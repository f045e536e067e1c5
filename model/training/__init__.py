"""Training of what the model's checks weigh, on labelled sentences; not loaded by the app."""
