"""Pictures, moving pictures, curves and reports: everything that is written for people to look at."""
