"""What binds every member of a workspace: its settings, its hours, who belongs to it, its departments, and its end."""
