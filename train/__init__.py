"""How a run is launched; no algorithm here."""
