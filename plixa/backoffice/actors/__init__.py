"""Effects: campaigns that go out, mail by mail."""
