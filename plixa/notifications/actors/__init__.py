"""Effects: mails and notifications that go out."""
