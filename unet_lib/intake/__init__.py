"""Other people's data: from files as they come to one clean data set. `prepare` is the door."""
