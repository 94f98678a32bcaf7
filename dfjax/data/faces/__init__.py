"""Detection, landmarks, alignment, masks, identity, tracks."""
