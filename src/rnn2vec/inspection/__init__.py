"""Looking at representations: maps, dialogues, performance under emulation, and the comparison with the floor."""
