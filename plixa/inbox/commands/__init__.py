"""What can be done in the inbox: by members, by the gateway, by the clock."""
