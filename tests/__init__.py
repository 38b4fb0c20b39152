"""Everything that is tested; the folders mirror those of the code."""
