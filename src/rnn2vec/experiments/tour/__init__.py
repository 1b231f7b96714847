"""The tour: a small zoo and two encoders, measured."""
