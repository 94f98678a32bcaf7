"""Media, faces, face sets, batches, augmentation and the head renderer."""
