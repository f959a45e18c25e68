"""Work that outlasts a request: taken now, done by whoever is free, fetched later."""
