"""The lab's experiment, from a corpus to a published or refused adapter, on this machine: `make experiment`."""
