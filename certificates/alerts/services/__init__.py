"""Rules and their channels, what there is to tell, and the telling of it."""
