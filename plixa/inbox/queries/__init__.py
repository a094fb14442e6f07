"""What can be read of the inbox: lists, a conversation, its messages, its history."""
