"""The rooms of hosting/, each on its own."""
