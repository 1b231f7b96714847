"""The self-supervised objective (Section 4): an emulator that gets only a representation must imitate the RNN."""
