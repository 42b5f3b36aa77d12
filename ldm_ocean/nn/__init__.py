"""Building blocks of the two networks."""
