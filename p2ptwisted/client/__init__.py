"""HTTP to other members: connections and their bounds, and a method for each route."""
