"""The read side: one file a read model, its row and its projector. ``registry`` lists which are kept with the command and which follow."""
