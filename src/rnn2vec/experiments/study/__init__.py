"""Studies: many trainings that answer one question, written down in a file, run and resumed by one command."""
