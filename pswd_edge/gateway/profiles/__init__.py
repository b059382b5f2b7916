"""The northbound APIs: thin projections of the services. A profile decides nothing and imports no other."""
