"""The page on which people ask the service, see its sources and say what they think of it."""
