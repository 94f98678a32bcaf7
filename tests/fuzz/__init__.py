"""Files with wrong bytes for every reader: `python -m tests.fuzz.run --seconds 3600`, and a small part in the gate."""
