"""What a representation says about its RNN: predict properties from it, and score the answers (Section 6.2)."""
