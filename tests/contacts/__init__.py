"""What the workspace keeps of its contacts."""
